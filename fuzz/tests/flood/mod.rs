//! A pipeline with a sink that writes JSON, and what the records that it gets cost.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use remap_core::account::Account;
use remap_core::correlate::Options;
use remap_core::pipeline::{Filter, Pipeline};
use remap_core::sink::json::Json;
use remap_fuzz::HEAP;
use remap_fuzz::stream::play::START_NS;
use rustix::time::{ClockId, clock_gettime};
use zerocopy::IntoBytes as _;

/// The time between two records, ns.
const STEP_NS: u64 = 1_000;

/// So many records are read at a time.
const TURN: u64 = 256;

/// Where a record has its time.
const TIME: std::ops::Range<usize> = 8..16;

/// Drops what is written, and keeps the greatest size of the heap.
pub struct Peak(Rc<Cell<usize>>);

impl Write for Peak {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get().max(HEAP.allocated()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write(&[]).map(drop)
    }
}

/// What a flood took.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Time of the processor, ns.
    pub cpu_ns: u64,
    /// Bytes allocated in all.
    pub allocated: usize,
    /// The most that was allocated at a time, bytes.
    pub peak: usize,
}

/// A flood that is being made.
pub struct Flood {
    pipeline: Pipeline<Json<Peak>>,
    peak: Rc<Cell<usize>>,
    /// The record, aligned.
    record: Vec<u64>,
    now_ns: u64,
    count: u64,
    /// What was spent before it.
    before: Work,
}

fn spent() -> Work {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let ns = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    Work {
        cpu_ns: ns.cast_unsigned(),
        allocated: HEAP.total_allocated(),
        peak: HEAP.allocated(),
    }
}

impl Flood {
    /// Everything that is optional is written.
    pub fn new() -> Self {
        let before = spent();
        let peak = Rc::new(Cell::new(0));
        let options = Options {
            interrupts: true,
            mappings: true,
            stages: true,
            ..Options::default()
        };
        let sink = Json::new(Peak(Rc::clone(&peak)));
        let names = Box::new(|_| None);
        Self {
            pipeline: Pipeline::new(options, Filter::default(), names, false, sink).with_logs(),
            peak,
            record: Vec::new(),
            now_ns: START_NS,
            count: 0,
            before,
        }
    }

    /// The pipeline.
    pub fn pipeline(&mut self) -> &mut Pipeline<Json<Peak>> {
        &mut self.pipeline
    }

    /// A little time passes; the source reads in turns. Returns the new time.
    pub fn pass(&mut self) -> u64 {
        self.now_ns += STEP_NS;
        self.count += 1;
        if self.count.is_multiple_of(TURN) {
            let advanced = self.pipeline.advance(self.now_ns);
            advanced.expect("the sink takes all");
        }
        self.now_ns
    }

    /// Makes a record of the present time.
    pub fn record(&mut self, make: impl FnOnce(u64) -> Vec<u8>) {
        let time_ns = self.pass();
        let record = make(time_ns);
        self.record.clear();
        self.record.resize(record.len().div_ceil(8), 0);
        let aligned = &mut self.record.as_mut_bytes()[..record.len()];
        aligned.copy_from_slice(&record);
        self.pipeline.record(aligned);
    }

    /// A record comes once more, at the present time.
    pub fn again(&mut self, record: &[u8]) {
        self.record(|time_ns| {
            let mut record = record.to_vec();
            record[TIME].copy_from_slice(&time_ns.to_ne_bytes());
            record
        });
    }

    /// The trace ends.
    pub fn finish(self) -> Work {
        let ended = self.pipeline.finish(self.now_ns, &Account::default());
        ended.expect("the sink takes all");
        let (after, before) = (spent(), self.before);
        Work {
            cpu_ns: after.cpu_ns - before.cpu_ns,
            allocated: after.allocated - before.allocated,
            peak: self.peak.get().saturating_sub(before.peak),
        }
    }
}
