//! Sentences about what happens to a device, the same from the user that does it and from the trace.
//!
//! A sentence names the device, the action and what came of it; it holds nothing that differs
//! from run to run (times, addresses, the numbers of fds and tasks).

use std::fmt::{self, Debug, Display};

use anyhow::{Context, Result};
use remap_core::event::{
    self, Body, Call, ConfigWrite, Errno, FeatureOp, IrqData, Node, Role, Target, ZapCause,
    feature_name,
};
use remap_core::parse::region::Area;

use crate::rig::line::Named;
use crate::rig::trace::is_realtime;

/// An eventfd's place: IRQ index, sub-index, and what it is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// IRQ index.
    pub index: u32,
    /// Sub-index.
    pub sub: u32,
    /// What for.
    pub role: Role,
}

impl Place {
    /// Where the kernel signals.
    pub fn trigger(index: u32, sub: u32) -> Self {
        let role = Role::Trigger;
        Self { index, sub, role }
    }

    /// Where the kernel listens for an unmask.
    pub fn unmask(index: u32, sub: u32) -> Self {
        let role = Role::Unmask;
        Self { index, sub, role }
    }
}

impl From<&Target> for Place {
    fn from(target: &Target) -> Self {
        let Target {
            index, sub, role, ..
        } = *target;
        Self { index, sub, role }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            // It is no interrupt.
            Role::Wakeup => f.write_str(WAKEUP),
            role => write!(f, "{} of IRQ {}[{}]", role.name(), self.index, self.sub),
        }
    }
}

/// The eventfd that wakes a device's user from low power.
pub const WAKEUP: &str = "wakeup";

/// A value, if it could be read.
pub fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

/// `ok`, or the errno's name.
pub fn outcome<T>(result: &Result<T, Errno>) -> String {
    moved(&result.as_ref().map(|_| "ok").map_err(|errno| *errno))
}

/// What a call returned, or the errno's name.
pub fn moved(result: &Result<impl Display, Errno>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(errno) => errno.to_string(),
    }
}

/// A `SET_IRQS`: action and data (`none`, `bool`, `eventfd`).
pub fn set_irqs(index: u32, start: u32, count: u32, action: impl Debug, data: &str) -> String {
    format!("SET_IRQS {index} {action:?} {data} {start}+{count}")
}

/// A `DEVICE_FEATURE`: its name, and `get`, `set` or `probe`.
pub fn feature(name: &str, operation: &str) -> String {
    format!("FEATURE {name} {operation}")
}

fn call(call: &Call) -> String {
    match call {
        Call::SetIrqs {
            index,
            start,
            count,
            action,
            data,
        } => {
            let data = match data {
                IrqData::None => "none",
                IrqData::Bool(_) => "bool",
                IrqData::Eventfd(_) => "eventfd",
                IrqData::Unknown(_) => "unknown",
            };
            set_irqs(*index, *start, *count, action, data)
        }
        Call::GetIrqInfo { index } => format!("GET_IRQ_INFO {index}"),
        Call::GetRegionInfo { index } => format!("GET_REGION_INFO {index}"),
        Call::Feature {
            feature: number,
            op: FeatureOp { get, set, probe },
            data,
        } => {
            let operations = [(*get, "get"), (*set, "set"), (*probe, "probe")];
            let asked = operations.into_iter().filter(|(is_asked, _)| *is_asked);
            let asked: Vec<&str> = asked.map(|(_, operation)| operation).collect();
            let state = data.state.map(|state| format!(" {state}"));
            let name = known(feature_name(*number));
            feature(&name, &asked.join("|")) + &state.unwrap_or_default()
        }
        Call::Reset => "RESET".to_owned(),
        Call::HotReset => "HOT_RESET".to_owned(),
        Call::BindIommufd { .. } => "BIND_IOMMUFD".to_owned(),
        Call::AttachPt { .. } => "ATTACH_IOMMUFD_PT".to_owned(),
        Call::DetachPt => "DETACH_IOMMUFD_PT".to_owned(),
        Call::Other { request } => format!("request {request:#x}"),
        Call::Unreadable { request } => format!("unreadable {request:#x}"),
    }
}

fn node(node: &Node) -> String {
    match node {
        Node::Group { number } => format!("group {}", known(*number)),
        Node::Cdev { number } => format!("cdev {}", known(*number)),
        Node::Container { .. } => "container".to_owned(),
        Node::Iommufd { .. } => "iommufd".to_owned(),
    }
}

fn config(write: &ConfigWrite) -> String {
    let value = known(write.value.map(|value| format!("{value:#x}")));
    format!("config {:#x} = {value}", write.offset)
}

/// A part of a region.
fn part(place: &event::Place) -> String {
    let Area { offset, size } = place.area;
    format!("{} {offset:#x}+{size:#x}", place.region)
}

/// The sentence about an event. `None`: how often it happens depends on the kernel; a test that
/// needs it counts it by other means.
pub fn of((device, event): Named<'_>) -> Result<Option<String>> {
    let action = match &event.body {
        Body::Device(seen) => {
            let driver = known(seen.driver.as_ref());
            format!("device of {driver}, {}", seen.origin.name())
        }
        Body::Close { .. } => "close".to_owned(),
        Body::Enter { call, .. } => format!("begin {}", self::call(call)),
        Body::Exit(exit) => format!("end {}: {}", call(&exit.call), outcome(&exit.result)),
        Body::Map(map) => {
            let (part, result) = (part(&map.place), outcome(&map.result));
            format!("map {part}: {result}, {}", map.origin.name())
        }
        Body::Unmap(unmap) => format!("unmap {}", part(&unmap.place)),
        Body::ConfigWrite(write) => format!("{}: {}", config(write), outcome(&write.result)),
        Body::Dma(dma) => {
            let (what, iova, size) = (dma.kind.name(), dma.iova, dma.size);
            format!("dma {what} {iova:#x}+{size:#x}: {}", outcome(&dma.result))
        }
        Body::NodeOpen { node, result } => {
            format!("open {}: {}", self::node(node), outcome(result))
        }
        Body::NodeClose { node } => format!("close {}", self::node(node)),
        Body::DeviceFile(file) => format!("file of {}", node(&file.node)),
        Body::Data(data) => {
            let what = if data.write { "write" } else { "read" };
            format!("data {what} {}: {}", data.requested, moved(&data.result))
        }
        Body::PrecopyInfo(info) => {
            let (initial, dirty) = (info.initial_bytes, info.dirty_bytes);
            let result = outcome(&info.result);
            format!("precopy info {} {}: {result}", known(initial), known(dirty))
        }
        Body::StateWriteEnter(write) => format!("begin word {}", known(write.word)),
        Body::StateWriteExit(write) => {
            format!("end word {}: {}", known(write.word), outcome(&write.result))
        }
        Body::Fault(_) | Body::Zap(_) | Body::Owner { .. } | Body::Request { .. } => {
            return Ok(None);
        }
        body => of_eventfd(body).with_context(|| format!("no user does this: {event:?}"))?,
    };
    Ok(Some(format!("{} {action}", device.unwrap_or("-"))))
}

/// What happened to an eventfd; `None`: it is about none.
fn of_eventfd(body: &Body) -> Option<String> {
    let (target, action) = match body {
        Body::Context(context) => {
            let place = Place::from(&context.target);
            return Some(format!("{place}, {}", context.origin.name()));
        }
        Body::Signal(signal) => {
            let whence = Whence::of(signal.inside.is_some(), signal.in_task);
            return Some(self::signal(Place::from(&signal.target), whence));
        }
        Body::Consumed(taken) => (&taken.target, format!("kernel took {}", known(taken.value))),
        Body::Read(read) => {
            let value = moved(&read.result.map(|_| known(read.value)));
            (&read.target, format!("read {value}"))
        }
        Body::Write(write) => (&write.target, format!("wrote {}", known(write.value))),
        Body::Release { target, .. } => (target, "released".to_owned()),
        _ => return None,
    };
    Some(format!("{}: {action}", Place::from(target)))
}

/// In which context the kernel signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// A thread inside an ioctl on the device: a software trigger.
    Inside,
    /// A thread that is in no call on a device.
    Outside,
    /// An interrupt; of a device only where its handler is not a thread ([`Self::of_a_device`]).
    Interrupt,
    /// None of these, or it could not be read: no user records this.
    Unknown,
}

impl Whence {
    /// In which context the kernel handles a device's interrupt.
    pub fn of_a_device() -> Self {
        if is_realtime() {
            Self::Outside
        } else {
            Self::Interrupt
        }
    }

    fn of(inside: bool, in_task: Option<bool>) -> Self {
        match (inside, in_task) {
            (true, Some(true)) => Self::Inside,
            (false, Some(true)) => Self::Outside,
            (false, Some(false)) => Self::Interrupt,
            _ => Self::Unknown,
        }
    }
}

/// A signal of a place.
pub fn signal(place: impl Display, whence: Whence) -> String {
    let whence = match whence {
        Whence::Inside => "inside of a call",
        Whence::Outside => "by a thread",
        Whence::Interrupt => "by an interrupt",
        Whence::Unknown => "in an unknown context",
    };
    format!("{place}: signalled {whence}")
}

/// The sentences about all of the events.
pub fn all<'a>(events: impl IntoIterator<Item = Named<'a>>) -> Result<Vec<String>> {
    let events: Vec<Named<'_>> = events.into_iter().collect();
    let mut sentences = zaps(&events);
    for event in events {
        sentences.extend(of(event)?);
    }
    Ok(sentences)
}

/// A call that zaps every mapping.
pub fn zapped(call: &str) -> String {
    format!("zapped by {call}")
}

/// One sentence for each call that zapped, however many zaps it took; and one for each zap that
/// belongs to no call.
fn zaps(events: &[Named<'_>]) -> Vec<String> {
    let zaps = events
        .iter()
        .filter_map(|(device, event)| match &event.body {
            Body::Zap(zap) => Some((device, event, zap.cause)),
            _ => None,
        });
    let mut zaps: Vec<_> = zaps.collect();
    let mut sentences = Vec::new();
    for (device, event) in events {
        let (name, begin_ns, is_cause): (_, _, fn(&ZapCause) -> bool) = match &event.body {
            Body::Exit(exit) => (call(&exit.call), exit.begin_ns, |cause| {
                matches!(cause, ZapCause::Ioctl { .. })
            }),
            Body::ConfigWrite(write) => (config(write), write.begin_ns, |cause| {
                matches!(cause, ZapCause::ConfigWrite { .. })
            }),
            Body::StateWriteExit(write) => {
                let name = format!("word {}", known(write.word));
                (name, write.begin_ns, |cause| *cause == ZapCause::StateWrite)
            }
            _ => continue,
        };
        let before = zaps.len();
        zaps.retain(|(of, zap, by)| {
            let inside =
                (begin_ns..=event.time_ns).contains(&zap.time_ns) && zap.task.tid == event.task.tid;
            !(inside && is_cause(by) && *of == device)
        });
        if zaps.len() < before {
            sentences.push(format!("{} {}", device.unwrap_or("-"), zapped(&name)));
        }
    }
    for (device, zap, cause) in zaps {
        let sentence = match cause {
            ZapCause::Unknown => zapped("no call"),
            _ => format!("zapped by another call than the event names: {zap:?}"),
        };
        sentences.push(format!("{} {sentence}", device.unwrap_or("-")));
    }
    sentences
}
