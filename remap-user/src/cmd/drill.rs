//! `remap drill BDF`: repeated migration cycles of a device, with a service that answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use clap::Args;

use crate::cmd::files::create_ready_file;
use crate::cmd::format::Format;
use crate::cmd::limits;
use crate::cmd::machine::open_device;
use crate::cmd::output::Printer;
use crate::cmd::signals::stop_signal;
use crate::exit::{Code, Error, say};
use crate::respond::ack::AckForm;
use crate::respond::drill::{DrillError, Options, drill};
use crate::respond::migrate::parse_state;
use crate::respond::report::Report;
use crate::respond::verdict::Line;
use crate::threads;
use crate::vfio::open::Via;
use remap_core::event::DeviceState;

/// Drives a device through its migration states while a service answers its triggers, and checks
/// the result.
#[derive(Args, Debug)]
pub struct Drill {
    /// The device: domain:bus:device.function, as in 0000:01:00.0.
    #[arg(value_name = "BDF")]
    device: String,
    /// How often to go from RUNNING to RUNNING.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    cycles: u64,
    /// The states of each cycle, such as running,pre-copy,stop-copy,stop; RUNNING is always added at
    /// the end. Default: a full migration out and back in, as far as the driver supports it.
    #[arg(long, value_name = "STATE,…", value_delimiter = ',', value_parser = parse_state)]
    states: Option<Vec<DeviceState>>,
    /// The form of the acknowledgement: write0 and write1 for a bitmap (default write0), unmask
    /// and unmask-eventfd for vectors (default unmask).
    #[arg(long, value_name = "FORM")]
    ack: Option<AckForm>,
    /// How long one state change may take before the drill disables the IRQ, seconds.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// After the cycles, do what a driver has to refuse (a signal by SET_IRQS, an mmap(2) of what is
    /// trapped), disable the IRQ while the driver waits, map a region for DMA, and take (and mask) one interrupt of
    /// the device.
    #[arg(long)]
    exercise: bool,
    /// The way to open the device.
    #[arg(long, value_name = "WAY", value_enum, default_value_t)]
    via: Via,
    /// Write every trigger, remap, ack and state change, not only failures.
    #[arg(long, short)]
    verbose: bool,
    /// Write JSON Lines.
    #[arg(long)]
    json: bool,
    /// Create this file as soon as triggers are answered, before the first state change.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl From<DrillError> for Error {
    fn from(error: DrillError) -> Self {
        match error {
            DrillError::Serve(error) => error.into(),
            DrillError::Vfio(error) => error.into(),
            other => Self::new(Code::Failed, other),
        }
    }
}

impl Drill {
    /// Runs the drill; fails if any part of it failed.
    pub fn run(self) -> Result<(), Error> {
        let wanted = if self.verbose {
            |_: &Line| true
        } else {
            is_wrong_or_last
        };
        limits::require(&limits::RESPOND)?;
        let runtime = threads::runtime(threads::MANY).map_err(|error| threads::refused(&error))?;
        let (lines, printer) = Printer::start(Format::new(self.json), wanted)?;
        let outbox = printer.outbox();
        let drilled = runtime.block_on(async {
            let (signalled, stop) = (stop_signal()?, Arc::new(AtomicBool::new(false)));
            let interrupted = Arc::clone(&stop);
            tokio::spawn(async move {
                tokio::select! {
                    () = signalled.notified() => {}
                    () = outbox.gone() => {}
                }
                interrupted.store(true, Ordering::Release);
            });
            let drilled = tokio::task::spawn_blocking(move || self.drill(&lines, stop));
            drilled.await.map_err(|_| DrillError::Died("main"))?
        });
        // A state change that hangs in the kernel must not hold this back.
        runtime.shutdown_background();
        match (printer.finish(), drilled) {
            // The drill's own failure counts for more than lines that were not read.
            (Err(error), Err(failure)) if error.code == Code::Lost => {
                say(format_args!("{error}"));
                Err(failure)
            }
            // The output was closed or failed, which ended the drill.
            (Err(error), _) => Err(error),
            (Ok(()), drilled) => drilled,
        }
    }

    fn drill(self, lines: &Sender<Line>, stop: Arc<AtomicBool>) -> Result<(), Error> {
        let device = open_device(&self.device, self.via, None)?;
        let options = Options {
            cycles: self.cycles,
            states: self.states,
            ack: self.ack,
            limit: Duration::from_secs(self.limit),
            exercise: self.exercise,
            stop: Arc::clone(&stop),
        };
        let ready = || create_ready_file(self.ready_file.as_deref());
        let verdict = drill(&device, &options, lines, ready)?;
        let (good, bdf) = (verdict.is_good(), verdict.device);
        let (done, asked) = (verdict.cycles, verdict.asked);
        let interrupted = stop.load(Ordering::Acquire) && verdict.failures == 0;
        let _ = lines.send(Line::Verdict(Box::new(verdict)));
        if good {
            return Ok(());
        }
        Err(Error::with_message(
            Code::Failed,
            if interrupted {
                format!("the drill of {bdf} was interrupted after {done} of {asked} cycles")
            } else {
                format!("the drill of {bdf} failed: see its failures and problems above")
            },
        ))
    }
}

/// Whether a line is always written.
fn is_wrong_or_last(line: &Line) -> bool {
    matches!(
        line,
        Line::Failure { .. } | Line::Verdict(_) | Line::Service(Report::Problem { .. })
    )
}
