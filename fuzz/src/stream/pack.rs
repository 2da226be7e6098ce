//! Recordings → streams: the seeds.

use std::collections::BTreeMap;

use remap_common::record::{Header, LostKind};
use remap_core::replay::Step;
use zerocopy::FromBytes as _;

use super::{ADVANCE, CALL, LOG, LOSS, OWNER, RETURN, append, kind, times, turn};
use crate::recording::Frame;

/// How long a seed is at most, bytes: libFuzzer prefers small inputs.
const LONGEST: usize = 1024;

/// Kinds that introduce a device; each seed begins with those before it.
const INTRODUCTIONS: [u8; 3] = [1, 5, 20];

/// Packs a recording item by item.
struct Packer {
    now_ns: u64,
    /// The number of each thread, in the order of appearance.
    tasks: BTreeMap<u32, u8>,
}

/// The items of a recording, each with its bytes.
pub fn pack(frames: &[Frame]) -> Vec<Vec<u8>> {
    let mut packer = Packer {
        now_ns: super::play::START_NS,
        tasks: BTreeMap::new(),
    };
    let items = frames.iter();
    let items = items.filter_map(|frame| packer.item(frame));
    let encode = |(operation, payload): (u8, Vec<u8>)| {
        let mut bytes = Vec::new();
        append(&mut bytes, (operation, &payload));
        bytes
    };
    items.map(encode).collect()
}

/// Excerpts of a stream, as seeds with these switches.
pub fn excerpts(items: &[Vec<u8>], switches: u8) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut known: Vec<u8> = vec![switches];
    let mut seed = known.clone();
    for item in items {
        if seed.len() + item.len() > LONGEST {
            seeds.push(std::mem::replace(&mut seed, known.clone()));
        }
        seed.extend(item);
        let introduces = item
            .first()
            .is_some_and(|first| INTRODUCTIONS.contains(first));
        if introduces && known.len() + item.len() < LONGEST / 3 {
            known.extend(item);
        }
    }
    seeds.push(seed);
    seeds
}

impl Packer {
    fn item(&mut self, frame: &Frame) -> Option<(u8, Vec<u8>)> {
        match frame {
            Frame::Record(bytes) => self.record(bytes),
            Frame::Step(step) => self.step(step),
        }
    }

    /// The time since the last item, which becomes the last.
    fn since(&mut self, time_ns: u64) -> [u8; 8] {
        let since = time_ns.wrapping_sub(std::mem::replace(&mut self.now_ns, time_ns));
        since.to_le_bytes()
    }

    fn task(&mut self, pid: u32, tid: u32) -> u8 {
        // The leader of a process, and up to seven of its threads.
        let next = |tasks: &BTreeMap<u32, u8>, step: u8| {
            tasks
                .values()
                .max()
                .map_or(0, |last| (last | (step - 1)).wrapping_add(1))
        };
        let leader = next(&self.tasks, 8);
        let leader = *self.tasks.entry(pid).or_insert(leader);
        let thread = leader | (tid.wrapping_sub(pid) & 7) as u8;
        *self.tasks.entry(tid).or_insert(thread)
    }

    fn record(&mut self, bytes: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (header, _) = Header::read_from_prefix(bytes).ok()?;
        let mut record = bytes.to_vec();
        if let Some(kind) = kind(header.kind) {
            times(kind).for_each(|offset| turn(&mut record, offset, header.time_ns));
        }
        let mut payload = vec![self.task(header.pid, header.tid)];
        payload.extend(self.since(header.time_ns));
        payload.extend(record.get(size_of::<Header>()..)?);
        let used = payload
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        payload.truncate(used.max(9));
        Some((u8::try_from(header.kind).ok()?, payload))
    }

    fn step(&mut self, step: &Step) -> Option<(u8, Vec<u8>)> {
        Some(match step {
            Step::Advance { watermark_ns } => (ADVANCE, self.since(*watermark_ns).to_vec()),
            Step::Losses { losses } => {
                let loss = losses.first()?;
                let records = LostKind::Other as u8;
                let mut payload = vec![records, loss.device.map_or(0, |device| device as u8)];
                payload.extend((loss.count as u16).to_le_bytes());
                for time_ns in [loss.from_ns, loss.until_ns] {
                    payload.extend(self.now_ns.wrapping_sub(time_ns).to_le_bytes());
                }
                (LOSS, payload)
            }
            Step::Owner { vm, .. } => (OWNER, vm.clone().unwrap_or_default().into_bytes()),
            Step::Call(call) => {
                let task = self.task(call.task.pid, call.task.tid);
                let mut payload = vec![task, call.device as u8, u8::try_from(call.number).ok()?];
                payload.extend(self.since(call.time_ns));
                payload.extend(call.arguments[1].to_le_bytes());
                payload.extend(call.arguments[3].to_le_bytes());
                let mut memory = call.memory.clone();
                memory.resize(64, 0);
                payload.extend(memory);
                payload.extend(call.stack.as_bytes());
                (CALL, payload)
            }
            Step::Return(returned) => {
                let task = self.task(returned.task.pid, returned.task.tid);
                let mut payload = vec![task, returned.device as u8];
                payload.extend(self.since(returned.time_ns));
                payload.extend(self.now_ns.wrapping_sub(returned.seen_ns).to_le_bytes());
                (RETURN, payload)
            }
            Step::Checkpoint(checkpoint) => {
                let mut payload = vec![u8::from(checkpoint.log.contains("dst"))];
                payload.extend(self.since(checkpoint.time_ns));
                payload.extend(format!("{} {}", checkpoint.event, checkpoint.arguments).bytes());
                (LOG, payload)
            }
            Step::Start(_) | Step::Blind(_) | Step::Logs { .. } | Step::Finish { .. } => {
                return None;
            }
        })
    }
}
