//! QEMU's own trace of a device's states: its requests, and their completions.

use anyhow::{Context, Result, ensure};

/// A trace event of QEMU (`hw/vfio/trace-events` of QEMU 10.0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `vfio_migration_set_state`: QEMU is about to request a state; with the state that it falls back
    /// to, ERROR for a reset.
    Ask { to: String, fallback: String },
    /// `vfio_migration_set_device_state`: the device is in this state now.
    Is { state: String },
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// CLOCK_REALTIME ns; cut off to microseconds.
    pub real_ns: u64,
    /// The device, by its PCI address.
    pub device: String,
    /// The event.
    pub kind: Kind,
}

/// The lines about states; QEMU traces more.
pub fn parse(text: &str) -> Result<Vec<Line>> {
    let lines = text
        .lines()
        .map(|line| one(line).with_context(|| format!("in QEMU's trace: {line}")));
    Ok(lines
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// `PID@SECONDS.MICROSECONDS:NAME WORDS`.
fn one(line: &str) -> Result<Option<Line>> {
    let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
    let name = head.rsplit(':').next().unwrap_or_default();
    let kind = match name {
        "vfio_migration_set_state" => {
            let states = after(rest, "new state ")?;
            let (to, fallback) = states
                .split_once(", recover state ")
                .context("no recover state")?;
            Kind::Ask {
                to: to.to_owned(),
                fallback: fallback.to_owned(),
            }
        }
        "vfio_migration_set_device_state" => Kind::Is {
            state: after(rest, "state ")?.to_owned(),
        },
        _ => return Ok(None),
    };
    let stamp = head.split_once('@').and_then(|(_, at)| at.split_once(':'));
    let (seconds, micros) = stamp
        .and_then(|(stamp, _)| stamp.split_once('.'))
        .context("no time: QEMU ran without -msg timestamp=on")?;
    ensure!(micros.len() == 6, "not microseconds");
    let device = rest.trim_start().strip_prefix('(').context("no device")?;
    Ok(Some(Line {
        real_ns: seconds.parse::<u64>()? * 1_000_000_000 + micros.parse::<u64>()? * 1000,
        device: device.split(')').next().unwrap_or_default().to_owned(),
        kind,
    }))
}

fn after<'a>(text: &'a str, mark: &str) -> Result<&'a str> {
    let (_, after) = text
        .split_once(mark)
        .with_context(|| format!("no {mark:?}"))?;
    Ok(after.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{Kind, parse};

    const TEXT: &str = "\
152@1795386459.165687:vfio_migration_realize  (0000:01:00.0)
152@1795386459.662181:vfio_migration_set_state  (0000:01:00.0) new state RUNNING_P2P, recover state ERROR
152@1795386459.663158:vfio_migration_set_device_state  (0000:01:00.0) state RUNNING_P2P
";

    #[test]
    fn states_are_read_and_the_rest_is_not() {
        let lines = parse(TEXT).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].device, "0000:01:00.0");
        assert_eq!(lines[0].real_ns, 1_795_386_459_662_181_000);
        let (to, fallback) = ("RUNNING_P2P".to_owned(), "ERROR".to_owned());
        assert_eq!(
            lines[0].kind,
            Kind::Ask {
                to: to.clone(),
                fallback
            }
        );
        assert_eq!(lines[1].kind, Kind::Is { state: to });
    }

    #[test]
    fn a_trace_without_times_is_refused() {
        let text = "vfio_migration_set_device_state  (0000:01:00.0) state STOP\n";
        let why = format!("{:#}", parse(text).unwrap_err());
        assert!(why.contains("timestamp=on"), "{why}");
    }
}
