//! Opens and closes, and calls that were in flight when the trace began.

use std::fmt;
use std::io::{self, Write};

use super::{Relative, Text, YELLOW};
use crate::event::Node;
use crate::model::{Closed, InFlightCall, Opened};
use crate::sink::sentence;

impl<W: Write> Text<W> {
    pub(super) fn opened(&mut self, opened: &Opened) -> io::Result<()> {
        let who = self.vms.who(&opened.task);
        let text = format!("opened through {}  ({who})", NodeText(opened.node));
        self.line(opened.time_ns, &opened.device, &text)
    }

    pub(super) fn closed(&mut self, closed: &Closed) -> io::Result<()> {
        let who = self.vms.who(&closed.task);
        let text = format!("{}  ({who})", sentence::closed(closed));
        self.line(closed.time_ns, &closed.device, &text)
    }

    pub(super) fn in_flight_call(&mut self, call: &InFlightCall) -> io::Result<()> {
        let (what, task) = (call.what(), &call.task);
        let line = match call.last_seen_ns {
            None => {
                let waits = call.whereabouts();
                let waits =
                    waits.map_or_else(String::new, |place| format!(", and waits in {place}"));
                let line = self.begin(&format!("{what} was "));
                let line = line.paint("in flight", YELLOW);
                line.add(&format!(" when the trace began{waits}"))
            }
            Some(seen_ns) => {
                let seen = Relative::new(seen_ns, self.options.start_ns);
                self.begin(&format!(
                    "{what} ended after {seen}; its result was not observed"
                ))
            }
        };
        let line = line.add(&format!("  ({} {})", task.comm, task.tid));
        self.end(call.time_ns, &call.device, &line)
    }
}

/// A node by its path.
struct NodeText(Node);

impl fmt::Display for NodeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::Group {
                number: Some(number),
            } => write!(f, "/dev/vfio/{number}"),
            Node::Group { number: None } => f.write_str("a group"),
            Node::Container { .. } => f.write_str("/dev/vfio/vfio"),
            Node::Cdev {
                number: Some(number),
            } => write!(f, "/dev/vfio/devices/vfio{number}"),
            Node::Cdev { number: None } => f.write_str("a device node"),
            Node::Iommufd { .. } => f.write_str("/dev/iommu"),
        }
    }
}
