//! The machine and the clocks that a recording is of, as its feature records have them.

use super::{ClockPair, Machine, header::feature, kind};

/// What a recording says about where and when it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The machine; what is not known of it is empty, or 0.
    pub machine: Machine,
    /// One moment by both clocks; `None` if the recording has none.
    pub clocks: Option<ClockPair>,
}

impl Origin {
    /// Takes all records of a part of a file; what is none ends it.
    pub(super) fn take_all(&mut self, mut bytes: &[u8]) {
        while let Some((record, size)) = record(bytes) {
            let (number, body) = record;
            if number == kind::HEADER_FEATURE {
                self.take(body);
            }
            bytes = bytes.get(size..).unwrap_or_default();
        }
    }

    /// Takes the body of a feature record; one that is damaged is left out.
    pub(super) fn take(&mut self, body: &[u8]) {
        let Some((number, section)) = body.split_first_chunk() else {
            return;
        };
        let number = u32::try_from(u64::from_le_bytes(*number)).unwrap_or(u32::MAX);
        let machine = &mut self.machine;
        let text = match number {
            feature::HOSTNAME => &mut machine.host,
            feature::OSRELEASE => &mut machine.kernel,
            feature::CPUDESC => &mut machine.cpu,
            feature::NRCPUS => {
                if let (Some(all), Some(online)) = (half(section, 0), half(section, 4)) {
                    machine.cpus = (all, online);
                }
                return;
            }
            feature::CLOCK_DATA => {
                self.clocks = self.clocks.or_else(|| clocks(section));
                return;
            }
            _ => return,
        };
        if let Some(found) = string(section) {
            *text = found;
        }
    }
}

/// The first record: its kind, its body and its size with what follows it.
fn record(bytes: &[u8]) -> Option<((u32, &[u8]), usize)> {
    let number = half(bytes, 0)?;
    let size = usize::try_from(half(bytes, 4)? >> 16).ok()?;
    let body = bytes.get(8..size)?;
    let data = match number {
        kind::HEADER_TRACING_DATA => usize::try_from(half(body, 0)?).ok()?,
        _ => 0,
    };
    Some(((number, body), size.checked_add(data)?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// A string: its padded length, then itself, up to the first 0.
fn string(section: &[u8]) -> Option<String> {
    let length = usize::try_from(half(section, 0)?).ok()?;
    let text = section.get(4..)?.get(..length)?;
    let text = text.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn clocks(section: &[u8]) -> Option<ClockPair> {
    Some(ClockPair {
        wall_ns: word(section, 8)?,
        monotonic_ns: word(section, 16)?,
    })
}
