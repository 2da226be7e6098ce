//! One step of a random scene: some make sense, some do not.

use proptest::prelude::*;
use remap_common::uapi::VFIO_DEVICE_FEATURE;

use super::mainline::{Faulted, REFUSED};
use super::*;
use crate::event::{DmaKind, FaultOutcome, UNKNOWN_INDEX, ZapCause};

/// One step of a scene.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Signal {
        sub: u32,
        addend: u64,
    },
    Read {
        tid: u32,
        sub: u32,
        value: u64,
    },
    Write {
        sub: u32,
        role: Role,
        value: u64,
    },
    Describe {
        region: u32,
        area: Option<Area>,
    },
    Map {
        region: u32,
        area: Area,
    },
    Unmap {
        region: u32,
        area: Area,
    },
    UnmaskFrom {
        sub: u32,
    },
    EnterChange {
        tid: u32,
        state: DeviceState,
    },
    ExitChange {
        tid: u32,
        state: DeviceState,
        ns: u64,
        result: Result<i64, Errno>,
    },
    Close {
        tid: u32,
    },
    Lose {
        count: u64,
    },
    Disable,
    DescribeIrq {
        mask: u64,
    },
    Wait {
        ns: u64,
    },
    /// The next event's time is earlier.
    Back {
        ns: u64,
    },
    EnableOn {
        index: u32,
        context: u64,
        result: Result<i64, Errno>,
    },
    SignalOn {
        index: u32,
        sub: u32,
    },
    ReadOn {
        index: u32,
        sub: u32,
        value: u64,
    },
    ConsumeOn {
        index: u32,
        sub: u32,
    },
    Flags {
        flags: u64,
    },
    GetState {
        state: DeviceState,
    },
    Change {
        state: DeviceState,
        result: Result<i64, Errno>,
    },
    Data {
        ns: u64,
        write: bool,
        result: Result<i64, Errno>,
    },
    Zap {
        regions: (u32, u32),
        cause: ZapCause,
    },
    Fault {
        region: u32,
        page: u64,
        outcome: Faulted,
    },
    Dma {
        kind: DmaKind,
        page: u64,
        region: u32,
    },
    HotReset,
    Open,
    /// An eventfd is inferred to be the device's, signalled and read.
    Infer,
}

fn state() -> impl Strategy<Value = DeviceState> {
    prop::sample::select(vec![
        DeviceState::Running,
        DeviceState::PreCopy,
        DeviceState::Legacy(3),
        DeviceState::StopCopy,
        DeviceState::Stop,
        DeviceState::Resuming,
    ])
}

fn cause() -> impl Strategy<Value = ZapCause> {
    let call = (0_u32..6).prop_map(|feature| ZapCause::Ioctl {
        request: VFIO_DEVICE_FEATURE,
        feature: Some(feature),
    });
    prop_oneof![
        Just(ZapCause::Unknown),
        Just(ZapCause::StateWrite),
        Just(mainline::MEMORY_OFF),
        call,
    ]
}

fn outcome() -> impl Strategy<Value = Faulted> {
    prop::sample::select(vec![
        (FaultOutcome::Populated, Some(PAGE)),
        (FaultOutcome::Populated, None),
        REFUSED,
        (FaultOutcome::RefusedForDma, None),
        (FaultOutcome::Fallback, None),
    ])
}

fn fails_with(errno: Errno) -> impl Strategy<Value = Result<i64, Errno>> {
    prop_oneof![Just(Ok(0)), Just(Err(errno))]
}

fn area() -> impl Strategy<Value = Area> {
    (0_u64..20, 0_u64..6).prop_map(|(offset, size)| Area {
        offset: offset * PAGE,
        size: size * PAGE,
    })
}

/// A step of the remap IRQ.
fn remap() -> impl Strategy<Value = Step> {
    let index = || 0_u32..6;
    let tid = || SERVICE..SERVICE + 2;
    let results = vec![Ok(0), Err(Errno::ETIMEDOUT), Err(Errno::ENODEV)];
    let roles = vec![Role::Trigger, Role::Unmask];
    let change = (tid(), state(), 0_u64..20_000, prop::sample::select(results));
    prop_oneof![
        4 => (index(), 0_u64..20).prop_map(|(sub, addend)| Step::Signal { sub, addend }),
        2 => (tid(), index(), 0_u64..20)
            .prop_map(|(tid, sub, value)| Step::Read { tid, sub, value }),
        2 => (index(), prop::sample::select(roles), 0_u64..20)
            .prop_map(|(sub, role, value)| Step::Write { sub, role, value }),
        3 => (index(), prop::option::of(area()))
            .prop_map(|(region, area)| Step::Describe { region, area }),
        1 => (index(), area()).prop_map(|(region, area)| Step::Map { region, area }),
        1 => (index(), area()).prop_map(|(region, area)| Step::Unmap { region, area }),
        1 => index().prop_map(|sub| Step::UnmaskFrom { sub }),
        1 => (tid(), state()).prop_map(|(tid, state)| Step::EnterChange { tid, state }),
        3 => change.prop_map(|(tid, state, ns, result)| {
            Step::ExitChange { tid, state, ns, result }
        }),
        1 => tid().prop_map(|tid| Step::Close { tid }),
        1 => (0_u64..20).prop_map(|count| Step::Lose { count }),
        1 => Just(Step::Disable),
        1 => (0_u64..20).prop_map(|mask| Step::DescribeIrq { mask }),
        1 => (0_u64..2_000_000_000).prop_map(|ns| Step::Wait { ns }),
        1 => (0_u64..20_000).prop_map(|ns| Step::Back { ns }),
    ]
}

/// A step of mainline drivers in place of the remap IRQ.
fn stock() -> impl Strategy<Value = Step> {
    let index = || 0_u32..6;
    let moved = prop_oneof![(0_i64..200).prop_map(Ok), Just(Err(Errno::ENOMSG))];
    let kinds = vec![DmaKind::Map, DmaKind::Unmap];
    prop_oneof![
        2 => (index(), 0_u64..4, fails_with(Errno::EIO))
            .prop_map(|(index, context, result)| Step::EnableOn { index, context, result }),
        1 => (index(), 0_u32..4).prop_map(|(index, sub)| Step::SignalOn { index, sub }),
        1 => (index(), 0_u32..4, 0_u64..20)
            .prop_map(|(index, sub, value)| Step::ReadOn { index, sub, value }),
        1 => (index(), 0_u32..4).prop_map(|(index, sub)| Step::ConsumeOn { index, sub }),
        1 => (0_u64..20).prop_map(|flags| Step::Flags { flags }),
        1 => state().prop_map(|state| Step::GetState { state }),
        1 => (state(), fails_with(Errno::EIO))
            .prop_map(|(state, result)| Step::Change { state, result }),
        2 => (0_u64..2000, any::<bool>(), moved)
            .prop_map(|(ns, write, result)| Step::Data { ns, write, result }),
        1 => (index(), 0_u32..20, cause()).prop_map(|(first, more, cause)| Step::Zap {
            regions: (first, first + more),
            cause,
        }),
        2 => (index(), 0_u64..20, outcome())
            .prop_map(|(region, page, outcome)| Step::Fault { region, page, outcome }),
        2 => (prop::sample::select(kinds), 0_u64..20, index())
            .prop_map(|(kind, page, region)| Step::Dma { kind, page, region }),
        1 => Just(Step::HotReset),
        1 => Just(Step::Open),
        1 => Just(Step::Infer),
    ]
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(prop_oneof![4 => remap(), 3 => stock()], 0..80)
}

impl Scene {
    /// A device with two mapped regions, and what follows.
    pub(super) fn of_steps(encoding: Encoding, steps: Vec<Step>) -> Self {
        let mut scene = Self::new(encoding);
        scene.map_all(&[0, 1]);
        for step in steps {
            scene.step(step);
        }
        scene
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Signal { sub, addend } => self.signal(sub, addend),
            Step::Read { tid, sub, value } => self.read_as(tid, sub, value),
            Step::Write { sub, role, value } => self.write(sub, role, value),
            Step::Describe { region: at, area } => {
                self.query(region(at, area.as_slice()));
            }
            Step::Map { region, area } => self.map(region, area),
            Step::Unmap { region, area } => self.unmap(region, area),
            Step::UnmaskFrom { sub } => {
                self.set_irqs(IrqAction::Unmask, sub, u32::MAX, IrqData::None);
            }
            Step::EnterChange { tid, state } => drop(self.enter_as(tid, state)),
            Step::ExitChange {
                tid,
                state,
                ns,
                result,
            } => {
                self.exit_as(tid, state, self.now.saturating_sub(ns), result);
            }
            Step::Close { tid } => {
                let (device, dying) = (DEVICE, None);
                self.push(tid, Body::Close { device, dying });
            }
            Step::Lose { count } => self.push(SERVICE, Body::Lost(Lost::any(count))),
            Step::Disable => self.disable(),
            Step::DescribeIrq { mask } => self.irq_info(Some(mask)),
            Step::Wait { ns } => self.wait(ns),
            Step::Back { ns } => self.now = self.now.saturating_sub(ns),
            stock => self.stock_step(stock),
        }
    }

    fn stock_step(&mut self, step: Step) {
        match step {
            Step::EnableOn {
                index,
                context,
                result,
            } => {
                self.enable_on(index, &[context, 9, 10], result);
            }
            Step::SignalOn { index, sub } => self.signal_on(index, sub, sub.into()),
            Step::ReadOn { index, sub, value } => self.read_on(index, sub, sub.into(), value),
            Step::ConsumeOn { index, sub } => self.consume_on(index, sub, sub.into()),
            Step::Flags { flags } => self.flags(flags),
            Step::GetState { state } => self.get_state(state),
            Step::Change { state, result } => self.change(state, result),
            Step::Data { ns, write, result } => self.data(ns, write, result),
            Step::Zap { regions, cause } => self.zap(regions, cause),
            Step::Fault {
                region,
                page,
                outcome,
            } => self.fault(region, page * PAGE, outcome),
            Step::Dma { kind, page, region } => self.dma(kind, page * PAGE, region),
            Step::HotReset => self.call(DRIVER, Call::HotReset, Ok(0), Answer::None),
            Step::Open => self.open(),
            _ => {
                self.context(
                    DRIVER,
                    ContextKey(50),
                    Self::on(UNKNOWN_INDEX, 0),
                    Origin::SignalledInside,
                );
                self.signal_on(UNKNOWN_INDEX, 0, 50);
                self.read_on(UNKNOWN_INDEX, 0, 50, 1);
            }
        }
    }
}
