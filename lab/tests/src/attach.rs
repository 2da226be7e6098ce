//! A tracer that starts while a device is in use, and a driver that is reloaded under a tracer.

use anyhow::{Context, Result, ensure};
use remap_core::event::{Body, DeviceState, Event, Origin};
use remap_core::model::{InFlightCall, Rule};

use crate::rig::lab::Lab;
use crate::rig::line::{Lines, trigger_ns};
use crate::rig::trace::Trace;
use crate::rig::user::User;
use crate::rig::{now, outlast_a_call, until};
use crate::{Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("attach::in_a_wait", VECTORS, in_a_wait),
        Test::new("attach::during_a_call_that_does_not_return", VECTORS, stuck),
        Test::new(
            "attach::a_requery_identifies_the_eventfd",
            VECTORS,
            by_requery,
        ),
        Test::new("attach::the_driver_is_reloaded", VECTORS, reloaded),
    ]
}

/// The tracer starts while a state change waits for its acks. It has not seen SET_IRQS, so it infers
/// the eventfds; it loses nothing, and reports no finding.
fn in_a_wait(lab: &mut Lab) -> Result<()> {
    let mut user = User::new(lab)?;
    user.map()?;
    let change = user.change(DeviceState::StopCopy);
    lab.driver.wait_for_wait()?;
    let trace = Trace::start(&["--events"])?;
    user.settle(lab)?;
    let changed = change.join();
    ensure!(matches!(changed, Ok(Ok(()))), "{changed:?}");
    // From here on the tracer sees everything.
    user.back(lab)?;
    user.go(lab, DeviceState::StopCopy, User::answer)??;
    user.back(lab)?;
    drop(user);
    let traced = trace.end(0)?;
    traced.found(&[])?;
    let found = |body: &Body| matches!(body, Body::Device(seen) if seen.origin == Origin::Found);
    let devices = traced.lines.events().filter(|event| found(&event.body));
    ensure!(devices.count() == 1, "the device was not found");
    let changes = traced.lines.transitions();
    let complete = changes.filter(|change| change.result == Some(Ok(())));
    ensure!(complete.count() >= 3, "{:#?}", traced.lines);
    let calls: Vec<_> = traced.lines.in_flight_calls().collect();
    let [begun, over] = calls[..] else {
        anyhow::bail!("{calls:#?}");
    };
    waiting(lab, begun)?;
    // The driver signals in the thread that changes the state.
    let inferred: Vec<_> = traced.lines.inferred().collect();
    let inside = inferred
        .iter()
        .any(|from| from.origin == Origin::SignalledInside);
    ensure!(inside, "inferred {inferred:?}");
    ensure!(
        over.last_seen_ns.is_some() && over.task.tid == begun.task.tid,
        "{calls:#?}"
    );
    Ok(())
}

/// That a call is the state change that waits, and that the trace names the function it waits in.
fn waiting(lab: &Lab, call: &InFlightCall) -> Result<()> {
    let place = call.waits_in.iter().any(|name| name.starts_with("rr_"));
    ensure!(
        call.device == lab.bdf.to_string()
            && call.what() == "the change to STOP_COPY"
            && call.last_seen_ns.is_none()
            && place,
        "{call:#?}"
    );
    Ok(())
}

/// A state change waits for an ack that does not come while the tracer runs.
fn stuck(lab: &mut Lab) -> Result<()> {
    let mut user = User::new(lab)?;
    user.map()?;
    let change = user.change(DeviceState::StopCopy);
    lab.driver.wait_for_wait()?;
    let trace = Trace::start(&[])?;
    outlast_a_call()?;
    let traced = trace.end(0)?;
    user.settle(lab)?;
    let changed = change.join();
    ensure!(matches!(changed, Ok(Ok(()))), "{changed:?}");
    user.back(lab)?;
    traced.found(&[Rule::NeverReturned])?;
    let calls: Vec<_> = traced.lines.in_flight_calls().collect();
    let [begun] = calls[..] else {
        anyhow::bail!("{calls:#?}");
    };
    waiting(lab, begun)
}

/// The driver signals in a thread that is in no call on the device, and the tracer has not seen
/// SET_IRQS. It infers what the eventfd is from a user that reads it and then requeries a region.
fn by_requery(lab: &mut Lab) -> Result<()> {
    let mut user = User::new(lab)?;
    user.map()?;
    let trace = Trace::start(&["--events"])?;
    let region = user.regions.first().copied().context("no region")?;
    for _ in 0..2 {
        lab.driver.trigger(1 << region)?;
        user.settle(lab)?;
    }
    drop(user);
    let traced = trace.end(0)?;
    traced.found(&[])?;
    let origin = |event: &Event| match &event.body {
        Body::Context(context) => Some(context.origin),
        _ => None,
    };
    let origins = traced.lines.events().filter_map(origin);
    let found = origins.filter(|origin| *origin == Origin::ReadBeforeRequery);
    ensure!(found.count() == 1, "{:#?}", traced.lines);
    // The eventfd is inferred from the first trigger; the second is traced.
    let cycles: Vec<_> = traced.lines.cycles().collect();
    let complete = cycles.iter().any(|cycle| {
        cycle.region == region && cycle.encoding.is_none() && trigger_ns(cycle).is_some()
    });
    ensure!(complete, "{cycles:#?}");
    Ok(())
}

/// How many functions of the driver are probed now, by the kernel's list.
fn probed() -> Result<usize> {
    const LIST: &str = "/sys/kernel/debug/kprobes/list";
    let list = std::fs::read_to_string(LIST).with_context(|| format!("reading {LIST}"))?;
    let ours = |line: &&str| line.contains("  remap_ref ") && !line.contains("[GONE]");
    Ok(list.lines().filter(ours).count())
}

/// How many calls on data files were traced since then: they are seen only by hooks of the driver's
/// own functions.
fn of_the_driver(lines: &Lines, since_ns: u64) -> usize {
    let since = lines.events().filter(|event| event.time_ns >= since_ns);
    let data = since.filter(|event| matches!(event.body, Body::Data(_)));
    data.count()
}

/// The driver is unloaded and loaded again: its hooks are attached again, and the trace of a drill
/// is the same as before.
fn reloaded(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--events"])?;
    let hooks = probed()?;
    ensure!(hooks > 0, "no function of the driver is probed");
    lab.use_it()?;
    let reload_ns = now()?;
    lab.driver.reload(&[])?;
    until("the driver's hooks to be back", || {
        Ok((probed()? == hooks).then_some(()))
    })?;
    lab.use_it()?;
    let traced = trace.end(0)?;
    traced.found(&[])?;
    let after = of_the_driver(&traced.lines, reload_ns);
    let before = of_the_driver(&traced.lines, 0) - after;
    ensure!(
        before == after && after > 0,
        "{before} calls on data files before the driver was reloaded, {after} after"
    );
    let changes: Vec<_> = traced.lines.transitions().collect();
    let after = changes.iter().filter(|change| change.begin_ns >= reload_ns);
    ensure!(after.count() * 2 == changes.len(), "{changes:#?}");
    Ok(())
}
