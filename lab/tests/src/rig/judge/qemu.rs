//! A device's state changes by QEMU's trace, by the driver's log and by the tracer: they agree one by
//! one, in order and in time.

use anyhow::{Context, Result, bail, ensure};
use remap_core::event::{DeviceState, Errno};
use remap_core::model::Transition;

use crate::rig::line::Lines;
use crate::rig::log::{Kind, Log};
use crate::rig::qemu::clock::Ahead;
use crate::rig::qemu::log;
use crate::rig::qemu::outcome::Outcome;
use crate::rig::qemu::vm::Ended;

/// A state change as the driver logged it.
#[derive(Clone, Debug)]
struct Change<'a> {
    from: &'a str,
    to: &'a str,
    begin_ns: u64,
    end_ns: u64,
    /// 0 or a negative errno.
    result: i32,
}

/// What all three agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// State changes.
    pub changes: usize,
    /// Those of them that failed.
    pub failed: usize,
}

/// Compares the three, for a whole scenario.
pub fn judge(outcome: &Outcome, trace: &Lines) -> Result<Agreement> {
    let mut agreement = Agreement::default();
    for (device, log) in &outcome.logs {
        let changes = changes(log)?;
        let traced: Vec<&Transition> = trace
            .transitions()
            .filter(|transition| transition.device == *device)
            .collect();
        tracer_and_driver(&traced, &changes)
            .with_context(|| format!("{device}: the trace and the driver's log"))?;
        let vms = outcome.vms.iter().filter(|vm| vm.device == *device);
        let both: Vec<_> = changes.iter().zip(traced).collect();
        qemu_and_both(vms, &both, &outcome.ahead)
            .with_context(|| format!("{device}: QEMU's trace and the driver's log"))?;
        agreement.changes += changes.len();
        agreement.failed += changes.iter().filter(|change| change.result != 0).count();
    }
    ensure!(agreement.changes > 0, "there was no state change");
    Ok(agreement)
}

fn changes(log: &Log) -> Result<Vec<Change<'_>>> {
    let states = log.all(|kind| match kind {
        Kind::State { from, to, result } => Some((from.as_str(), to.as_str(), *result)),
        _ => None,
    });
    let change = |(line, (from, to, result)): (&crate::rig::log::Line, _)| {
        let result: Option<i32> = result;
        Ok(Change {
            from,
            to,
            begin_ns: line.begin_ns,
            end_ns: line.end_ns,
            result: result.with_context(|| format!("{from} → {to} has not ended"))?,
        })
    };
    states.into_iter().map(change).collect()
}

/// The tracer's span of each state change contains the driver's.
fn tracer_and_driver(traced: &[&Transition], changes: &[Change<'_>]) -> Result<()> {
    ensure!(
        traced.len() == changes.len(),
        "{} state changes were traced, and the driver made {}: {traced:#?} {changes:#?}",
        traced.len(),
        changes.len()
    );
    for (seen, change) in traced.iter().zip(changes) {
        let result = match change.result {
            0 => Ok(()),
            errno => Err(Errno(-errno)),
        };
        let is = |state: DeviceState, logged| state.to_string() == logged;
        let same = seen.to.is_some_and(|to| is(to, change.to))
            && seen.from.is_none_or(|from| is(from, change.from))
            && seen.result == Some(result);
        ensure!(same, "{seen:?} and {change:?}");
        let around = seen.begin_ns <= change.begin_ns
            && seen.end_ns.is_some_and(|end_ns| end_ns >= change.end_ns);
        ensure!(around, "{seen:?} is not around {change:?}");
    }
    Ok(())
}

/// Follows QEMU's trace as QEMU ran: each state that it requested reached the driver, and the tracer,
/// between QEMU's lines about the request and about its completion.
fn qemu_and_both<'a>(
    vms: impl Iterator<Item = &'a Ended>,
    both: &[(&Change<'_>, &Transition)],
    ahead: &Ahead,
) -> Result<()> {
    let mut changes = both.iter();
    for vm in vms {
        let mut current = "RUNNING";
        let mut lines = vm.log.iter();
        while let Some(line) = lines.next() {
            let (to, fallback) = match &line.kind {
                // A reset, which requests no state.
                log::Kind::Is { state } => {
                    current = state;
                    continue;
                }
                // QEMU requests only another state than the current one.
                log::Kind::Ask { to, .. } if to == current => continue,
                log::Kind::Ask { to, fallback } => (to, fallback),
            };
            let requested = || format!("the {} requested {to}", vm.name);
            let mut next = || {
                changes.next().with_context(|| {
                    format!("{}, and the driver logged nothing of it", requested())
                })
            };
            let (change, seen) = next()?;
            ensure!(
                change.to == to,
                "{}, and the driver got {change:?}",
                requested()
            );
            let requested_ns = ahead.earliest_ns(line.real_ns);
            ensure!(
                change.begin_ns >= requested_ns,
                "{} after {change:?}: {line:?}",
                requested()
            );
            ensure!(
                seen.begin_ns >= requested_ns,
                "{} after the tracer's {seen:?}: {line:?}",
                requested()
            );
            let (last, seen) = match (change.result, fallback.as_str()) {
                (0, _) | (_, "ERROR") => (change, seen),
                (_, fallback) => {
                    let (back, seen) = next()?;
                    ensure!(
                        back.to == fallback,
                        "{}, fell back to {fallback}, and the driver got {back:?}",
                        requested()
                    );
                    (back, seen)
                }
            };
            let Some(done) = lines.next() else {
                bail!("{}, and traced nothing after it", requested());
            };
            let log::Kind::Is { state } = &done.kind else {
                bail!("{}, and then traced {done:?}", requested());
            };
            // Without a state to fall back to, QEMU resets the device.
            let is = if last.result == 0 { last.to } else { "RUNNING" };
            ensure!(
                state == is,
                "{}, and traced {state} instead of {is}",
                requested()
            );
            let done_ns = ahead.latest_ns(done.real_ns);
            ensure!(
                last.end_ns <= done_ns,
                "{}, and completed it before {last:?}: {done:?}",
                requested()
            );
            ensure!(
                seen.end_ns.is_some_and(|ns| ns <= done_ns),
                "{}, and completed it before the tracer's {seen:?}: {done:?}",
                requested()
            );
            current = state;
        }
    }
    match changes.next() {
        None => Ok(()),
        Some((change, _)) => bail!("QEMU did not request {change:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use remap_core::event::Task;
    use remap_core::model::Activity;

    use super::*;
    use crate::rig::line::Line;
    use crate::rig::qemu::log::parse;

    const DEVICE: &str = "0000:01:00.0";

    /// CLOCK_REALTIME is 5 s ahead of CLOCK_MONOTONIC.
    fn outcome(driver: &str, qemu: &str) -> Outcome {
        Outcome {
            title: "a test",
            span_ns: 0..=u64::MAX,
            ahead: Ahead::exactly(5_000_000_000),
            steps: Vec::new(),
            vms: vec![Ended {
                name: "first".to_owned(),
                device: DEVICE.to_owned(),
                log: parse(qemu).unwrap(),
            }],
            logs: [(
                DEVICE.to_owned(),
                Log::parse(&format!("# overwritten 0\n{driver}")).unwrap(),
            )]
            .into(),
            costs: Vec::new(),
        }
    }

    fn trace(of: &[(&str, u64, u64, &str)]) -> Lines {
        let line = |(to, begin_ns, end_ns, result): &(&str, u64, u64, &str)| {
            let result = match *result {
                "ok" => Ok(()),
                errno => Err(errno.parse().unwrap()),
            };
            Line::Transition(Cow::Owned(Transition {
                id: 1,
                device: DEVICE.to_owned(),
                from: None,
                to: Some(to.parse().unwrap()),
                begin_ns: *begin_ns,
                end_ns: Some(*end_ns),
                result: Some(result),
                waited_ns: None,
                path: Vec::new(),
                data_fd: None,
                inside: Activity::default(),
                spent: None,
                task: Task {
                    pid: 1,
                    tid: 1,
                    comm: "user".to_owned(),
                },
            }))
        };
        Lines(of.iter().map(line).collect())
    }

    const DRIVER: &str = "\
0 1000000000 1000100000 state from=RUNNING to=PRE_COPY result=-19
1 1000200000 1000300000 state from=RUNNING to=RUNNING result=0
2 2000000000 2000100000 state from=RUNNING to=STOP result=0
";
    const QEMU: &str = "\
9@5.900000:vfio_migration_realize  (0000:01:00.0)
9@5.950000:vfio_migration_set_state  (0000:01:00.0) new state RUNNING, recover state ERROR
9@5.999999:vfio_migration_set_state  (0000:01:00.0) new state PRE_COPY, recover state RUNNING
9@6.000400:vfio_migration_set_device_state  (0000:01:00.0) state RUNNING
9@6.999999:vfio_migration_set_state  (0000:01:00.0) new state STOP, recover state ERROR
9@7.000101:vfio_migration_set_device_state  (0000:01:00.0) state STOP
";
    const TRACED: [(&str, u64, u64, &str); 3] = [
        ("PRE_COPY", 999_999_999, 1_000_100_001, "ENODEV"),
        ("RUNNING", 1_000_199_999, 1_000_300_001, "ok"),
        ("STOP", 1_999_999_999, 2_000_100_001, "ok"),
    ];

    fn failure(driver: &str, qemu: &str, traced: &[(&str, u64, u64, &str)]) -> String {
        format!(
            "{:#}",
            judge(&outcome(driver, qemu), &trace(traced)).unwrap_err()
        )
    }

    #[test]
    fn three_that_agree_pass() {
        let agreement = judge(&outcome(DRIVER, QEMU), &trace(&TRACED)).unwrap();
        assert_eq!(
            agreement,
            Agreement {
                changes: 3,
                failed: 1
            }
        );
    }

    #[test]
    fn a_tracer_that_disagrees_is_named() {
        assert!(failure(DRIVER, QEMU, &TRACED[..2]).contains("2 state changes were traced"));
        let with = |at: usize, change: (&'static str, u64, u64, &'static str)| {
            let mut traced = TRACED;
            traced[at] = change;
            failure(DRIVER, QEMU, &traced)
        };
        assert!(with(0, ("PRE_COPY", 0, 1_000_100_001, "ok")).contains("and Change"));
        assert!(with(2, ("STOP_COPY", 0, 2_000_100_001, "ok")).contains("and Change"));
        let late = with(2, ("STOP", 2_000_000_001, 2_000_100_001, "ok"));
        assert!(late.contains("is not around"), "{late}");
        let short = with(2, ("STOP", 1_999_999_999, 2_000_099_999, "ok"));
        assert!(short.contains("is not around"), "{short}");
        let long = with(2, ("STOP", 1_999_999_999, 2_999_999_999, "ok"));
        assert!(long.contains("before the tracer's"), "{long}");
        let early = with(2, ("STOP", 1_500_000_000, 2_000_100_001, "ok"));
        assert!(early.contains("after the tracer's"), "{early}");
    }

    #[test]
    fn a_qemu_that_disagrees_is_named() {
        let shorter: Vec<&str> = QEMU.lines().take(4).collect();
        assert!(failure(DRIVER, &shorter.join("\n"), &TRACED).contains("did not request"));
        let early = QEMU.replace("7.000101", "7.000099");
        assert!(failure(DRIVER, &early, &TRACED).contains("completed it before"));
        let late = QEMU.replace("6.999999", "7.000001");
        assert!(failure(DRIVER, &late, &TRACED).contains("requested STOP after"));
        let other = QEMU.replace("state STOP\n", "state RUNNING\n");
        assert!(failure(DRIVER, &other, &TRACED).contains("traced RUNNING instead of STOP"));
        let more = format!(
            "{QEMU}9@7.1:vfio_migration_set_state  ({DEVICE}) new state RUNNING, recover state ERROR\n"
        );
        assert!(
            failure(DRIVER, &more.replace("7.1:", "7.100000:"), &TRACED).contains("logged nothing")
        );
        let unanswered: Vec<&str> = QEMU.lines().take(5).collect();
        assert!(failure(DRIVER, &unanswered.join("\n"), &TRACED).contains("traced nothing after"));
    }
}
