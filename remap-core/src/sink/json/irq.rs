//! Interrupts.

use serde::Serialize;

use super::result_name;
use crate::event::UNKNOWN_INDEX;
use crate::model::{Interrupt, IrqChange};

/// An IRQ index, null where it is only inferred that there is one.
pub(super) fn known(index: u32) -> Option<u32> {
    (index != UNKNOWN_INDEX).then_some(index)
}

#[derive(Serialize)]
pub(super) struct IrqChangeLine<'a> {
    time_ns: u64,
    begin_ns: u64,
    device: &'a str,
    irq_index: Option<u32>,
    name: &'static str,
    verb: &'static str,
    start: u32,
    count: u32,
    result: String,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> IrqChangeLine<'a> {
    pub(super) fn of(change: &'a IrqChange) -> Self {
        Self {
            time_ns: change.time_ns,
            begin_ns: change.begin_ns,
            device: &change.device,
            irq_index: known(change.index),
            name: change.name.name(),
            verb: change.verb.name(),
            start: change.start,
            count: change.count,
            result: result_name(change.result),
            pid: change.task.pid,
            tid: change.task.tid,
            comm: &change.task.comm,
        }
    }
}

#[derive(Serialize)]
pub(super) struct InterruptLine<'a> {
    time_ns: u64,
    device: &'a str,
    irq_index: Option<u32>,
    name: &'static str,
    sub_index: u32,
    signal_ns: Option<u64>,
    signals: Option<u64>,
    in_kernel: bool,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> InterruptLine<'a> {
    pub(super) fn of(interrupt: &'a Interrupt) -> Self {
        Self {
            time_ns: interrupt.time_ns,
            device: &interrupt.device,
            irq_index: known(interrupt.index),
            name: interrupt.name.name(),
            sub_index: interrupt.sub,
            signal_ns: interrupt.signal_ns,
            signals: interrupt.signals,
            in_kernel: interrupt.in_kernel,
            pid: interrupt.task.pid,
            tid: interrupt.task.tid,
            comm: &interrupt.task.comm,
        }
    }
}
