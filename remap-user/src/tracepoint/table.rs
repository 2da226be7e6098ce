//! Every tracepoint: what it is about, and its fields.
//!
//! Each is a USDT probe `remap:<name>` of this binary, with the fields as its arguments. A probe
//! that no program is attached to costs the test of a word. Where the kernel has user_events, each is also
//! one of them.

use probe::probe_lazy;
use remap_core::{
    model::{
        Closed, Cycle, Finding, Interrupt, Opened, Stage, StageLine, StateInterval, Transition, Zap,
    },
    vmm::downtime::Downtime,
};

use super::value::{Fire, Texts, Value};

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// 64 bits, all set where it is not known.
    Number,
}

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
}

/// A tracepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracepoint {
    /// Its name.
    pub name: &'static str,
    /// When it fires.
    pub doc: &'static str,
    /// Its fields, in the order of the arguments.
    pub fields: &'static [Field],
}

macro_rules! tracepoints {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident($of:ident: $type:ty) {
            $( $(#[doc = $field_doc:literal])* $field:ident: $kind:ident = $value:expr, )*
        }
    )*) => {
        /// All of them.
        pub const TRACEPOINTS: &[Tracepoint] = &[
            $(Tracepoint {
                name: stringify!($name),
                doc: concat!($($doc),*).trim_ascii(),
                fields: &[
                    $(Field {
                        name: stringify!($field),
                        kind: Kind::$kind,
                        doc: concat!($($field_doc),*).trim_ascii(),
                    },)*
                ],
            },)*
        ];

        $(
            $(#[doc = $doc])*
            pub fn $name($of: $type, also: &mut Option<impl Fire>) {
                let texts = Texts::default();
                probe_lazy!(remap, $name, $(texts.argument($value)),*);
                if let Some(events) = also {
                    events.fire(stringify!($name), || vec![$(Value::from($value)),*]);
                }
            }
        )*
    };
}

tracepoints! {
    /// A cycle ended.
    cycle(cycle: &Cycle) {
        /// Name of the device.
        device: Text = &cycle.device,
        /// Region index.
        region: Number = cycle.region,
        /// How it ended.
        outcome: Text = cycle.outcome.name(),
        /// The driver signalled.
        trigger_ns: Number = cycle.stages.ns(Stage::Trigger),
        /// From the trigger to the release.
        total_ns: Number = cycle.stages.total(),
        /// Number of the trigger within the trace.
        trigger_id: Number = cycle.trigger_id,
        /// User space had read the eventfd.
        wake_ns: Number = cycle.stages.ns(Stage::Wake),
        /// User space had asked for the region's description.
        requery_ns: Number = cycle.stages.ns(Stage::Requery),
        /// User space acknowledged.
        ack_ns: Number = cycle.stages.ns(Stage::Ack),
        /// The process that answered.
        pid: Number = cycle.owner().map(|task| task.pid),
    }

    /// A stage of a cycle was observed; with --stages.
    stage(line: &StageLine) {
        /// Name of the device.
        device: Text = &line.device,
        /// Region index.
        region: Number = line.region,
        /// Which stage.
        stage: Text = line.stage.name(),
        /// Number of the trigger within the trace.
        trigger_id: Number = line.trigger_id,
        /// When.
        time_ns: Number = line.time_ns,
        /// The process.
        pid: Number = line.task.pid,
    }

    /// A state change ended.
    transition(change: &Transition) {
        /// Name of the device.
        device: Text = &change.device,
        /// The state before.
        from: Text = change.from,
        /// The state asked for.
        to: Text = change.to,
        /// When it began.
        begin_ns: Number = change.begin_ns,
        /// How long it took.
        duration_ns: Number = change.duration(),
        /// How much of it the driver waited for user space.
        waited_ns: Number = change.waited_ns,
        /// 0, or the errno.
        errno: Number = change.result,
        /// The process.
        pid: Number = change.task.pid,
    }

    /// A device left a migration state.
    state_interval(interval: &StateInterval) {
        /// Name of the device.
        device: Text = &interval.device,
        /// The state.
        state: Text = interval.state,
        /// Since when it is known to be in it.
        since_ns: Number = interval.since_ns,
        /// How long it is known to have been.
        duration_ns: Number = interval.duration(),
    }

    /// A signalled eventfd was read, or taken by the kernel; with --class irq.
    interrupt(interrupt: &Interrupt) {
        /// Name of the device.
        device: Text = &interrupt.device,
        /// The IRQ index in words.
        irq: Text = interrupt.name.name(),
        /// Sub-index.
        sub: Number = interrupt.sub,
        /// The first signal that the reader got.
        signal_ns: Number = interrupt.signal_ns,
        /// From that to the read.
        latency_ns: Number = interrupt.latency(),
        /// How many signals the reader got.
        signals: Number = interrupt.signals,
        /// The process.
        pid: Number = interrupt.task.pid,
    }

    /// Mappings lost their pages, and what followed is over.
    zap(zap: &Zap) {
        /// Name of the device.
        device: Text = &zap.device,
        /// What the call was for.
        cause: Text = zap.cause.kind.name(),
        /// When it began.
        time_ns: Number = zap.time_ns,
        /// From the zap to the last fault that populated.
        duration_ns: Number = zap.duration(),
        /// Time in which at least one thread was in a fault.
        fault_ns: Number = zap.fault_ns,
        /// The process.
        pid: Number = zap.task.pid,
    }

    /// A violation of a rule, or another problem.
    finding(finding: &Finding) {
        /// Name of the device.
        device: Text = &finding.device,
        /// The rule, as in docs/json.md.
        rule: Text = finding.rule().name(),
        /// When it was found.
        time_ns: Number = finding.time_ns,
        /// Region index, if it concerns one region.
        region: Number = finding.region,
        /// Number of the trigger, if it concerns one.
        trigger_id: Number = finding.trigger_id,
    }

    /// A device's file was made.
    opened(opened: &Opened) {
        /// Name of the device.
        device: Text = &opened.device,
        /// When.
        time_ns: Number = opened.time_ns,
        /// The process.
        pid: Number = opened.task.pid,
    }

    /// A device's last file was closed.
    closed(closed: &Closed) {
        /// Name of the device.
        device: Text = &closed.device,
        /// When.
        time_ns: Number = closed.time_ns,
        /// The process.
        pid: Number = closed.task.pid,
    }

    /// A virtual machine ran nowhere for a time; with --qemu-log.
    downtime(downtime: &Downtime) {
        /// The log of the source.
        log: Text = &downtime.source,
        /// When it began.
        begin_ns: Number = downtime.total.begin_ns,
        /// How long it was.
        duration_ns: Number = downtime.total.duration(),
        /// How far both times may be off.
        error_ns: Number = downtime.error_ns,
    }
}
