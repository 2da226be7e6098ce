//! Whatever is recorded, a trace stays within its memory, and its time grows with the number of records.
//!
//! Each flood is run twice, the second time with four times as many records. Both the processor's time and
//! the bytes that are allocated must grow with the number, not with its square; and the heap must stay
//! within the budget.

mod flood;

use libtest_mimic::{Arguments, Failed, Trial};
use remap_common::record::KINDS;
use remap_core::account::Loss;
use remap_core::vmm::checkpoint::Checkpoint;
use remap_fuzz::BUDGET;
use remap_fuzz::forged::{Fresh, record};
use remap_fuzz::recording::{self, Frame};

use flood::{Flood, Work};

/// How many records the shorter run has: the longer one has more than most tables hold.
const RECORDS: u64 = 1250;

/// How much more work four times as many records may be: 4 if it is in proportion, 16 if it is the square.
const MOST: f64 = 8.0;

/// How often the time is measured: other programs can only make it longer.
const ATTEMPTS: usize = 3;

/// How many records the shorter run has: `REMAP_FLOOD` for more than an ordinary test has time for.
fn records() -> u64 {
    let wanted = std::env::var("REMAP_FLOOD").ok();
    wanted.map_or(RECORDS, |wanted| {
        wanted.parse().expect("REMAP_FLOOD is a number")
    })
}

/// Runs a flood twice.
fn check(flood: impl Fn(&mut Flood, u64)) -> Result<(), Failed> {
    let run = |records| {
        let mut made = Flood::new();
        (0..records).for_each(|n| flood(&mut made, n));
        made.finish()
    };
    let mut cpu_ns = [u64::MAX; 2];
    let mut text = String::new();
    for _ in 0..ATTEMPTS {
        let works: [Work; 2] = [run(records()), run(4 * records())];
        let [one, four] = &works;
        let bytes = four.allocated as f64 / one.allocated as f64;
        if bytes > MOST || four.peak > BUDGET {
            return Err(
                format!("{bytes:.1} times the bytes, {} bytes at a time", four.peak).into(),
            );
        }
        for (least, work) in cpu_ns.iter_mut().zip(&works) {
            *least = work.cpu_ns.min(*least);
        }
        let times = cpu_ns[1] as f64 / cpu_ns[0] as f64;
        if times <= MOST {
            return Ok(());
        }
        text = format!("{times:.1} times the time for 4 times as many records: {cpu_ns:?} ns");
    }
    Err(text.into())
}

/// Records of one kind, each about something new.
fn forged() -> impl Iterator<Item = Trial> {
    KINDS.iter().flat_map(|kind| {
        Fresh::ALL.map(|fresh| {
            let name = format!("forged::{}::{fresh:?}", kind.name);
            Trial::test(name, move || {
                check(|flood, n| flood.record(|time_ns| record(kind, fresh, n, time_ns)))
            })
        })
    })
}

/// A recording up to its last record of each kind, which then comes again and again.
fn repeated() -> impl Iterator<Item = Trial> {
    let (_, bytes) = recording::ALL[2];
    KINDS.iter().filter_map(move |kind| {
        let mut records = Vec::new();
        for frame in recording::frames(bytes) {
            if let Frame::Record(record) = frame {
                records.push(record.to_vec());
            }
        }
        let number = kind.number.to_ne_bytes();
        let last = records
            .iter()
            .rposition(|record| record.starts_with(&number))?;
        records.truncate(last + 1);
        Some(Trial::test(format!("repeated::{}", kind.name), move || {
            check(|flood, n| {
                let at = usize::try_from(n).unwrap_or(last).min(last);
                flood.again(&records[at]);
            })
        }))
    })
}

/// What does not come from the ring.
fn others() -> [Trial; 4] {
    let downtime = |flood: &mut Flood, event: &str, arguments: &str, device| {
        let time_ns = flood.pass();
        flood.pipeline().checkpoint(Checkpoint {
            time_ns,
            error_ns: 0,
            log: "source".to_owned(),
            tid: None,
            event: event.to_owned(),
            arguments: arguments.to_owned(),
            device,
        });
    };
    let steps = move || {
        check(|flood, n| {
            let begins = n == 0;
            let name = if begins {
                "src-downtime-start"
            } else {
                "src-vm-stopped"
            };
            downtime(
                flood,
                "vmstate_downtime_checkpoint",
                name,
                Some(format!("{n:x}")),
            );
        })
    };
    let downtimes = move || {
        check(|flood, n| {
            let ends = n % 2 == 1;
            let name = if ends {
                "src-downtime-end"
            } else {
                "src-downtime-start"
            };
            downtime(flood, "vmstate_downtime_checkpoint", name, None);
        })
    };
    let losses = || {
        check(|flood, n| {
            let from_ns = flood.pass();
            flood.pipeline().losses([Loss {
                device: Some(n),
                ..Loss::any(1, (from_ns, from_ns + 1_000_000_000))
            }]);
            flood.record(|time_ns| record(&KINDS[0], Fresh::Addresses, n, time_ns));
        })
    };
    let future = || {
        check(|flood, n| {
            flood.record(|time_ns| record(&KINDS[3], Fresh::All, n, time_ns + (1 << 50)));
        })
    };
    [
        Trial::test("log::steps", steps),
        Trial::test("log::downtimes", downtimes),
        Trial::test("losses::of_many_devices", losses),
        Trial::test("order::of_the_future", future),
    ]
}

fn main() {
    let mut arguments = Arguments::from_args();
    // The heap is that of the process.
    arguments.test_threads = Some(1);
    let trials = forged().chain(repeated()).chain(others());
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
