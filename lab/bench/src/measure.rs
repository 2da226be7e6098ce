//! Rounds of each operation, and their median.

use std::time::Instant;

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

use crate::operation::{self, Operation, Subject};

/// Operations in a round.
const COUNT: u32 = 2000;
/// Rounds; their median counts.
const ROUNDS: usize = 5;

/// What one operation took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CLOCK_MONOTONIC, with all that ran meanwhile.
    pub wall_ns: u64,
    /// CLOCK_THREAD_CPUTIME_ID: what this thread ran, in the kernel too.
    pub thread_ns: u64,
}

/// The cost of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The operation.
    pub name: &'static str,
    /// What it is done to.
    pub subject: Subject,
    /// The medians of its rounds.
    pub cost: Cost,
}

/// Measures each operation; `device` is the PCI address of the one that is used.
pub fn measure(device: &str) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for mut operation in operation::foreign()? {
        all.push(medians(&mut operation)?);
    }
    // Opened only now: while the foreign operations run, no device is open.
    for mut operation in operation::traced(device)? {
        all.push(medians(&mut operation)?);
    }
    Ok(all)
}

/// As [`measure`], once the machine has come to rest after its boot: two measurements in a row
/// that differ by at most a twentieth.
pub fn settled(device: &str) -> Result<Vec<Measured>> {
    let mut last = measure(device)?;
    for _ in 0..20 {
        let next = measure(device)?;
        let alike = |(a, b): (&Measured, &Measured)| {
            let (a, b) = (a.cost.wall_ns, b.cost.wall_ns);
            a.abs_diff(b) * 20 <= a
        };
        if last.iter().zip(&next).all(alike) {
            return Ok(next);
        }
        last = next;
    }
    bail!("the machine does not come to rest; the last of 20 measurements: {last:?}")
}

fn medians(operation: &mut Operation) -> Result<Measured> {
    let rounds = (0..ROUNDS)
        .map(|_| round(operation))
        .collect::<Result<Vec<Cost>>>()?;
    let median = |of: fn(&Cost) -> u64| {
        let mut all: Vec<u64> = rounds.iter().map(of).collect();
        all.sort_unstable();
        all[ROUNDS / 2]
    };
    Ok(Measured {
        name: operation.name,
        subject: operation.subject,
        cost: Cost {
            wall_ns: median(|cost| cost.wall_ns),
            thread_ns: median(|cost| cost.thread_ns),
        },
    })
}

fn round(operation: &mut Operation) -> Result<Cost> {
    let (wall, thread) = (Instant::now(), thread_ns()?);
    for _ in 0..COUNT {
        (operation.run)()?;
    }
    let thread = thread_ns()? - thread;
    let wall = u64::try_from(wall.elapsed().as_nanos())?;
    Ok(Cost {
        wall_ns: wall / u64::from(COUNT),
        thread_ns: thread / u64::from(COUNT),
    })
}

fn thread_ns() -> Result<u64> {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Ok(u64::try_from(time.tv_sec)? * 1_000_000_000 + u64::try_from(time.tv_nsec)?)
}
