//! The fuzz targets: each runs its share of 10 million inputs, and counts as a test.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use super::report::Report;
use crate::fuzz::{self, TARGETS};
use crate::interrupt;
use crate::process::step;

/// Targets at a time: one for each processor of the smallest machine.
const AT_A_TIME: usize = 2;

/// Runs the targets whose name contains `filter`.
pub fn run(filter: Option<&str>, report: &mut Report) -> Result<()> {
    interrupt::check()?;
    let name = |name: &str| format!("fuzz: {name}");
    let targets = TARGETS.into_iter();
    let targets =
        targets.filter(|target| filter.is_none_or(|part| name(target.name).contains(part)));
    let queue: VecDeque<_> = targets.collect();
    if queue.is_empty() {
        return Ok(());
    }
    fuzz::build()?;
    let (queue, report) = (Mutex::new(queue), Mutex::new(report));
    let work = || -> Result<()> {
        loop {
            interrupt::check()?;
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(target) = next else {
                return Ok(());
            };
            let name = name(target.name);
            let what = format!("{name}, {} inputs", target.runs);
            let result = step(&what, || target.count());
            interrupt::check()?;
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            report.check(&name, &result);
        }
    };
    thread::scope(|scope| {
        let workers = [(); AT_A_TIME].map(|()| scope.spawn(work));
        let mut ends = workers.into_iter();
        ends.try_for_each(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
