//! What mainline does in place of the remap IRQ, played by hand.

use remap_common::uapi::{VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_OFFSET_SHIFT, VFIO_PCI_REQ_IRQ_INDEX};

use super::*;
use crate::event::{
    Consumed, DeviceFile, DeviceSeen, DmaCall, DmaKind, Fault, FaultOutcome, MigrationData, Node,
    NodeKey, Read, Signal, ZapCause, ZapStep,
};

pub(super) const MSIX: u32 = VFIO_PCI_MSIX_IRQ_INDEX;
pub(super) const REQ: u32 = VFIO_PCI_REQ_IRQ_INDEX;
pub(super) const CONTAINER: NodeKey = NodeKey(0xc);
pub(super) const SECOND: u64 = 1_000_000_000;

impl Scene {
    /// A device of a driver, before its first call.
    pub(super) fn stock(driver: &str) -> Self {
        let mut scene = Self {
            encoding: Encoding::Bitmap,
            now: 1_000_000,
            events: Vec::new(),
        };
        scene.name(driver);
        scene
    }

    pub(super) fn name(&mut self, driver: &str) {
        let body = Body::Device(DeviceSeen {
            device: DEVICE,
            name: NAME.to_owned(),
            driver: Some(driver.to_owned()),
            origin: Origin::Seen,
        });
        self.push(SERVICE, body);
    }

    pub(super) fn on(index: u32, sub: u32) -> Target {
        Target {
            device: DEVICE,
            index,
            sub,
            role: Role::Trigger,
        }
    }

    /// The eventfds `contexts` are looked up for the sub-indexes from 0 on, and the call returns.
    pub(super) fn enable_on(&mut self, index: u32, contexts: &[u64], result: Result<i64, Errno>) {
        for (sub, context) in (0..).zip(contexts) {
            self.context(
                SERVICE,
                ContextKey(*context),
                Self::on(index, sub),
                Origin::Seen,
            );
        }
        let count = contexts.len() as u32;
        let call = Call::SetIrqs {
            index,
            start: 0,
            count,
            action: IrqAction::Trigger,
            data: IrqData::Eventfd(vec![10; contexts.len()]),
        };
        self.call(SERVICE, call, result, Answer::None);
    }

    pub(super) fn signal_on(&mut self, index: u32, sub: u32, context: u64) {
        let body = Body::Signal(Signal {
            context: ContextKey(context),
            target: Self::on(index, sub),
            addend: 1,
            count: None,
            inside: None,
            in_task: Some(false),
        });
        self.push(DRIVER, body);
    }

    pub(super) fn read_on(&mut self, index: u32, sub: u32, context: u64, value: u64) {
        let body = Body::Read(Read {
            context: ContextKey(context),
            target: Self::on(index, sub),
            value: Some(value),
            result: Ok(8),
        });
        self.push(SERVICE, body);
    }

    pub(super) fn consume_on(&mut self, index: u32, sub: u32, context: u64) {
        let body = Body::Consumed(Consumed {
            context: ContextKey(context),
            target: Self::on(index, sub),
            value: Some(1),
        });
        self.push(DRIVER, body);
    }

    fn ask(&mut self, feature: u32, answer: Answer) {
        let op = FeatureOp {
            get: true,
            set: false,
            probe: false,
        };
        let data = FeatureData::default();
        self.call(DRIVER, Call::Feature { feature, op, data }, Ok(0), answer);
    }

    /// `VFIO_DEVICE_FEATURE_MIGRATION`.
    pub(super) fn flags(&mut self, flags: u64) {
        self.ask(1, Answer::MigrationFlags { flags });
    }

    /// `MIG_DEVICE_STATE`, GET.
    pub(super) fn get_state(&mut self, state: DeviceState) {
        let data_fd = None;
        self.ask(2, Answer::State { state, data_fd });
    }

    /// A state change that takes 1000 ns and returns `result`.
    pub(super) fn change(&mut self, state: DeviceState, result: Result<i64, Errno>) {
        let begin_ns = self.enter(state);
        self.exit(state, begin_ns, result);
    }

    /// A read or write of migration data that takes `ns`.
    pub(super) fn data(&mut self, ns: u64, write: bool, result: Result<i64, Errno>) {
        let body = Body::Data(MigrationData {
            device: Some(DEVICE),
            file: 7,
            write,
            requested: 1 << 16,
            begin_ns: self.now + 1000 - ns,
            result,
        });
        self.push(SERVICE, body);
    }

    pub(super) fn zap(&mut self, regions: (u32, u32), cause: ZapCause) {
        let body = Body::Zap(ZapStep {
            device: DEVICE,
            regions,
            offset: 0,
            size: u64::from(regions.1 - regions.0 + 1) << VFIO_PCI_OFFSET_SHIFT,
            cause,
        });
        self.push(DRIVER, body);
    }

    /// A fault that takes 100 ns.
    pub(super) fn fault(&mut self, region: u32, offset: u64, (outcome, bytes): Faulted) {
        let body = Body::Fault(Fault {
            device: DEVICE,
            region,
            offset,
            address: Self::address(region, Area { offset, size: PAGE }),
            begin_ns: self.now + 900,
            outcome,
            bytes,
            code: None,
        });
        self.push(SERVICE, body);
    }

    pub(super) fn populate(&mut self, region: u32, page: u64) {
        self.fault(region, page * PAGE, (FaultOutcome::Populated, Some(PAGE)));
    }

    pub(super) fn dma(&mut self, kind: DmaKind, iova: u64, region: u32) {
        let vaddr = (kind == DmaKind::Map).then_some(Self::address(region, whole()[0]));
        let body = Body::Dma(DmaCall {
            node: CONTAINER,
            kind,
            iova,
            size: SIZE,
            vaddr,
            begin_ns: self.now,
            result: Ok(0),
        });
        self.push(SERVICE, body);
    }

    pub(super) fn close(&mut self, dying: bool) {
        let dying = Some(dying);
        let device = DEVICE;
        self.push(SERVICE, Body::Close { device, dying });
    }

    pub(super) fn open(&mut self) {
        let body = Body::DeviceFile(DeviceFile {
            device: DEVICE,
            node: Node::Group { number: Some(3) },
            fd: Some(9),
        });
        self.push(SERVICE, body);
    }

    /// What it adds up to.
    pub(super) fn stats(&self) -> Stats {
        let mut correlator = Correlator::new(Options::default());
        for event in &self.events {
            correlator.push(event);
        }
        correlator.finish(self.now);
        correlator.into_stats()
    }
}

/// What came of a fault, and how much it populated, bytes.
pub(super) type Faulted = (FaultOutcome, Option<u64>);

pub(super) const REFUSED: Faulted = (FaultOutcome::Refused, None);

pub(super) const MEMORY_OFF: ZapCause = ZapCause::ConfigWrite {
    offset: 4,
    value: Some(0),
};
