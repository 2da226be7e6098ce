//! An open VFIO device. It caches nothing: every query goes to the kernel.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK,
    VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, vfio_device_info,
    vfio_irq_info, vfio_irq_set, vfio_region_info,
};

use super::error::Error;
use super::ioctl;
use super::mapping::Mapping;
use super::sysfs::Bdf;
use remap_core::parse::capability::ChainError;
use remap_core::parse::irq::{self, IrqInfo};
use remap_core::parse::region::{self, Area, Region};

/// The initial buffer of a query, bytes: enough for every known capability chain.
const FIRST_ROOM: u32 = 256;
/// The largest buffer of a query, bytes.
const MOST_ROOM: u32 = 1 << 20;
/// How often a query is repeated because its answer needs a larger buffer.
const ROUNDS: usize = 4;

/// The data of [`Device::set_irqs`].
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// `VFIO_IRQ_SET_DATA_NONE`, for this many sub-indexes; 0 with [`Action::Trigger`] disables the
    /// index.
    None(u32),
    /// `VFIO_IRQ_SET_DATA_BOOL`.
    Bool(&'a [bool]),
    /// `VFIO_IRQ_SET_DATA_EVENTFD`; `None` removes the eventfd of a sub-index.
    Eventfd(&'a [Option<BorrowedFd<'a>>]),
}

/// The action of [`Device::set_irqs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `VFIO_IRQ_SET_ACTION_MASK`.
    Mask,
    /// `VFIO_IRQ_SET_ACTION_UNMASK`.
    Unmask,
    /// `VFIO_IRQ_SET_ACTION_TRIGGER`.
    Trigger,
}

/// The files that must stay open as long as the device.
///
/// The fields are closed in this order, after the device itself.
#[derive(Debug)]
pub enum Access {
    /// By group and container; on all kernels.
    Group {
        /// `/dev/vfio/N`.
        group: File,
        /// `/dev/vfio/vfio`.
        container: File,
    },
    /// By its cdev, bound to an iommufd.
    Cdev {
        /// `/dev/iommu`.
        iommufd: File,
    },
    /// The process that opened the device keeps them open.
    Inherited,
}

/// An open device.
///
/// The fields are closed in this order: device, group, container.
#[derive(Debug)]
pub struct Device {
    file: File,
    bdf: Bdf,
    access: Access,
}

impl Device {
    pub(super) fn new(bdf: Bdf, file: File, access: Access) -> Self {
        Self { file, bdf, access }
    }

    /// Its address.
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// The device's own file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// `VFIO_DEVICE_GET_INFO`: flags, number of regions and of IRQ indexes.
    pub fn info(&self) -> Result<vfio_device_info, Error> {
        ioctl::device_info(self.file.as_fd())
            .map_err(|error| Error::call("GET_INFO", self.bdf.to_string(), &error))
    }

    /// `VFIO_DEVICE_GET_REGION_INFO`.
    ///
    /// # Errors
    /// `EINVAL` if the device has no such region; [`Error::Malformed`] if the answer contradicts
    /// itself.
    pub fn region_info(&self, index: u32) -> Result<Region, Error> {
        let ask = |buffer: &mut [u8]| {
            put(buffer, offset_of!(vfio_region_info, index), index);
            ioctl::region_info(self.file.as_fd(), buffer)
        };
        let on = || self.region_name(index);
        query("GET_REGION_INFO", on, ask, region::parse)
    }

    /// `VFIO_DEVICE_GET_IRQ_INFO`.
    ///
    /// # Errors
    /// As [`Self::region_info`].
    pub fn irq_info(&self, index: u32) -> Result<IrqInfo, Error> {
        let ask = |buffer: &mut [u8]| {
            put(buffer, offset_of!(vfio_irq_info, index), index);
            ioctl::irq_info(self.file.as_fd(), buffer)
        };
        let on = || self.irq_name(index);
        query("GET_IRQ_INFO", on, ask, irq::parse)
    }

    /// Every region index, each with its answer.
    pub fn regions(&self) -> Result<Vec<Result<Region, Error>>, Error> {
        Ok((0..self.info()?.num_regions)
            .map(|index| self.region_info(index))
            .collect())
    }

    /// Every IRQ index, each with its answer.
    pub fn irqs(&self) -> Result<Vec<Result<IrqInfo, Error>>, Error> {
        Ok((0..self.info()?.num_irqs)
            .map(|index| self.irq_info(index))
            .collect())
    }

    /// `VFIO_DEVICE_SET_IRQS` on the sub-indexes of `index` from `start`.
    pub fn set_irqs(
        &self,
        index: u32,
        start: u32,
        action: Action,
        data: Data<'_>,
    ) -> Result<(), Error> {
        let action = match action {
            Action::Mask => VFIO_IRQ_SET_ACTION_MASK,
            Action::Unmask => VFIO_IRQ_SET_ACTION_UNMASK,
            Action::Trigger => VFIO_IRQ_SET_ACTION_TRIGGER,
        };
        let (kind, count, tail) = match data {
            Data::None(count) => (VFIO_IRQ_SET_DATA_NONE, count, Vec::new()),
            Data::Bool(values) => {
                let bytes = values.iter().map(|value| u8::from(*value)).collect();
                (VFIO_IRQ_SET_DATA_BOOL, length(values), bytes)
            }
            Data::Eventfd(fds) => {
                let number = |fd: &Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
                let bytes = fds.iter().map(number).flat_map(i32::to_ne_bytes).collect();
                (VFIO_IRQ_SET_DATA_EVENTFD, length(fds), bytes)
            }
        };
        let mut set = vec![0; size_of::<vfio_irq_set>()];
        put(&mut set, offset_of!(vfio_irq_set, flags), action | kind);
        put(&mut set, offset_of!(vfio_irq_set, index), index);
        put(&mut set, offset_of!(vfio_irq_set, start), start);
        put(&mut set, offset_of!(vfio_irq_set, count), count);
        set.extend(tail);
        ioctl::set_irqs(self.file.as_fd(), &mut set)
            .map_err(|error| Error::call("SET_IRQS", self.irq_name(index), &error))
    }

    /// Maps `area` of `region`.
    pub fn map(&self, region: &Region, area: Area) -> Result<Mapping, Error> {
        Mapping::new(self.file.as_fd(), region, area).map_err(|error| {
            let Area { offset, size } = area;
            let on = format!("{} {offset:#x}+{size:#x}", self.region_name(region.index));
            Error::call("mmap", on, &error)
        })
    }

    /// Reads from `region` at `offset`, through the device's file.
    pub fn read(&self, region: &Region, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.at(region, offset)
            .and_then(|at| self.file.read_exact_at(buffer, at))
            .map_err(|error| Error::call("read", self.region_name(region.index), &error))
    }

    /// Writes to `region` at `offset`, through the device's file.
    pub fn write(&self, region: &Region, offset: u64, buffer: &[u8]) -> Result<(), Error> {
        self.at(region, offset)
            .and_then(|at| self.file.write_all_at(buffer, at))
            .map_err(|error| Error::call("write", self.region_name(region.index), &error))
    }

    /// `VFIO_DEVICE_RESET`.
    pub fn reset(&self) -> Result<(), Error> {
        ioctl::reset(self.file.as_fd())
            .map_err(|error| Error::call("DEVICE_RESET", self.bdf.to_string(), &error))
    }

    /// Maps a mapping for DMA of the devices of the container, at `iova`. Returns whether there is a
    /// container.
    pub fn map_dma(&self, mapping: &Mapping, iova: u64) -> Result<bool, Error> {
        let Access::Group { container, .. } = &self.access else {
            return Ok(false);
        };
        ioctl::map_dma(container.as_fd(), mapping, iova)
            .map(|()| true)
            .map_err(|error| Error::call("IOMMU_MAP_DMA", self.bdf.to_string(), &error))
    }

    /// Removes what [`Self::map_dma`] has made.
    pub fn unmap_dma(&self, mapping: &Mapping, iova: u64) -> Result<(), Error> {
        let Access::Group { container, .. } = &self.access else {
            return Ok(());
        };
        ioctl::unmap_dma(container.as_fd(), iova, mapping.area().size)
            .map_err(|error| Error::call("IOMMU_UNMAP_DMA", self.bdf.to_string(), &error))
    }

    fn at(&self, region: &Region, offset: u64) -> io::Result<u64> {
        let outside = || io::Error::from_raw_os_error(libc::EINVAL);
        region
            .offset
            .checked_add(offset)
            .filter(|_| offset < region.size)
            .ok_or_else(outside)
    }

    fn region_name(&self, index: u32) -> String {
        format!("{} region {index}", self.bdf)
    }

    fn irq_name(&self, index: u32) -> String {
        format!("{} IRQ {index}", self.bdf)
    }
}

/// Repeats a query until the answer fits the buffer, a few times at most.
fn query<T>(
    call: &'static str,
    on: impl Fn() -> String,
    ask: impl Fn(&mut [u8]) -> io::Result<()>,
    parse: impl Fn(&[u8]) -> Result<T, ChainError>,
) -> Result<T, Error> {
    let mut room = FIRST_ROOM;
    let mut before = room;
    for _ in 0..ROUNDS {
        let mut buffer = vec![0; room as usize];
        ask(&mut buffer).map_err(|error| Error::call(call, on(), &error))?;
        let argsz = buffer
            .first_chunk()
            .map_or(0, |head| u32::from_ne_bytes(*head));
        if argsz <= room {
            return parse(&buffer).map_err(|error| Error::Malformed {
                call,
                on: on(),
                error,
            });
        }
        (before, room) = (room, argsz);
        if room > MOST_ROOM {
            break;
        }
    }
    Err(Error::Unsettled {
        call,
        on: on(),
        from: before,
        to: room,
    })
}

/// Writes a word into a buffer, if it fits.
fn put(buffer: &mut [u8], at: usize, word: u32) {
    if let Some(place) = buffer.get_mut(at..at + size_of::<u32>()) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}

/// A length that the uAPI counts in 32 bits.
fn length<T>(values: &[T]) -> u32 {
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries a kernel that needs `wanted` bytes more than the buffer has, `times` times.
    fn growing(times: usize, wanted: u32) -> Result<u32, Error> {
        let asked = std::cell::Cell::new(0);
        let ask = |buffer: &mut [u8]| {
            let offered = u32::try_from(buffer.len()).unwrap();
            let grow = asked.replace(asked.get() + 1) < times;
            put(buffer, 0, if grow { offered + wanted } else { offered });
            Ok(())
        };
        let parse = |bytes: &[u8]| Ok(u32::try_from(bytes.len()).unwrap());
        query("CALL", || "it".to_owned(), ask, parse)
    }

    #[test]
    fn the_buffer_grows_to_the_answer() {
        assert_eq!(growing(0, 0).unwrap(), FIRST_ROOM);
        assert_eq!(growing(1, 16).unwrap(), FIRST_ROOM + 16);
        assert_eq!(growing(3, 16).unwrap(), FIRST_ROOM + 48);
    }

    #[test]
    fn an_answer_that_does_not_settle_is_an_error() {
        let refused = growing(usize::MAX, 16).unwrap_err().to_string();
        assert_eq!(
            refused,
            "CALL on it: the answer did not settle: argsz grew from 304 to 320 between calls"
        );
        assert!(matches!(
            growing(1, MOST_ROOM),
            Err(Error::Unsettled {
                from: FIRST_ROOM,
                ..
            })
        ));
    }

    #[test]
    fn a_refusal_is_named() {
        let ask = |_: &mut [u8]| Err(io::Error::from_raw_os_error(libc::EINVAL));
        let refused = query("CALL", || "it".to_owned(), ask, |_| Ok(())).unwrap_err();
        assert!(refused.is_absent());
        assert_eq!(refused.to_string(), "CALL on it failed: EINVAL");
    }
}
