//! State changes, and the time between them.

use std::fmt;
use std::io::{self, Write};

use super::{GREEN, RED, Text};
use crate::event::ResultName;
use crate::model::{Activity, Ns, Spent, StateInterval, Transition};
use crate::sink::words::{Bytes, Change, Count, MaybeNs, Percent};

impl<W: Write> Text<W> {
    pub(super) fn transition(&mut self, transition: &Transition) -> io::Result<()> {
        let change = Change(transition.from, transition.to);
        let way = Path(transition);
        let ns = transition.end_ns.unwrap_or(transition.begin_ns);
        let who = self.vms.who(&transition.task);
        let Some(result) = transition.result else {
            let text = format!("{change}{way}  did not return within the trace  ({who})");
            return self.line(ns, &transition.device, &text);
        };
        let colour = if result.is_ok() { GREEN } else { RED };
        let name = ResultName(result).to_string();
        let duration = MaybeNs(transition.duration());
        let rest = Rest(transition);
        let line = self.begin(&format!("{change}{way}  ")).paint(&name, colour);
        let line = line.add(&format!(" in {duration}{rest}  ({who})"));
        self.end(ns, &transition.device, &line)
    }

    /// Only where something happened: how long each state took the table says.
    pub(super) fn state_interval(&mut self, interval: &StateInterval) -> io::Result<()> {
        let doings = doings(&interval.activity);
        let mut words = doings;
        if let Some(precopy) = &interval.precopy {
            let (initial, dirty) = (Bytes(precopy.initial_bytes), Bytes(precopy.dirty_bytes));
            words.push(format!("{initial} initial and {dirty} dirty left"));
        }
        if words.is_empty() {
            return Ok(());
        }
        let (state, duration) = (interval.state, Ns(interval.duration()));
        let at_least = if interval.entered && interval.left {
            ""
        } else {
            "at least "
        };
        let words = words.join(", ");
        let text = format!("in {state} for {at_least}{duration}: {words}");
        self.line(interval.since_ns, &interval.device, &text)
    }
}

/// What happened, in words.
fn doings(activity: &Activity) -> Vec<String> {
    let mut words = Vec::new();
    let data = &activity.data;
    for (count, bytes, what) in [
        (data.reads, data.read_bytes, "read"),
        (data.writes, data.written_bytes, "written"),
    ] {
        if count > 0 {
            words.push(format!("{} of state data {what}", Bytes(bytes)));
        }
    }
    if let Some(errno) = data.errno {
        let failed = Count(data.failed, "read or write");
        words.push(format!("{failed} of state data failed, last with {errno}"));
    }
    if activity.zaps > 0 {
        words.push(Count(activity.zaps, "zap").to_string());
    }
    if activity.faults > 0 {
        let faults = Count(activity.faults, "fault");
        words.push(format!("{faults} in {}", Ns(activity.fault_ns)));
    }
    words
}

/// The states on the way.
struct Path<'a>(&'a Transition);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.path.iter().map(ToString::to_string).collect();
        match names.is_empty() {
            true => Ok(()),
            false => write!(f, " (through {})", names.join(", ")),
        }
    }
}

/// What follows the result.
struct Rest<'a>(&'a Transition);

impl fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.waited_ns, self.0.duration()) {
            (Some(0), _) => f.write_str(", without waiting for user space")?,
            (Some(ns), Some(whole)) => {
                let (waited, share) = (Ns(ns), Percent(ns, whole));
                write!(f, ", {waited} of it ({share}) waiting for user space")?;
            }
            _ => {}
        }
        if let Some(Spent {
            data_ns, fault_ns, ..
        }) = self.0.spent
        {
            for (ns, what) in [(data_ns, "with state data"), (fault_ns, "in faults")] {
                if ns > 0 {
                    write!(f, ", {} {what}", Ns(ns))?;
                }
            }
        }
        Ok(())
    }
}
