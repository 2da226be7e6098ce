//! Eventfds that are not the device's: foreign ones, and ones whose kernel memory belonged to an
//! eventfd of the device before.

use anyhow::{Result, ensure};
use remap_core::event::Body;
use remap_user::vfio::eventfd::EventFd;

use crate::rig::lab::Lab;
use crate::rig::trace::Trace;
use crate::rig::user::User;
use crate::{ALL, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("recycle::foreign_eventfds_are_not_seen", ALL, foreign),
        Test::new(
            "recycle::an_eventfd_is_forgotten_when_it_is_closed",
            ALL,
            recycled,
        ),
    ]
}

/// Writes and reads a foreign eventfd so often.
fn use_eventfd(times: u64) -> Result<()> {
    let eventfd = EventFd::new()?;
    for _ in 0..times {
        eventfd.write(1)?;
        ensure!(eventfd.read()? == Some(1), "an eventfd lost a count");
    }
    Ok(())
}

/// While no device is open, nothing is recorded.
fn foreign(_: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--events"])?;
    use_eventfd(10_000)?;
    let summary = trace.end(0)?.summary;
    ensure!(
        summary.seen == Some(0) && summary.delivered == 0,
        "{summary:?}"
    );
    Ok(())
}

/// How often the device's eventfds are closed.
const ROUNDS: u64 = 20;
/// Eventfds that are made afterwards: enough to reuse the memory of those that were closed.
const OTHERS: u64 = 100;

/// Nothing is triggered, so that no signal, read or write may be traced, whatever is done to the
/// eventfds that reuse the memory.
fn recycled(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--events"])?;
    for _ in 0..ROUNDS {
        let user = User::new(lab)?;
        use_eventfd(OTHERS)?;
        user.handshake.disable()?;
        drop(user);
        let others = (0..OTHERS).map(|_| EventFd::new());
        let others = others.collect::<Result<Vec<_>, _>>()?;
        for eventfd in &others {
            eventfd.write(1)?;
            eventfd.read()?;
        }
    }
    let traced = trace.end(0)?;
    traced.found(&[])?;
    ensure!(
        traced.lines.cycles().count() == 0,
        "{:#?}",
        traced.lines.cycles().collect::<Vec<_>>()
    );
    let mut contexts = 0;
    for event in traced.lines.events() {
        let used = matches!(event.body, Body::Signal(_) | Body::Read(_) | Body::Write(_));
        ensure!(!used, "taken for the device's: {event:?}");
        contexts += u64::from(matches!(event.body, Body::Context(_)));
    }
    ensure!(
        contexts >= ROUNDS,
        "the device's own eventfds were not seen"
    );
    Ok(())
}
