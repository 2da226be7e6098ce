//! Ioctls: descriptions of IRQs and regions, migration states.

use super::{Changing, Device, Failed, MOST_DESCRIPTIONS};
use crate::check::Duty;
use crate::correlate::is_one_arc;
use crate::event::{Answer, Call, DeviceState, Errno, Exit};
use crate::parse::irq::{Encoding, IrqInfo, RemapIrq};
use crate::parse::region::Region;
use remap_common::uapi::VFIO_MIGRATION_STOP_COPY;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE,
    VFIO_IRQ_INFO_NORESIZE, VFIO_REGION_INFO_FLAG_CAPS, VFIO_REGION_INFO_FLAG_MMAP,
};

impl Device {
    pub(super) fn exit(&mut self, exit: &Exit) {
        if exit.call.changes_state() {
            self.end_change(exit);
        }
        if exit.result.is_err() {
            return;
        }
        match (&exit.call, &exit.answer) {
            (Call::GetIrqInfo { .. }, Answer::Irq(info)) => self.irq(info),
            (Call::GetRegionInfo { .. }, Answer::Region(region)) => self.region(region),
            (Call::Feature { .. }, Answer::MigrationFlags { flags }) => self.flags(*flags),
            (call @ Call::Feature { .. }, Answer::State { state, data_fd })
                if !call.changes_state() =>
            {
                self.state_queried(*state, *data_fd);
            }
            (Call::Reset | Call::HotReset, _) => {
                self.leave_stop();
                self.handle_failure();
                self.state = None;
            }
            _ => {}
        }
    }

    fn irq(&mut self, info: &IrqInfo) {
        if info.kind.is_some() {
            self.exercise(Duty::IrqInfoChain);
        }
        if let Some(remap) = info.remap {
            self.remap_irq(info, remap);
        }
        if self.irqs.len() < MOST_DESCRIPTIONS || self.irqs.contains_key(&info.index) {
            self.irqs.insert(info.index, info.clone());
        }
    }

    fn remap_irq(&mut self, info: &IrqInfo, remap: RemapIrq) {
        self.exercise(Duty::IrqInfoFlags);
        self.exercise(Duty::LooksForIrq);
        let due = VFIO_IRQ_INFO_EVENTFD
            | VFIO_IRQ_INFO_NORESIZE
            | match remap.encoding {
                Encoding::Bitmap => 0,
                Encoding::Vectors => VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED,
            };
        if info.flags & due != due {
            let text = format!(
                "IRQ index {} has the flags {:#x} and lacks {:#x}",
                info.index,
                info.flags,
                due & !info.flags
            );
            self.breaks(Duty::IrqInfoFlags, None, text);
        }
        if remap.base == 0 {
            return;
        }
        self.exercise(Duty::NextIrqHasBase);
        let mut others = self.irqs.values().filter(|irq| irq.index != info.index);
        let same = others.find(|irq| {
            irq.remap
                .is_some_and(|other| other.encoding == remap.encoding && other.base == remap.base)
        });
        let (index, base) = (info.index, remap.base);
        let text = match same {
            Some(other) => format!(
                "IRQ indexes {} and {index} both have base {base}",
                other.index
            ),
            None if base % u64::BITS != 0 => format!("IRQ index {index} has base {base}"),
            None => return,
        };
        self.breaks(Duty::NextIrqHasBase, None, text);
    }

    fn region(&mut self, region: &Region) {
        let index = region.index;
        if self.regions.contains_key(&index) {
            self.exercise(Duty::RegionKeepsSize);
        }
        if region.flags & VFIO_REGION_INFO_FLAG_CAPS != 0 && region.areas.known {
            self.exercise(Duty::RegionInfoChain);
        }
        let mappable = region.flags & VFIO_REGION_INFO_FLAG_MMAP != 0;
        if !mappable && self.may_be_named(index) {
            self.exercise(Duty::NoSparseWithoutMmap);
        }
        if self.let_through.remove(&index) && !mappable {
            let text = "a page that is trapped could be mapped".to_owned();
            self.breaks(Duty::TrappedMmapRefused, Some(index), text);
        }
        if self.regions.len() < MOST_DESCRIPTIONS || self.regions.contains_key(&index) {
            self.regions.insert(index, region.clone());
        }
    }

    fn flags(&mut self, flags: u64) {
        self.flags = Some(flags);
        self.exercise(Duty::StopCopySupported);
        if flags & VFIO_MIGRATION_STOP_COPY == 0 {
            let text = format!("the migration flags are {flags:#x}");
            self.breaks(Duty::StopCopySupported, None, text);
        }
    }

    /// A SET of the state returned.
    fn end_change(&mut self, exit: &Exit) {
        let changing = self.changing.take();
        let Call::Feature { data, .. } = &exit.call else {
            return;
        };
        match exit.result {
            Ok(_) => {
                self.handle_failure();
                self.state = data.state;
                self.stopped =
                    matches!(data.state, Some(DeviceState::Stop | DeviceState::StopCopy));
            }
            Err(errno) => {
                self.handle_failure();
                self.state = None;
                let old = changing.and_then(|changing| self.old_state(changing, data.state, errno));
                self.failed = Some(Failed { old });
            }
        }
    }

    /// The state that has to be in force after a wait that failed. A change of several arcs may have
    /// stopped between two of them.
    fn old_state(
        &self,
        changing: Changing,
        to: Option<DeviceState>,
        errno: Errno,
    ) -> Option<DeviceState> {
        let wait_failed = matches!(errno, Errno::ETIMEDOUT | Errno::ECANCELED | Errno::EINTR);
        let old = changing.from.filter(|_| changing.waits && wait_failed)?;
        is_one_arc(old, to?, self.flags?).then_some(old)
    }

    fn state_queried(&mut self, state: DeviceState, data_fd: Option<i32>) {
        self.exercise(Duty::StateAsSet);
        self.exercise(Duty::NoError);
        self.exercise(Duty::QueryGivesNoFd);
        if let Some(fd) = data_fd {
            let text = format!("a query of the state gave the data fd {fd}");
            self.breaks(Duty::QueryGivesNoFd, None, text);
        }
        let old = self.failed.and_then(|failed| failed.old);
        self.handle_failure();
        self.state = Some(state);
        let Some(old) = old else { return };
        self.exercise(Duty::OldStateStays);
        if state != old {
            let text =
                format!("the device is in {state} after a wait that failed, and was in {old}");
            self.breaks(Duty::OldStateStays, None, text);
        }
    }

    fn handle_failure(&mut self) {
        if self.failed.take().is_some() {
            self.exercise(Duty::HandlesFailedChange);
        }
    }
}
