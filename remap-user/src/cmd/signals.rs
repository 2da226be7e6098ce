//! The signals that end a command.

use std::sync::Arc;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use crate::exit::Error;

/// Notified at the first SIGINT, SIGTERM or SIGHUP; a second one of the same kind ends the process
/// at once. Must be called within a tokio runtime.
///
/// # Errors
/// If a signal handler cannot be installed.
pub fn stop_signal() -> Result<Arc<Notify>, Error> {
    let notify = Arc::new(Notify::new());
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signal = signal(kind)?;
        let notify = Arc::clone(&notify);
        tokio::spawn(async move {
            if signal.recv().await.is_some() {
                notify.notify_one();
            }
            // The second signal: something hangs, perhaps in a driver. The kernel closes the device
            // of an exited process, which disables its IRQs and ends the wait of its driver.
            if signal.recv().await.is_some() {
                std::process::exit(128 + kind.as_raw_value());
            }
        });
    }
    Ok(notify)
}
