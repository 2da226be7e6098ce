//! A line of QEMU's trace log, in the two forms that its `log` backend writes with
//! `-msg timestamp=on` (QEMU's `scripts/tracetool/backend/log.py` and `util/log.c`):
//!
//! ```text
//! 4242@1795386745.123456:vfio_migration_set_state  (0000:01:00.0) new state STOP_COPY, …
//! 2026-11-22T22:32:25.123456Z vfio_migration_set_state  (0000:01:00.0) new state STOP_COPY, …
//! ```
//! QEMU writes the first form (with the thread's id) up to 10.1, the second since then. Both
//! stamps are CLOCK_REALTIME in microseconds, rounded down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The unit of the stamps, ns: an event happened at most this long after its stamp.
pub const RESOLUTION_NS: u64 = 1000;

/// A trace event of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// CLOCK_REALTIME, ns.
    pub wall_ns: u64,
    /// The thread (in QEMU's own PID namespace), if the line has it.
    pub tid: Option<u32>,
    /// The trace event's name.
    pub event: &'a str,
    /// Its arguments, as its format writes them.
    pub arguments: &'a str,
}

/// What was read of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogAccount {
    /// The log's name, as the user gave it.
    pub name: String,
    /// Whether the file exists.
    pub there: bool,
    /// Its lines; the sum of the following.
    pub lines: u64,
    /// Lines that became checkpoints on the time line.
    pub checkpoints: u64,
    /// Other trace events.
    pub others: u64,
    /// Trace events from before the trace began.
    pub earlier: u64,
    /// Trace events without a time: QEMU ran without `-msg timestamp=on`.
    pub untimed: u64,
    /// Lines that are no trace event of QEMU.
    pub foreign: u64,
    /// The largest error of a checkpoint's time, ns.
    pub error_ns: u64,
    /// How far the wall clock was moved against CLOCK_MONOTONIC during the trace, ns; added to
    /// the error.
    pub clock_moved_ns: u64,
    /// Bytes at its end that were not read: the log grew faster than it could be read.
    #[serde(default)]
    pub unread_bytes: u64,
}

/// Why a line was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It looks like a trace event, without a time stamp.
    Untimed,
    /// Another message of QEMU, or a line of another program.
    Foreign,
}

/// Reads one line, without its newline.
///
/// # Errors
/// If it is no trace event with a time.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Rejected> {
    let text = std::str::from_utf8(line).map_err(|_| Rejected::Foreign)?;
    if let Some((wall_ns, rest)) = iso_stamp(text) {
        let (event, arguments) = event(rest).ok_or(Rejected::Foreign)?;
        let tid = None;
        return Ok(Line {
            wall_ns,
            tid,
            event,
            arguments,
        });
    }
    if let Some((tid, wall_ns, rest)) = thread_stamp(text) {
        let (event, arguments) = event(rest).ok_or(Rejected::Foreign)?;
        return Ok(Line {
            wall_ns,
            tid: Some(tid),
            event,
            arguments,
        });
    }
    // A trace event's name has an underscore; a sentence does not begin with such a word.
    match event(text) {
        Some((name, _)) if name.contains('_') => Err(Rejected::Untimed),
        _ => Err(Rejected::Foreign),
    }
}

/// The name of an event and its arguments: the format puts one space between them, and may begin
/// with another.
fn event(text: &str) -> Option<(&str, &str)> {
    let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = !name.is_empty() && name.bytes().all(of_name);
    is_name.then(|| (name, arguments.trim()))
}

/// `TID@SECONDS.MICROSECONDS:`
fn thread_stamp(text: &str) -> Option<(u32, u64, &str)> {
    let (tid, rest) = text.split_once('@')?;
    let (stamp, rest) = rest.split_once(':')?;
    let (seconds, fraction) = stamp.split_once('.')?;
    let wall_ns = number::<u64>(seconds)?
        .checked_mul(1_000_000_000)?
        .checked_add(nanoseconds(fraction)?)?;
    Some((number(tid)?, wall_ns, rest))
}

/// `YYYY-MM-DDTHH:MM:SS.MICROSECONDSZ ` (`g_date_time_format_iso8601`, which leaves a fraction of
/// zero out).
fn iso_stamp(text: &str) -> Option<(u64, &str)> {
    let (stamp, rest) = text.split_once(' ')?;
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.split(':');
    let (hour, minute, second) = (time.next()?, time.next()?, time.next()?);
    if date.next().is_some() || time.next().is_some() || year.len() != 4 {
        return None;
    }
    let days = days_since_1970(number(year)?, number(month)?, number(day)?)?;
    let within = |text, end: u64| number::<u64>(text).filter(|value| *value < end);
    // A leap second is written as 60.
    let (hour, minute, second) = (within(hour, 24)?, within(minute, 60)?, within(second, 61)?);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let wall_ns = seconds
        .checked_mul(1_000_000_000)?
        .checked_add(nanoseconds(fraction)?)?;
    Some((wall_ns, rest))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` before, and for no date.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let every = |years: u64| year.is_multiple_of(years);
    let leap = every(4) && (!every(100) || every(400));
    let months = [
        31,
        28 + u64::from(leap),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || day == 0 || day > *months.get(before)? {
        return None;
    }
    let leaps_to = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps_to(year - 1) - leaps_to(1969);
    Some(years + months[..before].iter().sum::<u64>() + day - 1)
}

/// The digits behind a decimal point of seconds, ns.
fn nanoseconds(fraction: &str) -> Option<u64> {
    let digits = u32::try_from(fraction.len()).ok()?;
    let scale = 9_u32.checked_sub(digits)?;
    Some(number::<u64>(fraction)? * 10_u64.pow(scale))
}

/// Digits only: no sign, no space.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SET_STATE: &str = "(0000:01:00.0) new state STOP_COPY, recover state ERROR";

    #[test]
    fn the_form_with_the_thread() {
        let text = format!("4242@1795386745.000456:vfio_migration_set_state  {SET_STATE}");
        let line = parse(text.as_bytes()).unwrap();
        assert_eq!(line.wall_ns, 1_795_386_745_000_456_000);
        assert_eq!(
            (line.tid, line.event),
            (Some(4242), "vfio_migration_set_state")
        );
        assert_eq!(line.arguments, SET_STATE);
    }

    #[test]
    fn the_form_with_the_date() {
        let text = format!("2026-11-22T22:32:25.123456Z vfio_migration_set_state  {SET_STATE}");
        let line = parse(text.as_bytes()).unwrap();
        assert_eq!(line.wall_ns, 1_795_386_745_123_456_000);
        assert_eq!((line.tid, line.arguments), (None, SET_STATE));
        let bare = parse(b"1970-01-01T00:00:01Z migration_thread_setup_complete ").unwrap();
        assert_eq!((bare.wall_ns, bare.arguments), (1_000_000_000, ""));
    }

    #[test]
    fn a_line_without_an_event_or_a_time_is_rejected() {
        for (text, why) in [
            (
                "vfio_migration_set_state  (x) new state STOP",
                Rejected::Untimed,
            ),
            (
                "2026-11-22T22:32:25.1Z qemu-system-x86_64: warning: x",
                Rejected::Foreign,
            ),
            (
                "2026-02-29T22:32:25.1Z vm_state_notify running 0",
                Rejected::Foreign,
            ),
            (
                "2026-01-01T24:32:25.1Z vm_state_notify running 0",
                Rejected::Foreign,
            ),
            (
                "12@34.5678901234:vm_state_notify running 0",
                Rejected::Foreign,
            ),
            ("12@+34.5:vm_state_notify running 0", Rejected::Foreign),
            ("12@34.5:", Rejected::Foreign),
            (
                "99999999999@34.5:vm_state_notify running 0",
                Rejected::Foreign,
            ),
            (
                "12@99999999999999999999.5:vm_state_notify",
                Rejected::Foreign,
            ),
            ("", Rejected::Foreign),
            ("Hello, world", Rejected::Foreign),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(why), "{text}");
        }
        assert_eq!(parse(b"12@34.5:vm_state_\xff"), Err(Rejected::Foreign));
    }

    #[test]
    fn a_date_is_a_number_of_days() {
        for (date, days) in [
            ((1970, 1, 1), Some(0)),
            ((2000, 3, 1), Some(11_017)),
            ((2024, 2, 29), Some(19_782)),
            ((2026, 11, 22), Some(20_779)),
            ((2100, 2, 29), None),
            ((1969, 12, 31), None),
            ((2026, 13, 1), None),
            ((2026, 0, 1), None),
            ((2026, 1, 0), None),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn each_part_of_a_date_has_its_range() {
        let wall = |stamp: &str| {
            let text = format!("{stamp} vm_state_notify running 0");
            parse(text.as_bytes()).ok().map(|line| line.wall_ns)
        };
        let second = 1_000_000_000;
        assert_eq!(
            wall("1970-01-02T03:04:05.5Z"),
            Some(97_445 * second + 500_000_000)
        );
        assert_eq!(wall("1970-01-01T00:00:60Z"), Some(60 * second));
        assert_eq!(wall("1970-01-01T23:59:59Z"), Some(86_399 * second));
        for stamp in [
            "1970-01-01T00:00:61Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01-01T00:00:00Z",
            "1970-01-01T00:00:00:00Z",
            "01970-01-01T00:00:00Z",
            "970-01-01T00:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
        ] {
            assert_eq!(wall(stamp), None, "{stamp}");
        }
    }

    #[test]
    fn a_name_has_letters_digits_and_underscores() {
        let named = |text: &str| parse(text.as_bytes()).map(|line| line.event.to_owned());
        assert_eq!(named("1@2.3:a_1 x"), Ok("a_1".to_owned()));
        assert_eq!(named("1@2.3:a-1 x"), Err(Rejected::Foreign));
        assert_eq!(named("1@2.3: x"), Err(Rejected::Foreign));
        assert_eq!(named("vm-state_notify x"), Err(Rejected::Foreign));
        assert_eq!(named("warning x"), Err(Rejected::Foreign));
        assert_eq!(named("1@2.:a_1 x"), Err(Rejected::Foreign));
        assert_eq!(named("1@2.x:a_1 x"), Err(Rejected::Foreign));
    }

    #[test]
    fn the_days_follow_each_other() {
        let mut next = 0;
        for year in 1970..2402 {
            for month in 1..=12 {
                let last = (28..=31)
                    .rev()
                    .find(|day| days_since_1970(year, month, *day).is_some());
                let last = last.unwrap();
                assert_eq!(days_since_1970(year, month, last + 1), None);
                for day in 1..=last {
                    assert_eq!(
                        days_since_1970(year, month, day),
                        Some(next),
                        "{year}-{month}-{day}"
                    );
                    next += 1;
                }
            }
        }
        assert_eq!(next, 157_785, "105 leap days in 432 years");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _either = parse(&line);
        }

        #[test]
        fn nearly_right_lines_are_read(
            line in "[0-9]{0,3}@?[0-9]{0,12}\\.?[0-9]{0,10}:?[a-z_]{0,8} ?[a-z0-9(): ]{0,9}",
            iso in "[0-9]{3,5}-[0-9]{1,2}-[0-9]{1,2}T[0-9]{1,2}:[0-9]{1,2}:[0-9]{0,2}\\.?[0-9]{0,10}Z? ?[a-z_]{0,8}",
        ) {
            let _either = (parse(line.as_bytes()), parse(iso.as_bytes()));
        }

        #[test]
        fn any_time_is_read_to_the_microsecond(seconds in 0_u64..4_000_000_000, micros in 0_u64..1_000_000) {
            let thread = format!("7@{seconds}.{micros:06}:vm_state_notify running 0");
            let wall_ns = seconds * 1_000_000_000 + micros * 1000;
            prop_assert_eq!(parse(thread.as_bytes()).unwrap().wall_ns, wall_ns);
        }
    }
}
