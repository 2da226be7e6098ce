//! `cargo xtask soak`: everything that happens to a tracer on a host, at random, for a long time. The seed is
//! printed, and the same seed takes the same decisions.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`action`] | what is done, one at a time |
//! | [`world`] | the devices, and the tracers that run beside |
//! | [`totals`] | what is counted |
//! | [`left`] | what a tracer could leave behind in the machine |

mod action;
mod left;
mod totals;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::rig::judge::driver;
use crate::rig::lab::Lab;
use crate::rig::suite::Group;
use crate::rig::trace::Trace;
use crate::{SOAK, Test};
use action::ACTIONS;
use left::Left;
use world::World;

/// The option that starts a soak: `--soak MINUTES SEED`.
pub const OPTION: &str = "--soak";

/// How much more resident memory the tracer that runs all the time may have at the end than after the
/// first round, KiB. Its queues and tables may fill; a leak of one page an action would be far more in half
/// an hour.
const GROWTH: u64 = 16 << 10;
/// The cycles of the drill at the end.
const LAST: u64 = 10;
/// As many failures end a soak early.
const ENOUGH: usize = 5;

pub fn tests() -> Vec<Test> {
    let round = |lab: &mut Lab| soak(lab, Duration::ZERO, 1);
    vec![Test::new("soak::a_round_of_everything", SOAK, round)]
}

/// Runs `--soak MINUTES SEED`.
pub fn main(mut words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let mut number = |what: &'static str| -> Result<u64> {
        let word = words.next().with_context(|| format!("no {what}"))?;
        word.parse().with_context(|| format!("{what}: {word}"))
    };
    let (minutes, seed) = (number("minutes")?, number("seed")?);
    let mut lab = Lab::new(Group::Soak)?;
    soak(&mut lab, Duration::from_secs(60 * minutes), seed)?;
    Ok(ExitCode::SUCCESS)
}

/// One round of all actions in a random order, and then random ones for the rest of the time.
fn soak(lab: &mut Lab, time: Duration, seed: u64) -> Result<()> {
    println!("soak: seed {seed}");
    let left = Left::read()?;
    let mut world = World::new(seed)?;
    let begin = Instant::now();
    let mut failures = Vec::new();
    let mut next_line = Duration::from_secs(60);
    let mut round: Vec<_> = ACTIONS.iter().collect();
    world.random.shuffle(&mut round);
    let mut first = None;
    while failures.len() < ENOUGH {
        let action = match round.pop() {
            Some(action) => action,
            None if begin.elapsed() >= time => break,
            None => &ACTIONS[world.random.usize(..ACTIONS.len())],
        };
        *world.totals.actions.entry(action.name).or_default() += 1;
        if let Err(error) = (action.run)(&mut world) {
            let why = format!("{}: {error:#}", action.name);
            println!("soak: FAILED after {} s: {why}", begin.elapsed().as_secs());
            failures.push(why);
            world.recover()?;
        }
        let rss = world.resident()?;
        if round.is_empty() {
            first.get_or_insert(rss);
        }
        if begin.elapsed() >= next_line {
            next_line += Duration::from_secs(60);
            let minutes = begin.elapsed().as_secs() / 60;
            println!(
                "soak: {minutes} min: {}, {rss} KiB resident",
                world.totals.line()
            );
        }
    }
    let last = world.resident()?;
    let first = first.unwrap_or(last);
    let totals = world.end()?;
    print!("{totals}");
    println!(
        "  resident memory of the tracer: {first} KiB after the first round, {last} KiB at the end"
    );
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(
        last <= first + GROWTH,
        "its resident memory grew from {first} to {last} KiB"
    );
    left.is_all().context("what is left behind")?;
    drills(lab).context("the device afterwards")?;
    left.is_all()
        .context("what is left behind by the last trace")
}

/// A drill of which every cycle is traced, and agrees with the driver.
fn drills(lab: &mut Lab) -> Result<()> {
    lab.driver.clean()?;
    let trace = Trace::start(&["--fail-on-loss"])?;
    lab.driver.clear_log()?;
    lab.drill(&["--cycles", &LAST.to_string()])?.expect(0)?;
    let traced = trace.end(0)?;
    driver::agree(&traced.lines, &lab.driver.log()?)
}
