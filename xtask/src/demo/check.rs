//! Checks a trace: what its JSON Lines must contain for the demo to succeed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The stages of a cycle, in order.
const STAGES: [&str; 7] = [
    "trigger_ns",
    "wake_ns",
    "requery_ns",
    "unmap_ns",
    "map_ns",
    "ack_ns",
    "released_ns",
];

/// Checks the JSON Lines of a trace beside a drill of `drills` cycles; returns in
/// a line what they hold.
pub fn check(lines: &str, drills: u64) -> Result<String> {
    // For each region, the stages that were seen in any of its cycles.
    let mut regions: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    let (mut cycles, mut waited, mut summary) = (0u64, None, None);
    for line in lines.lines() {
        let object: Value =
            serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        match object["type"].as_str() {
            Some("cycle") => {
                cycles += 1;
                let region = object["region"]
                    .as_u64()
                    .with_context(|| format!("a cycle without region: {line}"))?;
                ensure!(is_complete(&object), "a cycle is not complete: {line}");
                let seen = STAGES.into_iter().filter(|stage| object[*stage].is_u64());
                regions.entry(region).or_default().extend(seen);
            }
            Some("transition") => {
                ensure!(object["result"] == "ok", "a state change failed: {line}");
                waited = waited.max(object["waited_ns"].as_u64().filter(|&waited| waited > 0));
            }
            Some("finding") => bail!("a finding: {}", object["text"].as_str().unwrap_or(line)),
            Some("summary") => summary = Some(object),
            _ => {}
        }
    }
    let summary = summary.context("the trace has no summary")?;
    let lost = lost(&summary);
    let (seen, delivered) = (summary["seen"].as_u64(), summary["delivered"].as_u64());
    ensure!(lost == 0, "{lost} records were lost: {}", summary["lost"]);
    ensure!(
        seen.is_some() && seen == delivered,
        "seen {} is not delivered {}",
        summary["seen"],
        summary["delivered"]
    );
    ensure!(cycles >= drills, "{cycles} remap cycles in {drills} drills");
    ensure!(waited.is_some(), "no state change waited for user space");
    for (region, seen) in &regions {
        let missing: Vec<_> = STAGES
            .into_iter()
            .filter(|stage| !seen.contains(stage))
            .collect();
        ensure!(
            missing.is_empty(),
            "region {region}: no cycle has {}",
            missing.join(", ")
        );
    }
    let regions: Vec<_> = regions.keys().map(u64::to_string).collect();
    Ok(format!(
        "{cycles} cycles of regions {}, all complete; {} records seen, all delivered",
        regions.join(", "),
        seen.unwrap_or_default()
    ))
}

/// Whether every stage that the cycle needed was observed.
fn is_complete(cycle: &Value) -> bool {
    let outcome = cycle["outcome"].as_str().unwrap_or_default();
    let missing = cycle["missing"]
        .as_array()
        .is_some_and(|missing| !missing.is_empty());
    ["remapped", "unchanged"].contains(&outcome) && !missing
}

fn lost(summary: &Value) -> u64 {
    let reasons = summary["lost"].as_object().into_iter().flatten();
    reasons.filter_map(|(_, count)| count.as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYCLE: &str = r#"{"type":"cycle","region":2,"outcome":"remapped","trigger_ns":1,"wake_ns":2,"requery_ns":3,"unmap_ns":4,"map_ns":5,"ack_ns":6,"released_ns":7,"missing":[]}"#;
    const CHANGE: &str = r#"{"type":"transition","result":"ok","waited_ns":5}"#;
    const SUMMARY: &str = r#"{"type":"summary","seen":9,"delivered":9,"lost":{}}"#;

    fn failure(lines: &[&str]) -> String {
        check(&lines.join("\n"), 1).unwrap_err().to_string()
    }

    #[test]
    fn a_good_trace_passes() {
        let text = check(&[CYCLE, CHANGE, SUMMARY].join("\n"), 1).unwrap();
        assert_eq!(
            text,
            "1 cycles of regions 2, all complete; 9 records seen, all delivered"
        );
    }

    #[test]
    fn stages_may_come_from_several_cycles_of_a_region() {
        let whole = CYCLE.replace(r#""map_ns":5"#, r#""map_ns":null"#);
        assert!(check(&[&whole, CYCLE, CHANGE, SUMMARY].join("\n"), 1).is_ok());
        assert!(failure(&[&whole, CHANGE, SUMMARY]).contains("no cycle has map_ns"));
    }

    #[test]
    fn every_flaw_is_named() {
        let incomplete = CYCLE.replace("remapped", "incomplete");
        assert!(failure(&[&incomplete, CHANGE, SUMMARY]).contains("not complete"));
        let missing = CYCLE.replace("[]", r#"["ack"]"#);
        assert!(failure(&[&missing, CHANGE, SUMMARY]).contains("not complete"));
        let lossy = SUMMARY.replace("{}", r#"{"ring full":2}"#);
        assert!(failure(&[CYCLE, CHANGE, &lossy]).contains("2 records were lost"));
        let unaccounted = SUMMARY.replace(r#""seen":9"#, r#""seen":10"#);
        assert!(failure(&[CYCLE, CHANGE, &unaccounted]).contains("is not delivered"));
        assert!(failure(&[CYCLE, CHANGE]).contains("no summary"));
        assert!(failure(&[CYCLE, SUMMARY]).contains("no state change waited"));
        assert!(failure(&[CHANGE, SUMMARY]).contains("0 remap cycles"));
        let finding = r#"{"type":"finding","text":"acked too early"}"#;
        assert!(failure(&[CYCLE, finding, CHANGE, SUMMARY]).contains("acked too early"));
        assert!(failure(&["Segmentation fault"]).contains("not JSON"));
    }
}
