//! A device, its driver and its user, played by hand.

mod answers;
mod data;
mod devices;
mod driver;
mod eventfds;
mod faults;
pub(crate) mod golden;
mod healthy;
mod in_flight;
mod inferred;
mod interrupts;
mod loss;
mod mainline;
mod played;
mod property;
mod room;
mod states;
mod step;
mod users;
mod waits;
mod zaps;

pub(crate) use played::Played;

use remap_common::uapi::{
    VFIO_PCI_NUM_IRQS, VFIO_PCI_OFFSET_SHIFT, VFIO_REGION_INFO_FLAG_MMAP,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};

use super::*;
use crate::event::{
    Answer, Body, Call, Context, ContextKey, DeviceKey, DeviceSeen, DeviceState, Errno, Exit,
    FeatureData, FeatureOp, IrqAction, IrqData, Map, Origin, Place, Read, Role, Signal, Target,
    Task, Unmap, Write,
};
use crate::model::*;
use crate::parse::irq::{Encoding, IrqInfo, RemapIrq};
use crate::parse::region::{Area, Region};
use crate::sink::sentence;

pub(crate) const DEVICE: DeviceKey = DeviceKey(0xd);
pub(crate) const NAME: &str = "0000:01:00.0";
/// The first index behind those of vfio-pci.
pub(crate) const INDEX: u32 = VFIO_PCI_NUM_IRQS;
pub(crate) const PAGE: u64 = 0x1000;
pub(crate) const SIZE: u64 = 4 * PAGE;
const READ_WRITE: u32 = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

/// The thread that answers the remap IRQ.
pub(crate) const SERVICE: u32 = 101;
/// The thread that changes the state.
pub(crate) const DRIVER: u32 = 102;
const PID: u32 = 100;

pub(crate) fn task(tid: u32) -> Task {
    Task {
        pid: PID,
        tid,
        comm: format!("user-{tid}"),
    }
}

pub(crate) fn target(sub: u32, role: Role) -> Target {
    Target {
        device: DEVICE,
        index: INDEX,
        sub,
        role,
    }
}

pub(crate) fn whole() -> Vec<Area> {
    vec![Area {
        offset: 0,
        size: SIZE,
    }]
}

/// `region` as it may be mapped at `areas`.
pub(crate) fn region(index: u32, areas: &[Area]) -> Region {
    Region {
        index,
        flags: READ_WRITE
            | if areas.is_empty() {
                0
            } else {
                VFIO_REGION_INFO_FLAG_MMAP
            },
        size: SIZE,
        offset: u64::from(index) << VFIO_PCI_OFFSET_SHIFT,
        areas: Some(areas.to_vec()).into(),
        kind: None,
        stale_sparse: false,
    }
}

/// Events that follow one another, 1000 ns apart.
pub(crate) struct Scene {
    pub(crate) encoding: Encoding,
    pub(crate) now: u64,
    pub(crate) events: Vec<Event>,
}

impl Scene {
    /// A device with a remap IRQ for regions 0 to 3, enabled.
    pub(crate) fn new(encoding: Encoding) -> Self {
        let mut scene = Self {
            encoding,
            now: 1_000_000,
            events: Vec::new(),
        };
        let name = NAME.to_owned();
        let device = DEVICE;
        scene.push(
            SERVICE,
            Body::Device(DeviceSeen {
                device,
                name,
                driver: Some("vfio-pci".to_owned()),
                origin: Origin::Seen,
            }),
        );
        scene.irq_info(Some(0b1111));
        scene.enable();
        scene
    }

    pub(crate) fn push(&mut self, tid: u32, body: Body) {
        self.now += 1000;
        self.events.push(Event {
            time_ns: self.now,
            cpu: 0,
            task: task(tid),
            body,
        });
    }

    pub(crate) fn wait(&mut self, ns: u64) {
        self.now += ns;
    }

    /// A call that began 500 ns before it returns.
    pub(crate) fn call(
        &mut self,
        tid: u32,
        call: Call,
        result: Result<i64, Errno>,
        answer: Answer,
    ) {
        let body = Body::Exit(Exit {
            device: DEVICE,
            call,
            begin_ns: self.now + 500,
            result,
            answer,
        });
        self.push(tid, body);
    }

    /// A context has a target from now on; an fd is known where a call named it.
    fn context(&mut self, tid: u32, context: ContextKey, target: Target, origin: Origin) {
        let body = Body::Context(Context {
            context,
            target,
            fd: (origin == Origin::Seen).then_some(10),
            origin,
        });
        self.push(tid, body);
    }

    pub(crate) fn irq_info(&mut self, mask: Option<u64>) {
        let info = IrqInfo {
            index: INDEX,
            flags: 0b111,
            count: 4,
            kind: None,
            remap: Some(RemapIrq {
                encoding: self.encoding,
                base: 0,
                mask,
            }),
        };
        let call = Call::GetIrqInfo { index: INDEX };
        self.call(SERVICE, call, Ok(0), Answer::Irq(info));
    }

    fn subs(&self) -> u32 {
        match self.encoding {
            Encoding::Bitmap => 1,
            Encoding::Vectors => 4,
        }
    }

    pub(crate) fn enable(&mut self) {
        for sub in 0..self.subs() {
            self.context(
                SERVICE,
                ContextKey(u64::from(sub)),
                target(sub, Role::Trigger),
                Origin::Seen,
            );
        }
        let fds = (0..self.subs()).map(|_| 10).collect();
        self.set_irqs(IrqAction::Trigger, 0, self.subs(), IrqData::Eventfd(fds));
    }

    pub(crate) fn set_irqs(&mut self, action: IrqAction, start: u32, count: u32, data: IrqData) {
        let call = Call::SetIrqs {
            index: INDEX,
            start,
            count,
            action,
            data,
        };
        self.call(SERVICE, call, Ok(0), Answer::None);
    }

    pub(crate) fn disable(&mut self) {
        self.set_irqs(IrqAction::Trigger, 0, 0, IrqData::None);
    }

    pub(crate) fn query(&mut self, region: Region) {
        let call = Call::GetRegionInfo {
            index: region.index,
        };
        self.call(SERVICE, call, Ok(0), Answer::Region(region));
    }

    fn place(region: u32, area: Area) -> Place {
        let address = Self::address(region, area);
        Place {
            region,
            area,
            address,
        }
    }

    fn address(region: u32, area: Area) -> u64 {
        0x7000_0000_0000 + u64::from(region) * 0x10_0000 + area.offset
    }

    pub(crate) fn map(&mut self, region: u32, area: Area) {
        let body = Body::Map(Map {
            device: DEVICE,
            place: Self::place(region, area),
            result: Ok(()),
            origin: Origin::Seen,
        });
        self.push(SERVICE, body);
    }

    pub(crate) fn unmap(&mut self, region: u32, area: Area) {
        let body = Body::Unmap(Unmap {
            device: DEVICE,
            place: Self::place(region, area),
        });
        self.push(SERVICE, body);
    }

    /// Describes `regions` and maps each wholly.
    pub(crate) fn map_all(&mut self, regions: &[u32]) {
        for index in regions {
            self.query(region(*index, &whole()));
            self.map(*index, whole()[0]);
        }
    }

    pub(crate) fn signal(&mut self, sub: u32, addend: u64) {
        let body = Body::Signal(Signal {
            context: ContextKey(u64::from(sub)),
            target: target(sub, Role::Trigger),
            addend,
            count: Some(0),
            inside: None,
            in_task: Some(true),
        });
        self.push(DRIVER, body);
    }

    /// The driver names `regions`.
    pub(crate) fn trigger(&mut self, regions: &[u32]) {
        match self.encoding {
            Encoding::Bitmap => {
                let bits = regions.iter().fold(0, |bits, region| bits | 1 << region);
                self.signal(0, bits);
            }
            Encoding::Vectors => regions.iter().for_each(|region| self.signal(*region, 1)),
        }
    }

    pub(crate) fn read_as(&mut self, tid: u32, sub: u32, value: u64) {
        let body = Body::Read(Read {
            context: ContextKey(u64::from(sub)),
            target: target(sub, Role::Trigger),
            value: Some(value),
            result: Ok(8),
        });
        self.push(tid, body);
    }

    /// The user reads what the driver named.
    pub(crate) fn wake(&mut self, regions: &[u32]) {
        match self.encoding {
            Encoding::Bitmap => {
                let bits = regions.iter().fold(0, |bits, region| bits | 1 << region);
                self.read_as(SERVICE, 0, bits);
            }
            Encoding::Vectors => {
                for region in regions {
                    self.read_as(SERVICE, *region, 1);
                }
            }
        }
    }

    pub(crate) fn write(&mut self, sub: u32, role: Role, value: u64) {
        let body = Body::Write(Write {
            context: ContextKey(u64::from(sub)),
            target: target(sub, role),
            begin_ns: self.now + 500,
            value: Some(value),
            result: Ok(8),
        });
        self.push(SERVICE, body);
    }

    /// The user acknowledges in the encoding's own form.
    pub(crate) fn ack(&mut self, regions: &[u32]) {
        match self.encoding {
            Encoding::Bitmap => self.write(0, Role::Trigger, 0),
            Encoding::Vectors => {
                for region in regions {
                    self.set_irqs(IrqAction::Unmask, *region, 1, IrqData::None);
                }
            }
        }
    }

    fn set_state(state: DeviceState) -> Call {
        Call::Feature {
            feature: 2,
            op: FeatureOp {
                get: false,
                set: true,
                probe: false,
            },
            data: state.into(),
        }
    }

    pub(crate) fn enter_as(&mut self, tid: u32, state: DeviceState) -> u64 {
        let call = Self::set_state(state);
        self.push(
            tid,
            Body::Enter {
                device: DEVICE,
                call,
            },
        );
        self.now
    }

    pub(crate) fn enter(&mut self, state: DeviceState) -> u64 {
        self.enter_as(DRIVER, state)
    }

    pub(crate) fn exit_as(
        &mut self,
        tid: u32,
        state: DeviceState,
        begin_ns: u64,
        result: Result<i64, Errno>,
    ) {
        let answer = match result {
            Ok(_) => Answer::State {
                state,
                data_fd: None,
            },
            Err(_) => Answer::None,
        };
        let body = Body::Exit(Exit {
            device: DEVICE,
            call: Self::set_state(state),
            begin_ns,
            result,
            answer,
        });
        self.push(tid, body);
    }

    pub(crate) fn exit(&mut self, state: DeviceState, begin_ns: u64, result: Result<i64, Errno>) {
        self.exit_as(DRIVER, state, begin_ns, result);
    }

    /// What the user does after it woke: all regions become trapped.
    pub(crate) fn trap(&mut self, regions: &[u32]) {
        for index in regions {
            self.query(region(*index, &[]));
            self.unmap(*index, whole()[0]);
        }
    }

    /// What the user does after it woke: all regions may be mapped again.
    pub(crate) fn untrap(&mut self, regions: &[u32]) {
        self.map_all(regions);
    }

    /// RUNNING → PRE_COPY → RUNNING, as it should be.
    pub(crate) fn migration(&mut self, regions: &[u32]) {
        let begin_ns = self.enter(DeviceState::PreCopy);
        self.trigger(regions);
        self.wake(regions);
        self.trap(regions);
        self.ack(regions);
        self.exit(DeviceState::PreCopy, begin_ns, Ok(0));
        let begin_ns = self.enter(DeviceState::Running);
        self.trigger(regions);
        self.exit(DeviceState::Running, begin_ns, Ok(0));
        self.wake(regions);
        self.untrap(regions);
        self.ack(regions);
    }

    /// The correlation's outputs.
    pub(crate) fn play(&self) -> Played {
        self.play_with(Options::default())
    }

    pub(crate) fn play_with(&self, options: Options) -> Played {
        let mut correlator = Correlator::new(options);
        let mut outputs: Vec<Output> = Vec::new();
        for event in &self.events {
            outputs.extend(correlator.push(event));
        }
        outputs.extend(correlator.finish(self.now));
        golden::expect(&outputs, correlator.stats());
        Played(outputs)
    }
}
