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
