//! The IRQ's side of the protocol: enable (the handshake), read a trigger, acknowledge, disable.
//!
//! Each step is a separate call, so that a test can omit or repeat it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use crate::respond::ack::{AckForm, encoding_name};
use crate::vfio::device::{Action, Data, Device};
use crate::vfio::error::Error as VfioError;
use crate::vfio::eventfd::EventFd;
use remap_core::parse::irq::{Encoding, IrqInfo, RemapIrq};

/// The maximum number of sub-indexes of a remap IRQ.
const MAX_VECTORS: u32 = 4096;

/// Why a remap IRQ is not enabled.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// It is not a remap IRQ.
    #[error("IRQ {index} is not a remap IRQ")]
    NotRemap {
        /// IRQ index.
        index: u32,
    },
    /// The form of acknowledgement is for the other encoding.
    #[error(
        "IRQ {index} has the encoding {}, which cannot be acknowledged by {form}; use --ack {}",
        encoding_name(*.encoding),
        AckForm::preferred(*.encoding)
    )]
    WrongForm {
        /// IRQ index.
        index: u32,
        /// Its encoding.
        encoding: Encoding,
        /// The requested form.
        form: AckForm,
    },
    /// The number of sub-indexes is out of range.
    #[error("IRQ {index} has {count} sub-indexes; a remap IRQ has 1 to {MAX_VECTORS}")]
    BadCount {
        /// IRQ index.
        index: u32,
        /// `vfio_irq_info.count`.
        count: u32,
    },
    /// An eventfd could not be created.
    #[error("cannot create an eventfd: {0}")]
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
        if irq.count == 0 || irq.count > MAX_VECTORS {
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
        // From here on, dropping the handshake disables the IRQ, whatever fails.
        let triggers = handshake.triggers.iter().map(Arc::as_ref);
        handshake.set_eventfds(Action::Trigger, triggers)?;
        if !handshake.unmasks.is_empty() {
            handshake.set_eventfds(Action::Unmask, handshake.unmasks.iter())?;
        }
        Ok(handshake)
    }

    fn set_eventfds<'a>(
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

    /// Its capability.
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

    /// The unmask eventfds, by sub-index; empty except with [`AckForm::UnmaskEventfd`].
    pub fn unmasks(&self) -> &[EventFd] {
        &self.unmasks
    }

    /// Acknowledges a trigger of sub-index `sub`, all of its regions at once.
    ///
    /// With [`AckForm::Write1`] the 1 is read back at once; a signal in between is returned, and is
    /// another trigger.
    pub fn ack(&self, sub: u32) -> Result<Option<u64>, VfioError> {
        let at = usize::try_from(sub).unwrap_or(usize::MAX);
        match self.form {
            AckForm::Write0 => self
                .write(self.triggers.get(at).map(Arc::as_ref), 0)
                .map(|()| None),
            AckForm::Write1 => {
                let trigger = self.triggers.get(at).map(Arc::as_ref);
                self.write(trigger, 1)?;
                // A driver with a virqfd on it has drained the counter by now.
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

    /// Disables the IRQ: `DATA_NONE`, count 0. This ends the wait of a driver. A second
    /// call does nothing.
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
