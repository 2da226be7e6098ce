//! A live trace, from its first hook to its summary.
//!
//! ```text
//! Attaching ──▶ Running ──▶ Draining ──▶ Finished (a summary)
//!     └───────────────── end ─────────────▶
//! ```
//!
//! Attaching loads the programs, and waits for the module `vfio` where it is missing. Running walks
//! over everything that was there before, and feeds the pipeline with records, losses and
//! watermarks until the end. Draining ends the recording, takes the last records and closes the
//! account; then the programs are detached. Each state is a type; a replay feeds the same pipeline from a recording.

mod blindness;
mod draining;
mod running;
mod walking;

use remap_core::{account::Account, model::Summary, replay::Feed, sink::Sink};

use self::running::Running;
use super::{
    attaching::attach,
    clock::monotonic_ns,
    probes::{LoadOptions, Probes},
    qemu_log::QemuLogs,
};
use crate::{confine::Confinement, exit::Error};

/// What others wait for while a trace begins.
pub trait Progress {
    /// The walk over everything that was there before is complete, and processes can still be started;
    /// called once.
    ///
    /// # Errors
    /// If something that waited for it fails; this ends the trace.
    fn attached(&self) -> Result<(), Error>;

    /// Such a walk is complete, and the trace has given up what it does not need; called for each
    /// walk.
    ///
    /// # Errors
    /// If something that waited for it fails; this ends the trace.
    fn ready(&self) -> Result<(), Error>;
}

/// A trace whose hooks are attached.
pub struct Session {
    options: LoadOptions,
    /// `None` if the trace was ended while it was attaching.
    probes: Option<Probes>,
}

impl Session {
    /// Attaches the hooks. If `end` completes first, the trace will be empty.
    ///
    /// # Errors
    /// If the programs cannot be loaded.
    pub async fn attach(
        options: LoadOptions,
        end: impl Future<Output = ()>,
    ) -> Result<Self, Error> {
        let probes = tokio::select! {
            probes = attach(&options) => Some(probes?),
            () = end => None,
        };
        Ok(Self { options, probes })
    }

    /// Whether the hook of this name is attached.
    pub fn has(&self, hook: &str) -> bool {
        let probes = self.probes.as_ref();
        probes.is_some_and(|probes| probes.hooks.has(hook))
    }

    /// The hooks that are not attached, although the kernel has what they trace.
    pub fn missing_hooks(&self) -> Vec<String> {
        let probes = self.probes.iter();
        let hooks = probes.flat_map(|probes| &probes.missing_hooks);
        hooks.map(|hook| (*hook).to_owned()).collect()
    }

    /// Feeds the pipeline until `end` completes, then drains and closes the account. Meanwhile it has
    /// only the rights of `confinement`.
    ///
    /// # Errors
    /// If a map, the ring, a log or the output fails, or what `progress` starts.
    pub async fn run<S: Sink>(
        self,
        feed: Feed<S>,
        logs: QemuLogs,
        confinement: Confinement,
        progress: impl Progress,
        end: impl Future<Output = ()>,
    ) -> Result<Summary, Error> {
        let Some(probes) = self.probes else {
            return Ok(feed.finish(monotonic_ns()?, &Account::default())?);
        };
        let mut running = Running::new(self.options, probes, feed, logs, confinement)?;
        running.run(progress, end).await?;
        let mut draining = running.end()?;
        draining.drain()?;
        draining.finish()
    }
}
