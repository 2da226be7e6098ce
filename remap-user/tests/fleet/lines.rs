//! The series that the JSON lines of a trace stand for.

use serde_json::Value;

use super::Series;

/// The names of the series that [`expected`] has, each completely.
pub const COUNTED: [&str; 10] = [
    "remap_cycles_total",
    "remap_cycle_stage_duration_seconds_sum",
    "remap_cycle_stage_duration_seconds_count",
    "remap_cycle_duration_seconds_sum",
    "remap_state_changes_total",
    "remap_state_change_duration_seconds_sum",
    "remap_state_change_waited_seconds_total",
    "remap_interrupt_latency_seconds_sum",
    "remap_interrupt_latency_seconds_count",
    "remap_findings_total",
];

const STAGES: [&str; 7] = [
    "trigger", "wake", "requery", "unmap", "map", "ack", "released",
];

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

/// Adds to a series.
fn add(series: &mut Series, name: &str, labels: &[(&str, String)], value: f64) {
    let mut labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    labels.sort_unstable();
    *series
        .entry(format!("{name}{{{}}}", labels.join(",")))
        .or_default() += value;
}

fn seconds(from: &Value, until: &Value) -> Option<f64> {
    Some(until.as_u64()?.checked_sub(from.as_u64()?)? as f64 / 1e9)
}

fn cycle(series: &mut Series, line: &Value) {
    let of = [
        ("device", text(&line["device"])),
        ("region", text(&line["region"])),
    ];
    let outcome = text(&line["outcome"]);
    let labels = [of.to_vec(), vec![("outcome", outcome.clone())]].concat();
    add(series, "remap_cycles_total", &labels, 1.0);
    if !["remapped", "unchanged"].contains(&outcome.as_str()) {
        return;
    }
    let observed = STAGES.map(|stage| (stage, &line[format!("{stage}_ns")]));
    let observed: Vec<_> = observed
        .into_iter()
        .filter(|(_, ns)| !ns.is_null())
        .collect();
    for pair in observed.windows(2) {
        let [(_, from), (stage, until)] = pair else {
            continue;
        };
        if let Some(time) = seconds(from, until) {
            let labels = [of.to_vec(), vec![("stage", (*stage).to_owned())]].concat();
            add(
                series,
                "remap_cycle_stage_duration_seconds_sum",
                &labels,
                time,
            );
            add(
                series,
                "remap_cycle_stage_duration_seconds_count",
                &labels,
                1.0,
            );
        }
    }
    if let Some(time) = seconds(&line["trigger_ns"], &line["released_ns"]) {
        add(series, "remap_cycle_duration_seconds_sum", &of, time);
    }
}

fn change(series: &mut Series, line: &Value) {
    let [device, from, to] = ["device", "from", "to"].map(|key| (key, text(&line[key])));
    let of = [device, from, to];
    let result = text(&line["result"]);
    let labels = [of.to_vec(), vec![("result", result.clone())]].concat();
    add(series, "remap_state_changes_total", &labels, 1.0);
    if let Some(time) = seconds(&line["begin_ns"], &line["end_ns"]).filter(|_| result == "ok") {
        add(series, "remap_state_change_duration_seconds_sum", &of, time);
    }
    if let Some(ns) = line["waited_ns"].as_u64() {
        let time = ns as f64 / 1e9;
        add(series, "remap_state_change_waited_seconds_total", &of, time);
    }
}

fn interrupt(series: &mut Series, line: &Value) {
    let Some(time) = seconds(&line["signal_ns"], &line["time_ns"]) else {
        return;
    };
    let index = match &line["irq_index"] {
        Value::Null => String::new(),
        index => text(index),
    };
    let labels = [
        ("device", text(&line["device"])),
        ("irq", text(&line["name"])),
        ("index", index),
        ("vector", text(&line["sub_index"])),
    ];
    add(series, "remap_interrupt_latency_seconds_sum", &labels, time);
    add(
        series,
        "remap_interrupt_latency_seconds_count",
        &labels,
        1.0,
    );
}

/// What is to be served of these lines.
pub fn expected(lines: &str) -> Series {
    let mut series = Series::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        match line["type"].as_str().unwrap() {
            "cycle" => cycle(&mut series, &line),
            "transition" => change(&mut series, &line),
            "interrupt" => interrupt(&mut series, &line),
            "finding" => {
                let labels = [
                    ("device", text(&line["device"])),
                    ("rule", text(&line["rule"])),
                ];
                add(&mut series, "remap_findings_total", &labels, 1.0);
            }
            "summary" => {
                let delivered = line["delivered"].as_f64().unwrap();
                series.insert("remap_records_delivered_total".to_owned(), delivered);
            }
            _ => {}
        }
    }
    series
}
