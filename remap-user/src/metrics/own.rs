//! What remap costs.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use crate::otlp::{Dropped, Queue};
use remap_core::metrics::Own;
use rustix::{
    param::page_size,
    time::{ClockId, clock_gettime},
};

/// The statuses of answers.
const STATUSES: [u16; 4] = [200, 404, 405, 503];

/// How many answers had each status.
#[derive(Clone, Default)]
pub struct Answers(Arc<[AtomicU64; STATUSES.len()]>);

impl Answers {
    pub fn count(&self, status: u16) {
        if let Some(at) = STATUSES.iter().position(|known| *known == status) {
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(&self) -> Vec<(u16, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        STATUSES.into_iter().zip(counts).collect()
    }
}

/// Reads what this process has used so far. What it reads is opened now: later it has no right to.
pub fn reader(answers: Answers, spans: Option<Queue>) -> impl Fn() -> Own + Send + Sync {
    let memory = File::open("/proc/self/statm").ok();
    let start_s = SystemTime::now().duration_since(UNIX_EPOCH);
    let start_s = start_s.map_or(0.0, |since| since.as_secs_f64());
    move || Own {
        version: env!("CARGO_PKG_VERSION"),
        start_s,
        cpu_ns: cpu_ns(),
        resident_bytes: memory.as_ref().and_then(resident_bytes),
        answers: answers.all(),
        spans: spans.as_ref().map_or_else(Vec::new, results),
    }
}

/// What became of the spans of a queue.
fn results(queue: &Queue) -> Vec<(&'static str, u64)> {
    let counts = queue.counts();
    let dropped = Dropped::ALL.map(|why| {
        let count = counts.dropped.get(why.name());
        (why.name(), count.copied().unwrap_or(0))
    });
    [("sent", counts.sent)].into_iter().chain(dropped).collect()
}

fn cpu_ns() -> Option<u64> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (s, ns) = (
        u64::try_from(time.tv_sec).ok()?,
        u64::try_from(time.tv_nsec).ok()?,
    );
    s.checked_mul(1_000_000_000)?.checked_add(ns)
}

/// The second number of /proc/PID/statm, in pages.
fn resident_bytes(statm: &File) -> Option<u64> {
    let mut text = [0; 128];
    let length = statm.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_time_and_memory() {
        let answers = Answers::default();
        answers.count(404);
        let own = reader(answers, None)();
        assert!(own.cpu_ns.unwrap() > 0 && own.resident_bytes.unwrap() > 1 << 20);
        assert_eq!(own.answers[1], (404, 1));
    }
}
