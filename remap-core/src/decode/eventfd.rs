//! Eventfds.

use remap_common::record;

use super::{answered, device_of, fd_of, known, result};
use crate::event::{Consumed, Context, ContextKey, DeviceKey, Read, Signal, Target, Write, bodies};

bodies! {
    Context(raw) => Self::Context(context(raw)?),
    Signal(raw) => Self::Signal(signal(raw)?),
    Consumed(raw) => Self::Consumed(consumed(raw)?),
    Read(raw) => Self::Read(read(raw)?),
    Write(raw) => Self::Write(write(raw)?),
    Release(raw) => Self::Release {
        context: ContextKey(raw.context),
        target: target(&raw.target)?,
    },
}

fn target(raw: &record::Target) -> Option<Target> {
    Some(Target {
        device: DeviceKey(raw.device),
        index: raw.index,
        sub: raw.sub,
        role: raw.role.known()?,
    })
}

fn context(raw: &record::Context) -> Option<Context> {
    Some(Context {
        context: ContextKey(raw.context),
        target: target(&raw.target)?,
        fd: fd_of(raw.fd),
        origin: raw.origin.known()?,
    })
}

fn signal(raw: &record::Signal) -> Option<Signal> {
    Some(Signal {
        context: ContextKey(raw.context),
        target: target(&raw.target)?,
        addend: raw.addend,
        count: known(raw.count, raw.count_known),
        inside: device_of(raw.inside),
        in_task: answered(raw.in_task),
    })
}

fn consumed(raw: &record::Consumed) -> Option<Consumed> {
    Some(Consumed {
        context: ContextKey(raw.context),
        target: target(&raw.target)?,
        value: known(raw.value, raw.value_known),
    })
}

fn read(raw: &record::Read) -> Option<Read> {
    Some(Read {
        context: ContextKey(raw.context),
        target: target(&raw.target)?,
        value: known(raw.value, raw.value_known),
        result: result(raw.result),
    })
}

fn write(raw: &record::Write) -> Option<Write> {
    Some(Write {
        context: ContextKey(raw.context),
        target: target(&raw.target)?,
        begin_ns: raw.begin_ns,
        value: known(raw.value, raw.value_known),
        result: result(raw.result),
    })
}
