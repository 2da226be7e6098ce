//! What is selected of it all.

use super::*;

fn selected(selection: Selection) -> Vec<Value> {
    let mut sink = Select::new(Json::new(Vec::new()), selection);
    write(&mut sink, &scene(), Options::default());
    let (checkpoints, downtime) = vmm();
    sink.checkpoint(&checkpoints[0]).unwrap();
    sink.downtime(&downtime).unwrap();
    lines(sink.into_inner().into_inner())
}

/// How many lines of a type.
fn count(lines: &[Value], name: &str) -> usize {
    lines.iter().filter(|line| line["type"] == name).count()
}

#[test]
fn a_class_is_shown_and_all_are_counted() {
    let all = selected(Selection::default());
    let classes = Some([Class::Migration].into());
    let got = selected(Selection {
        classes,
        ..Selection::default()
    });
    assert_eq!(count(&got, "transition"), count(&all, "transition"));
    for name in ["cycle", "finding", "checkpoint", "downtime"] {
        assert!(count(&all, name) > 0, "{name}");
        assert_eq!(count(&got, name), 0, "{name}");
    }
    let summary = |lines: &[Value]| lines.iter().find(|line| line["type"] == "summary").cloned();
    let (all, got) = (summary(&all).unwrap(), summary(&got).unwrap());
    assert_eq!(got["devices"], all["devices"]);
    // Six cycles and a finding; what came behind the summary is not in it.
    assert_eq!(got["withheld"]["by_class"], 7);
    assert_eq!(all["withheld"]["by_class"], 0);
}

#[test]
fn what_was_short_is_not_shown_and_what_is_unknown_is() {
    let got = selected(Selection {
        min_latency_ns: Some(1_000_000_000),
        ..Selection::default()
    });
    assert_eq!(count(&got, "transition"), 1, "the one that timed out");
    // Unacked and incomplete: how long those took is unknown.
    assert_eq!(count(&got, "cycle"), 2);
    assert_eq!(count(&got, "finding"), 1);
    assert_eq!((count(&got, "checkpoint"), count(&got, "downtime")), (1, 0));
    let summary = got.iter().find(|line| line["type"] == "summary").unwrap();
    // Four cycles, two state changes, two intervals between them.
    assert_eq!(summary["withheld"]["by_latency"], 8);
    assert_eq!(summary["cycles"], 6);
}

#[test]
fn a_region_is_shown_and_what_is_about_none_is_not() {
    let all = selected(Selection::default());
    let regions = all.iter().filter(|line| line["type"] == "cycle");
    let regions: Vec<u64> = regions.filter_map(|line| line["region"].as_u64()).collect();
    let wanted = regions[0];
    assert!(regions.iter().any(|region| *region != wanted));
    let got = selected(Selection {
        regions: Some([u32::try_from(wanted).unwrap()].into()),
        ..Selection::default()
    });
    let shown = regions.iter().filter(|region| **region == wanted).count();
    assert_eq!(count(&got, "cycle"), shown);
    assert_eq!(count(&got, "transition"), 0);
    let summary = got.iter().find(|line| line["type"] == "summary").unwrap();
    let withheld = summary["withheld"]["by_region"].as_u64().unwrap();
    // A checkpoint and a downtime come behind the summary, and are not counted in it.
    assert_eq!(withheld + 2 + got.len() as u64, all.len() as u64);
}

#[test]
fn what_reaches_into_the_time_is_shown() {
    let all = selected(Selection::default());
    let change = all.iter().find(|line| line["type"] == "transition");
    let change = change.unwrap();
    let end_ns = change["end_ns"].as_u64().unwrap();
    let shown = |from_ns, until_ns| {
        let got = selected(Selection {
            between: Some((from_ns, until_ns)),
            ..Selection::default()
        });
        let same = |line: &Value| line["type"] == "transition" && line["id"] == change["id"];
        got.iter().any(same)
    };
    assert!(shown(end_ns, end_ns));
    assert!(shown(0, end_ns));
    assert!(!shown(end_ns + 1, u64::MAX));
}

#[test]
fn a_single_event_has_no_class() {
    let selection = Selection {
        classes: Some([Class::Remap].into()),
        ..Selection::default()
    };
    let mut sink = Select::new(Json::new(Vec::new()), selection);
    for event in every_event() {
        sink.event(&event, played::NAME).unwrap();
    }
    let lines = lines(sink.into_inner().into_inner());
    assert_eq!(lines.len(), every_event().len());
}

#[test]
fn the_table_says_what_is_missing_from_the_lines_and_from_the_sums() {
    use crate::model::Evicted;
    let mut summary = Summary::default();
    let text = |summary: &Summary| crate::sink::table::Table(summary).to_string();
    let nothing = text(&summary);
    assert!(!nothing.contains("dropped") && !nothing.contains("holds no more"));
    summary.withheld.unread = 3;
    summary.evicted = Evicted {
        devices: 5,
        users: 6,
        interrupts: 7,
        tables: 8,
        rows: 9,
    };
    let table = text(&summary);
    for words in [
        "3 lines dropped",
        "5 devices are only counted in",
        "6 users of devices",
        "7 signals",
        "8 times",
        "9 sums",
    ] {
        assert!(table.contains(words), "no {words:?} in {table}");
    }
}

#[test]
fn dropped_lines_fit_the_schema() {
    use crate::sink::line::Line;
    // As remap-user writes it.
    let line = serde_json::to_string(&Line::Dropped { lines: 2 }).unwrap() + "\n";
    assert_eq!(line, "{\"type\":\"dropped\",\"lines\":2}\n");
    lines(line.into_bytes());
}
