//! Why a device cannot be served.

use std::io;

use thiserror::Error;

use crate::respond::handshake::HandshakeError;
use crate::vfio::error::Error as VfioError;

/// Why a device cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// No IRQ index of the device is a remap IRQ.
    #[error(
        "{device} has no remap IRQ: none of its {count} IRQ indexes has the capability; bind it \
         to a driver that implements the protocol"
    )]
    NoRemapIrq {
        /// The device.
        device: String,
        /// How many IRQ indexes it has.
        count: usize,
    },
    /// The IRQ may name a region that cannot be remapped, so the IRQ is not enabled.
    #[error("{device} IRQ {index} is not enabled: region {region}, which it may signal, {why}")]
    CannotRemap {
        /// The device.
        device: String,
        /// IRQ index.
        index: u32,
        /// Region index.
        region: u32,
        /// Why.
        why: String,
    },
    /// The IRQ could not be enabled.
    #[error("{device}: {error}")]
    Handshake {
        /// The device.
        device: String,
        /// Why.
        error: HandshakeError,
    },
    /// An eventfd failed on the reactor.
    #[error("waiting for a trigger failed: {0}")]
    Wait(io::Error),
    /// The thread that answers panicked.
    #[error("the thread that answers a trigger panicked: {0}")]
    Died(tokio::task::JoinError),
    /// The device failed.
    #[error(transparent)]
    Vfio(#[from] VfioError),
}
