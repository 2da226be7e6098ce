//! The IRQ's side of the protocol: enable (the handshake), read a trigger, acknowledge, disable.
//!
//! Each step is a call of its own, so that a test can leave one out or do it twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use crate::respond::ack::{AckForm, encoding_name};
use crate::vfio::device::{Action, Data, Device};
use crate::vfio::error::Error as VfioError;
use crate::vfio::eventfd::EventFd;
use remap_core::parse::irq::{Encoding, IrqInfo, RemapIrq};

/// The most sub-indexes that a remap IRQ is believed to have.
const MOST_VECTORS: u32 = 4096;

/// Why a remap IRQ is not enabled.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// It is no remap IRQ.
    #[error("IRQ {index} is not a remap IRQ")]
    NotRemap {
        /// IRQ index.
        index: u32,
    },
    /// The form of acknowledgement belongs to the other encoding.
    #[error(
        "IRQ {index} speaks {}, which cannot be acknowledged by {form}; use --ack {}",
        encoding_name(*.encoding),
        AckForm::preferred(*.encoding)
    )]
    WrongForm {
        /// IRQ index.
        index: u32,
        /// Its encoding.
        encoding: Encoding,
        /// The form asked for.
        form: AckForm,
    },
    /// The number of sub-indexes makes no sense.
    #[error("IRQ {index} has {count} sub-indexes; a remap IRQ has 1 to {MOST_VECTORS}")]
    BadCount {
        /// IRQ index.
        index: u32,
        /// `vfio_irq_info.count`.
        count: u32,
    },
    /// No eventfd could be made.
    #[error("cannot make an eventfd: {0}")]
    Eventfd(std::io::Error),
    /// The kernel refused.
    #[error(transparent)]
    Vfio(#[from] VfioError),
}

/// An enabled remap IRQ. Dropping it disables it.
#[derive(Debug)]
pub struct Handshake {
    device: Arc<Device>,
    index: u32,
    remap: RemapIrq,
    form: AckForm,
    triggers: Vec<Arc<EventFd>>,
    unmasks: Vec<EventFd>,
    enabled: AtomicBool,
}

impl Handshake {
    /// Enables a remap IRQ: an eventfd for each sub-index, and for [`AckForm::UnmaskEventfd`]
    /// one more each for the acknowledgement.
    pub fn enable(
        device: &Arc<Device>,
        irq: &IrqInfo,
        form: AckForm,
    ) -> Result<Self, HandshakeError> {
        let index = irq.index;
        let remap = irq.remap.ok_or(HandshakeError::NotRemap { index })?;
        if form.encoding() != remap.encoding {
            return Err(HandshakeError::WrongForm {
                index,
                encoding: remap.encoding,
                form,
            });
        }
        if irq.count == 0 || irq.count > MOST_VECTORS {
            return Err(HandshakeError::BadCount {
                index,
                count: irq.count,
            });
        }
        let count = match remap.encoding {
            Encoding::Bitmap => 1,
            Encoding::Vectors => irq.count,
        };
        let eventfds = |wanted: bool| {
            let new = |_| EventFd::new().map_err(HandshakeError::Eventfd);
            (0..if wanted { count } else { 0 })
                .map(new)
                .collect::<Result<Vec<_>, _>>()
        };
        let handshake = Self {
            device: Arc::clone(device),
            index,
            remap,
            form,
            triggers: eventfds(true)?.into_iter().map(Arc::new).collect(),
            unmasks: eventfds(form == AckForm::UnmaskEventfd)?,
            enabled: AtomicBool::new(true),
        };
        // From here on a drop disables, whatever fails in between.
        let triggers = handshake.triggers.iter().map(Arc::as_ref);
        handshake.give(Action::Trigger, triggers)?;
        if !handshake.unmasks.is_empty() {
            handshake.give(Action::Unmask, handshake.unmasks.iter())?;
        }
        Ok(handshake)
    }

    fn give<'a>(
        &self,
        action: Action,
        eventfds: impl Iterator<Item = &'a EventFd>,
    ) -> Result<(), VfioError> {
        use std::os::fd::AsFd;
        let fds: Vec<_> = eventfds.map(|eventfd| Some(eventfd.as_fd())).collect();
        self.device
            .set_irqs(self.index, 0, action, Data::Eventfd(&fds))
    }

    /// IRQ index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What the driver says of it.
    pub fn remap(&self) -> RemapIrq {
        self.remap
    }

    /// How it is acknowledged.
    pub fn form(&self) -> AckForm {
        self.form
    }

    /// The eventfds that the driver signals, by sub-index.
    pub fn triggers(&self) -> &[Arc<EventFd>] {
        &self.triggers
    }

    /// The eventfds that the driver listens to, by sub-index; none but with
    /// [`AckForm::UnmaskEventfd`].
    pub fn unmasks(&self) -> &[EventFd] {
        &self.unmasks
    }

    /// Acknowledges a trigger of sub-index `sub`, all of its regions at once.
    ///
    /// With [`AckForm::Write1`] the 1 is read back at once; what came in between is returned and
    /// is a trigger of its own.
    pub fn ack(&self, sub: u32) -> Result<Option<u64>, VfioError> {
        let at = usize::try_from(sub).unwrap_or(usize::MAX);
        match self.form {
            AckForm::Write0 => self
                .write(self.triggers.get(at).map(Arc::as_ref), 0)
                .map(|()| None),
            AckForm::Write1 => {
                let trigger = self.triggers.get(at).map(Arc::as_ref);
                self.write(trigger, 1)?;
                // A driver that listens by virqfd has drained it by now: then there is nothing.
                let back = trigger.map_or(Ok(None), EventFd::read);
                let back = back.map_err(|error| self.failed("read", &error))?;
                Ok(back
                    .map(|value| value.wrapping_sub(1))
                    .filter(|value| *value != 0))
            }
            AckForm::Unmask => self
                .device
                .set_irqs(self.index, sub, Action::Unmask, Data::None(1))
                .map(|()| None),
            AckForm::UnmaskEventfd => self.write(self.unmasks.get(at), 1).map(|()| None),
        }
    }

    fn write(&self, eventfd: Option<&EventFd>, value: u64) -> Result<(), VfioError> {
        let invalid = || std::io::Error::from_raw_os_error(libc::EINVAL);
        eventfd
            .ok_or_else(invalid)
            .and_then(|eventfd| eventfd.write(value))
            .map_err(|error| self.failed("write", &error))
    }

    fn failed(&self, call: &'static str, error: &std::io::Error) -> VfioError {
        VfioError::call(call, format!("the eventfd of IRQ {}", self.index), error)
    }

    /// Disables the IRQ: `DATA_NONE`, count 0. A driver that waits stops waiting. Does nothing
    /// the second time.
    pub fn disable(&self) -> Result<(), VfioError> {
        if !self.enabled.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.device
            .set_irqs(self.index, 0, Action::Trigger, Data::None(0))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        // Closing the device does the same.
        let _ = self.disable();
    }
}
