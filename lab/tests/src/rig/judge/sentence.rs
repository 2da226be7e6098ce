//! Sentences about what happens to a device, the same from the user that does it and from the trace.
//!
//! A sentence names the device, the action and what came of it; it holds nothing that differs
//! from run to run (times, addresses, the numbers of fds and tasks).

use std::fmt;

use anyhow::{Context, Result};
use serde_json::Value;

/// An eventfd's place: IRQ index, sub-index, and what it is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// IRQ index.
    pub index: u32,
    /// Sub-index.
    pub sub: u32,
    /// `trigger`, `mask` or `unmask`.
    pub role: &'static str,
}

impl Place {
    /// Where the kernel signals.
    pub fn trigger(index: u32, sub: u32) -> Self {
        Self {
            index,
            sub,
            role: "trigger",
        }
    }

    /// Where the kernel listens for an unmask.
    pub fn unmask(index: u32, sub: u32) -> Self {
        Self {
            index,
            sub,
            role: "unmask",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of IRQ {}[{}]", self.role, self.index, self.sub)
    }
}

/// The eventfd that wakes a device's user from low power.
pub const WAKEUP: &str = "wakeup";

/// The field of an event, as text.
fn text(event: &Value, key: &str) -> String {
    match &event[key] {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    }
}

fn hex(event: &Value, key: &str) -> String {
    event[key]
        .as_u64()
        .map_or_else(|| "?".to_owned(), |value| format!("{value:#x}"))
}

/// The eventfd's place that an event names.
fn place(event: &Value) -> String {
    let role = text(event, "role");
    if role == WAKEUP {
        // It is no interrupt.
        return role;
    }
    format!(
        "{role} of IRQ {}[{}]",
        text(event, "irq_index"),
        text(event, "sub_index")
    )
}

/// A `SET_IRQS`: action (`trigger`, `mask`, `unmask`) and data (`none`, `bool`, `eventfd`).
pub fn set_irqs(index: u32, start: u32, count: u32, action: &str, data: &str) -> String {
    format!("SET_IRQS {index} {action} {data} {start}+{count}")
}

/// A `DEVICE_FEATURE`: its name, and `get`, `set` or `probe`.
pub fn feature(name: &str, operation: &str) -> String {
    format!("FEATURE {name} {operation}")
}

fn call(call: &Value) -> Result<String> {
    let number = |key: &str| {
        let number = call[key].as_u64().with_context(|| format!("no {key}"))?;
        Ok::<u32, anyhow::Error>(u32::try_from(number)?)
    };
    Ok(match text(call, "name").as_str() {
        "set_irqs" => {
            let data = match &call["data"] {
                Value::String(name) => name.clone(),
                Value::Object(named) => named.keys().next().cloned().unwrap_or_default(),
                _ => "?".to_owned(),
            };
            set_irqs(
                number("index")?,
                number("start")?,
                number("count")?,
                &text(call, "action"),
                &data,
            )
        }
        "get_irq_info" => format!("GET_IRQ_INFO {}", number("index")?),
        "get_region_info" => format!("GET_REGION_INFO {}", number("index")?),
        "feature" => {
            let operations = call["operations"].as_array().context("no operations")?;
            let operations: Vec<&str> = operations.iter().filter_map(Value::as_str).collect();
            let state = call["state"].as_str().map(|state| format!(" {state}"));
            let name = text(call, "feature_name");
            feature(&name, &operations.join("|")) + &state.unwrap_or_default()
        }
        "reset" => "RESET".to_owned(),
        "hot_reset" => "HOT_RESET".to_owned(),
        "other" => format!("request {:#x}", number("request")?),
        other => other.to_owned(),
    })
}

fn node(event: &Value) -> String {
    let node = &event["node"];
    match node["name"].as_str() {
        Some(name @ ("group" | "cdev")) => format!("{name} {}", text(node, "number")),
        Some(name) => name.to_owned(),
        None => "?".to_owned(),
    }
}

fn range(event: &Value) -> String {
    format!("{}+{}", hex(event, "offset"), hex(event, "size"))
}

/// The sentence about an event. `None`: how often it happens depends on the kernel; a test that
/// needs it counts it by other means.
pub fn of(event: &Value) -> Result<Option<String>> {
    let kind = text(event, "kind");
    let result = text(event, "result");
    let action = match kind.as_str() {
        "device" => format!(
            "device of {}, {}",
            text(event, "driver"),
            text(event, "origin")
        ),
        "close" => "close".to_owned(),
        "enter" => format!("begin {}", call(&event["call"])?),
        "exit" => format!("end {}: {result}", call(&event["call"])?),
        "context" => format!("{}, {}", place(event), text(event, "origin")),
        "signal" => {
            let whence = match (event["inside"].as_bool(), event["in_task"].as_bool()) {
                (Some(true), Some(true)) => Some(Whence::Inside),
                (Some(false), Some(true)) => Some(Whence::Outside),
                (Some(false), Some(false)) => Some(Whence::Interrupt),
                _ => None,
            };
            whence.map_or_else(
                || format!("{}: signalled by {event}", place(event)),
                |whence| signal(place(event), whence),
            )
        }
        "consumed" => format!("{}: kernel took {}", place(event), text(event, "value")),
        "read" if result == "ok" => format!("{}: read {}", place(event), text(event, "value")),
        "read" => format!("{}: read {result}", place(event)),
        "write" => format!("{}: wrote {}", place(event), text(event, "value")),
        "release" => format!("{}: released", place(event)),
        "map" => format!(
            "map {} {}: {result}, {}",
            text(event, "region"),
            range(event),
            text(event, "origin")
        ),
        "unmap" => format!("unmap {} {}", text(event, "region"), range(event)),
        "config_write" => format!(
            "config {} = {}: {result}",
            hex(event, "offset"),
            hex(event, "value")
        ),
        "dma" => format!(
            "dma {} {}+{}: {result}",
            text(event, "what"),
            hex(event, "iova"),
            hex(event, "size")
        ),
        "node_open" => format!("open {}: {result}", node(event)),
        "node_close" => format!("close {}", node(event)),
        "device_file" => format!("file of {}", node(event)),
        "data" => {
            let what = if event["write"] == Value::Bool(true) {
                "write"
            } else {
                "read"
            };
            let moved = text(event, "returned");
            let moved = if result == "ok" { &moved } else { &result };
            format!("data {what} {}: {moved}", text(event, "requested"))
        }
        "precopy_info" => format!(
            "precopy info {} {}: {result}",
            text(event, "initial_bytes"),
            text(event, "dirty_bytes")
        ),
        "state_write_enter" => format!("begin word {}", text(event, "word")),
        "state_write_exit" => format!("end word {}: {result}", text(event, "word")),
        "fault" | "zap" | "owner" => return Ok(None),
        other => anyhow::bail!("an unknown kind {other}: {event}"),
    };
    let device = event["device"].as_str().unwrap_or("-");
    Ok(Some(format!("{device} {action}")))
}

/// In which context the kernel signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// A thread inside an ioctl on the device: a software trigger.
    Inside,
    /// A thread that is in no call on a device.
    Outside,
    /// An interrupt.
    Interrupt,
}

/// A signal of a place.
pub fn signal(place: impl fmt::Display, whence: Whence) -> String {
    let whence = match whence {
        Whence::Inside => "inside of a call",
        Whence::Outside => "by a thread",
        Whence::Interrupt => "by an interrupt",
    };
    format!("{place}: signalled {whence}")
}

/// The sentences about all of the events.
pub fn all<'a>(events: impl IntoIterator<Item = &'a Value>) -> Result<Vec<String>> {
    let events: Vec<&Value> = events.into_iter().collect();
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
fn zaps(events: &[&Value]) -> Vec<String> {
    let zaps = events.iter().copied();
    let mut zaps: Vec<&Value> = zaps.filter(|event| event["kind"] == "zap").collect();
    let mut sentences = Vec::new();
    for call in events {
        let (name, cause) = match text(call, "kind").as_str() {
            "exit" => (self::call(&call["call"]).unwrap_or_default(), "ioctl"),
            "config_write" => (
                format!("config {} = {}", hex(call, "offset"), hex(call, "value")),
                "config_write",
            ),
            "state_write_exit" => (format!("word {}", text(call, "word")), "state_write"),
            _ => continue,
        };
        let span = call["begin_ns"].as_u64()..=call["time_ns"].as_u64();
        let before = zaps.len();
        zaps.retain(|zap| {
            let inside = span.contains(&zap["time_ns"].as_u64()) && zap["tid"] == call["tid"];
            !(inside && zap["cause"]["name"] == cause && zap["device"] == call["device"])
        });
        if zaps.len() < before {
            sentences.push(format!("{} {}", text(call, "device"), zapped(&name)));
        }
    }
    for zap in zaps {
        let sentence = match zap["cause"]["name"].as_str() {
            Some("unknown") => zapped("no call"),
            _ => format!("zapped by another call than the event names: {zap}"),
        };
        sentences.push(format!("{} {sentence}", text(zap, "device")));
    }
    sentences
}
