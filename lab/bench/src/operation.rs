//! The operations whose cost is measured: each passes one or more hooks.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{Mode, OFlags, open},
    io::{read, write},
};

use remap_lab_bench::aio::{Aio, map_and_unmap};
use remap_user::vfio::device::{Action, Data, Device};
use remap_user::vfio::open::{self as vfio, Via};
use remap_user::vfio::sysfs::Host;

/// What an operation is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An eventfd or a mapping of no device: a tracer has nothing to record.
    Foreign,
    /// A VFIO device, or its eventfd: each operation is recorded.
    Device,
}

/// Something that is done over and over.
pub struct Operation {
    /// What it is called.
    pub name: &'static str,
    /// What it is done to.
    pub subject: Subject,
    /// Does it once.
    pub run: Box<dyn FnMut() -> Result<()>>,
}

fn operation(
    name: &'static str,
    subject: Subject,
    run: impl FnMut() -> Result<()> + 'static,
) -> Operation {
    Operation {
        name,
        subject,
        run: Box::new(run),
    }
}

/// Those that concern no device.
pub fn foreign() -> Result<Vec<Operation>> {
    let subject = Subject::Foreign;
    Ok(vec![
        // eventfd_write, eventfd_read.
        operation("eventfd write + read", subject, write_read(new_eventfd()?)),
        // eventfd_signal_mask.
        operation(
            "kernel signal of an eventfd (AIO)",
            subject,
            kernel_signal(new_eventfd()?)?,
        ),
        // The end of a mapping.
        operation("mmap + munmap", subject, map_and_unmap),
        // eventfd_release, eventfd_ctx_put.
        operation("eventfd open + close", subject, || new_eventfd().map(drop)),
    ])
}

/// `VFIO_PCI_MSIX_IRQ_INDEX`.
const MSIX: u32 = 2;
/// BAR 0.
const REGION: u32 = 0;

/// Those on a VFIO device, which stays open as long as they are there.
pub fn traced(bdf: &str) -> Result<Vec<Operation>> {
    let subject = Subject::Device;
    let device = Rc::new(vfio::open(&Host::default(), bdf.parse()?, Via::Auto)?);
    let (one, other) = (new_eventfd()?, new_eventfd()?);
    let fds = [Some(one.as_fd()), Some(other.as_fd())];
    device.set_irqs(MSIX, 0, Action::Trigger, Data::Eventfd(&fds))?;
    let region = device.region_info(REGION)?;
    let area = region
        .areas
        .first()
        .copied()
        .context("BAR 0 has no area to map")?;
    let on = |act: fn(&Device) -> Result<()>| {
        let device = Rc::clone(&device);
        move || act(&device)
    };
    let mapped = Rc::clone(&device);
    Ok(vec![
        operation("a device's eventfd: write + read", subject, write_read(one)),
        operation(
            "a device's eventfd: kernel signal (AIO)",
            subject,
            kernel_signal(other)?,
        ),
        operation("a region: mmap + munmap", subject, move || {
            Ok(mapped.map(&region, area)?.unmap()?)
        }),
        operation(
            "ioctl GET_REGION_INFO",
            subject,
            on(|device| Ok(device.region_info(REGION).map(drop)?)),
        ),
        operation(
            "ioctl SET_IRQS: software trigger",
            subject,
            on(|device| Ok(device.set_irqs(MSIX, 0, Action::Trigger, Data::None(1))?)),
        ),
    ])
}

fn new_eventfd() -> Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC).context("eventfd failed")
}

fn write_read(eventfd: OwnedFd) -> impl FnMut() -> Result<()> {
    move || {
        write(&eventfd, &1u64.to_ne_bytes())?;
        let mut value = [0; 8];
        ensure!(
            read(&eventfd, &mut value)? == 8,
            "a short read of an eventfd"
        );
        Ok(())
    }
}

/// The kernel signals the eventfd when an AIO request is done.
fn kernel_signal(eventfd: OwnedFd) -> Result<impl FnMut() -> Result<()>> {
    let aio = Aio::new()?;
    let source = open("/dev/zero", OFlags::RDONLY, Mode::empty()).context("/dev/zero")?;
    Ok(move || aio.read(source.as_raw_fd(), eventfd.as_fd()))
}
