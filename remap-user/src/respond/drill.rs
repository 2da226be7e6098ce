//! A drill: the service on one thread, the drive on another, and a watch over both, so that a driver
//! that hangs does not hang the drill.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

use crate::respond::ack::AckForm;
use crate::respond::apply::Maps;
use crate::respond::drive::{Drive, Step};
use crate::respond::error::ServeError;
use crate::respond::exercise::exercise;
use crate::respond::migrate::Migration;
use crate::respond::progress::Progress;
use crate::respond::serve::Service;
use crate::respond::verdict::{Line, Verdict};
use crate::threads;
use crate::vfio::device::Device;
use crate::vfio::error::Error as VfioError;
use remap_core::event::DeviceState;

/// How often the watch checks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a state change may still take once the IRQ is disabled.
const GRACE: Duration = Duration::from_secs(5);

/// The options of a drill.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cycles.
    pub cycles: u64,
    /// The states of a cycle; `None` for a full migration out and back in.
    pub states: Option<Vec<DeviceState>>,
    /// The form of the acknowledgement; `None` for the default of the encoding.
    pub ack: Option<AckForm>,
    /// How long one state change may take.
    pub limit: Duration,
    /// After the cycles: what a driver has to refuse, and a user that goes away.
    pub exercise: bool,
    /// Set to end it early, after the current step.
    pub stop: Arc<AtomicBool>,
}

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum DrillError {
    /// The device has no migration states.
    #[error("{0} has no migration: neither v2 nor the legacy region; its driver has no states")]
    NoMigration(String),
    /// The service did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The device failed.
    #[error(transparent)]
    Vfio(#[from] VfioError),
    /// A thread could not be started.
    #[error("starting a thread of the drill failed: {0}; raise the limits (`ulimit -u`, `-v`)")]
    Thread(std::io::Error),
    /// A thread panicked.
    #[error("the {0} thread of the drill panicked")]
    Died(&'static str),
    /// A state change did not return, even after the IRQ was disabled.
    #[error("{0} did not return within {1} s, nor after the IRQ was disabled: the driver hangs")]
    Stuck(String, u64),
}

/// The parts of a started service that the drive needs.
struct Started {
    maps: Arc<Mutex<Maps>>,
    progress: Arc<Progress>,
    regions: Vec<u32>,
}

/// Runs a drill. Calls `ready` once triggers are answered, before the first state change.
pub fn drill<E: From<DrillError>>(
    device: &Arc<Device>,
    options: &Options,
    lines: &Sender<Line>,
    ready: impl FnOnce() -> Result<(), E>,
) -> Result<Verdict, E> {
    let vfio = |error: VfioError| DrillError::from(error);
    let migration = Migration::find(device)
        .map_err(vfio)?
        .ok_or_else(|| DrillError::NoMigration(device.bdf().to_string()))?;
    let mut states = options.states.clone().unwrap_or_else(|| migration.cycle());
    if states.last() != Some(&DeviceState::Running) {
        states.push(DeviceState::Running);
    }
    let (service, end) = start_service(device, options.ack, lines.clone())?;
    let started = end.started;
    let result = ready().and_then(|()| {
        let step = Arc::new(Step::default());
        let drive = Drive {
            device: Arc::clone(device),
            verdict: Verdict::new(device.bdf(), migration.name(), options.cycles),
            migration,
            states,
            regions: started.regions,
            maps: started.maps,
            progress: Arc::clone(&started.progress),
            step: Arc::clone(&step),
            stop: Arc::clone(&options.stop),
            lines: lines.clone(),
        };
        let (done, verdict) = channel();
        threads::spawn(move || {
            let _ = done.send(drive.run());
        })
        .map_err(DrillError::Thread)?;
        watch(&verdict, &step, options, &end.stop, &service).map_err(E::from)
    });
    end.stop.notify_one();
    let served = service.join().map_err(|_| DrillError::Died("service"))?;
    let mut verdict = result?;
    verdict.service = started.progress.totals();
    if let Err(error) = served {
        verdict.failures += 1;
        let _ = lines.send(Line::Failure {
            cycle: verdict.cycles,
            text: error.to_string(),
        });
    }
    if options.exercise && !options.stop.load(Ordering::Acquire) {
        let exercised = exercise(device, options.ack, options.limit);
        if let Err(error) = exercised {
            verdict.failures += 1;
            let _ = lines.send(Line::Failure {
                cycle: verdict.cycles,
                text: format!("the exercise: {error}"),
            });
        }
    }
    verdict.finish();
    Ok(verdict)
}

/// The running service, from outside its thread.
struct Running {
    started: Started,
    stop: Arc<Notify>,
}

type ServiceThread = thread::JoinHandle<Result<(), ServeError>>;

fn start_service(
    device: &Arc<Device>,
    ack: Option<AckForm>,
    lines: Sender<Line>,
) -> Result<(ServiceThread, Running), DrillError> {
    let (handover, started) = channel();
    let stop = Arc::new(Notify::new());
    let (device, stopped) = (Arc::clone(device), Arc::clone(&stop));
    let report = Box::new(move |report| {
        // A closed channel does not end the service.
        let _ = lines.send(Line::Service(report));
    });
    let service = threads::spawn(move || {
        let runtime = threads::runtime(threads::MANY).map_err(ServeError::Wait)?;
        runtime.block_on(async {
            let mut service = Service::start(&device, ack, report)?;
            let _ = handover.send(Started {
                maps: service.maps(),
                progress: service.progress(),
                regions: service.regions(),
            });
            service.run(stopped.notified()).await
        })
    })
    .map_err(DrillError::Thread)?;
    match started.recv() {
        Ok(started) => Ok((service, Running { started, stop })),
        Err(_) => match service.join() {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(DrillError::Died("service")),
        },
    }
}

/// Waits for the drive. A step that takes too long ends the service, which disables the IRQ, which
/// ends the wait of the driver.
fn watch(
    verdict: &Receiver<Verdict>,
    step: &Step,
    options: &Options,
    stop_service: &Notify,
    service: &ServiceThread,
) -> Result<Verdict, DrillError> {
    loop {
        match verdict.recv_timeout(POLL_INTERVAL) {
            Ok(verdict) => return Ok(verdict),
            Err(RecvTimeoutError::Disconnected) => return Err(DrillError::Died("drive")),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if service.is_finished() {
            // No service answers any more: the drive must end.
            options.stop.store(true, Ordering::Release);
        }
        if let Some(what) = step.stuck(options.limit) {
            options.stop.store(true, Ordering::Release);
            stop_service.notify_one();
            return verdict
                .recv_timeout(GRACE)
                .map_err(|_| DrillError::Stuck(what, options.limit.as_secs()));
        }
    }
}
