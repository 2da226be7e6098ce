//! What `trace` and `record` have in common: their arguments, and a live session.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use remap_core::{
    account::{Miss, RECURSION},
    correlate::Options,
    event::Errno,
    metrics::{Meter, Metered},
    model::{BlindCause, Ns, Summary},
    perfdata::Output,
    pipeline::{Pipeline, VmNames},
    replay::{Capture, Feed, Start, VERSION},
    sink::{
        Sink,
        observe::Observed,
        select::{Select, Selection},
    },
};
use tokio::sync::Notify;

use crate::{
    cmd::{
        files::ReadyFile,
        launch::Launcher,
        limits, recording,
        select::{Scope, options},
        signals::{remove_at_second, stop_signal},
    },
    confine::{Confinement, Network},
    exit::{Code, Error, say},
    live::{
        clock::monotonic_ns,
        hooks::lookup::can_be_probed,
        pin::Pin,
        probes::LoadOptions,
        process::vm_name,
        qemu_log::{self, QemuLogs},
        session::{Progress, Session},
    },
    otlp::Exporter,
    threads,
    tracepoint::{Tracepoints, UserEvents},
};

/// How a trace runs.
#[derive(Args, Debug)]
pub struct Tracing {
    #[command(flatten)]
    pub scope: Scope,
    /// Add the checkpoints of QEMU's trace log to the time line; may be repeated, once for each QEMU.
    ///
    /// QEMU writes it with `-msg timestamp=on -D FILE -trace 'vmstate_downtime_*' -trace
    /// 'migrat*_*' -trace vm_state_notify -trace 'vfio_*state*'`. The file may still grow, and
    /// need not exist yet.
    #[arg(long, value_name = "FILE")]
    qemu_log: Vec<PathBuf>,
    /// End after this many seconds.
    #[arg(long, value_name = "S", value_parser = seconds)]
    duration: Option<Duration>,
    /// Create this file as soon as the probes are attached.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Exit with 4 if any record was lost, or hooks did not fire for a time.
    #[arg(long)]
    fail_on_loss: bool,
    /// Size of the ring between the probes and this process, MiB; a power of two.
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = power_of_two)]
    buffer: u32,
    /// Use kprobes in place of fentry and fexit for functions that interrupts do not call. They cost
    /// more, but a preemptible kernel (PREEMPT full or lazy) skips none of them.
    #[arg(long)]
    kprobes: bool,
    /// Pass each record on to other programs: a BPF perf event array that only its owner can open is
    /// pinned at PATH in a BPF file system, such as /sys/fs/bpf/remap, and removed at the end.
    ///
    /// `bpftool map event_pipe pinned PATH` and the perf_buffer of libbpf read it; `remap schema --c`
    /// prints the C header of the records. Numbers stand for the addresses of kernel objects.
    #[arg(long, value_name = "PATH")]
    perf_events: Option<PathBuf>,
    /// Do not trace modules that are loaded later. The trace then gives up every capability once its
    /// probes are attached; with --qemu-log it keeps CAP_DAC_READ_SEARCH.
    #[arg(long)]
    no_reattach: bool,
    /// Write the diagnostics of the probes to stderr.
    #[arg(long)]
    probe_log: bool,
}

/// A trace whose hooks are attached.
pub struct Began {
    session: Session,
    logs: QemuLogs,
    ready: ReadyFile,
    pin: Option<Arc<Pin>>,
    /// The first signal.
    pub stop: Arc<Notify>,
    /// CLOCK_MONOTONIC ns.
    pub start_ns: u64,
}

impl Began {
    /// Whether all consumers of eventfds are traced.
    fn sees_consumers(&self) -> bool {
        self.session.has("eventfd_ctx_do_read") && self.session.has("eventfd_read")
    }
}

/// What waits for a trace to begin.
struct Starting<'a> {
    ready: &'a ReadyFile,
    launcher: Option<&'a Launcher>,
}

impl Progress for Starting<'_> {
    fn attached(&self) -> Result<(), Error> {
        self.launcher.map_or(Ok(()), Launcher::start)
    }

    fn ready(&self) -> Result<(), Error> {
        self.ready.create()
    }
}

/// What is made of a trace.
pub struct Wanted {
    /// Which lines.
    pub selection: Selection,
    /// Every event too.
    pub events: bool,
    /// A line for each stage.
    pub stages: bool,
    /// Where it is recorded.
    pub recording: Option<Box<dyn Output>>,
    /// What counts it.
    pub meter: Option<Meter>,
    /// A command that is started once the hooks are attached.
    pub launcher: Option<Launcher>,
    /// What sends it.
    pub exporter: Option<Exporter>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn power_of_two(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(mib @ 1..=1024) if u32::is_power_of_two(mib) => Ok(mib),
        _ => Err("not a power of two from 1 to 1024".to_owned()),
    }
}

impl Began {
    /// The hooks that are not attached.
    pub fn missing_hooks(&self) -> Vec<String> {
        self.session.missing_hooks()
    }
}

impl Tracing {
    /// Runs `trace`, which begins with [`Self::begin`], on a runtime of its own.
    ///
    /// # Errors
    /// If the limits of this process are too low, and what `trace` returns.
    pub fn run<T>(&self, trace: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.probe_log {
            log::set_logger(&Stderr).map_err(anyhow::Error::msg)?;
            log::set_max_level(log::LevelFilter::Trace);
        }
        limits::require(&limits::TRACE)?;
        let runtime = threads::runtime(1).map_err(|error| threads::refused(&error))?;
        runtime.block_on(trace)
    }

    /// Checks the arguments: a wrong one fails before the first step that takes time.
    ///
    /// # Errors
    /// If one is wrong.
    pub fn check(&self) -> Result<(), Error> {
        self.scope.filter()?;
        self.pin()?;
        qemu_log::check(&self.qemu_log)
    }

    fn pin(&self) -> Result<Option<Pin>, Error> {
        self.perf_events.as_deref().map(Pin::at).transpose()
    }

    /// Attaches the hooks.
    ///
    /// # Errors
    /// If they cannot be attached.
    pub async fn begin(&self) -> Result<Began, Error> {
        let stop = stop_signal()?;
        let pin = self.pin()?;
        if let Some(pin) = &pin {
            remove_at_second(pin.path());
        }
        let pin = pin.map(Arc::new);
        let options = LoadOptions {
            ring_bytes: self.buffer << 20,
            tracing: !self.kprobes,
            diagnostics: self.probe_log,
            perf_events: pin.clone(),
        };
        let session = Session::attach(options, self.ended(&stop)).await?;
        let start_ns = monotonic_ns()?;
        Ok(Began {
            session,
            logs: QemuLogs::new(&self.qemu_log, start_ns)?,
            ready: ReadyFile::prepare(self.ready_file.as_deref())?,
            pin,
            stop,
            start_ns,
        })
    }

    /// Runs the session into a sink.
    ///
    /// # Errors
    /// If the session or the output fails.
    pub async fn follow<S: Sink>(
        &self,
        began: Began,
        wanted: Wanted,
        sink: S,
        end: impl Future<Output = ()>,
    ) -> Result<Summary, Error> {
        let wants = options(&wanted.selection);
        let metered = wanted.meter.is_some();
        let options = Options {
            interrupts: wants.interrupts || metered,
            sees_consumers: began.sees_consumers(),
            stages: wanted.stages,
            ..wants
        };
        let filter = self.scope.filter()?;
        let capture = match wanted.recording {
            Some(out) => Some(self.capture(&began, out, false)?),
            None => None,
        };
        let names: VmNames = Box::new(vm_name);
        let names = match &capture {
            Some(capture) => capture.vm_names(names),
            None => names,
        };
        let sink = Select::new(
            Observed::new(sink, Tracepoints(user_events())),
            wanted.selection,
        );
        let sends = wanted.exporter.is_some();
        let sink = Observed::new(sink, wanted.exporter);
        let shown = (wanted.events, wants.interrupts);
        let sink = Metered::new(sink, wanted.meter, shown);
        let events = wanted.events || metered;
        let pipeline = Pipeline::new(options, filter, names, events, sink);
        let network = Network {
            serves: metered,
            sends,
        };
        self.session(
            began,
            Feed::new(pipeline, capture),
            (wanted.launcher.as_ref(), network),
            end,
        )
        .await
    }

    /// Runs the session into a recording alone; with `addresses` it has kernel addresses. `launcher`
    /// starts a command once the hooks are attached.
    ///
    /// # Errors
    /// If the session, the recording or the start of the command fails.
    pub async fn record(
        &self,
        began: Began,
        (out, addresses): (Box<dyn Output>, bool),
        launcher: Option<&Launcher>,
        end: impl Future<Output = ()>,
    ) -> Result<Summary, Error> {
        let capture = self.capture(&began, out, addresses)?;
        let feed = Feed::recording(capture, Box::new(vm_name));
        let network = Network::default();
        self.session(began, feed, (launcher, network), end).await
    }

    fn capture(
        &self,
        began: &Began,
        out: Box<dyn Output>,
        addresses: bool,
    ) -> Result<Capture, Error> {
        let start = Start {
            version: VERSION,
            start_ns: began.start_ns,
            sees_consumers: began.sees_consumers(),
            logs: !began.logs.is_empty(),
            filter: self.scope.filter()?,
            addresses,
            missing_hooks: began.missing_hooks(),
        };
        Ok(Capture::new(out, recording::origin()?, start)?)
    }

    async fn session<S: Sink>(
        &self,
        began: Began,
        feed: Feed<S>,
        (launcher, network): (Option<&Launcher>, Network),
        end: impl Future<Output = ()>,
    ) -> Result<Summary, Error> {
        let pin = began.pin;
        let confinement = Confinement::new(!self.no_reattach, &self.qemu_log)
            .removing(pin.as_deref().map(Pin::path))
            .on(network);
        let progress = Starting {
            ready: &began.ready,
            launcher,
        };
        let session = began.session;
        let ran = session.run(feed, began.logs, confinement, progress, end);
        let summary = ran.await?;
        pin.as_deref().map_or(Ok(()), Pin::remove)?;
        Ok(summary)
    }

    /// Waits until the user ends the trace, or for its duration from now on.
    pub async fn ended(&self, stop: &Notify) {
        let duration = async {
            match self.duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.notified() => {}
            () = duration => {}
        }
    }

    /// Whether the account of the trace is as it should be.
    ///
    /// # Errors
    /// If it is not.
    pub fn judge(&self, summary: &Summary) -> Result<(), Error> {
        if summary.exact() == Some(false) {
            return Err(Error::with_message(
                Code::Failed,
                "the account does not balance: more or fewer records were delivered and lost \
                 than seen; please report this",
            ));
        }
        if self.fail_on_loss && !summary.blind.is_empty() {
            return Err(Error::with_message(Code::Lost, blind(summary)));
        }
        if self.fail_on_loss && summary.lost_total() > 0 {
            return Err(Error::with_message(Code::Lost, self.lost(summary)));
        }
        Ok(())
    }

    /// The records that were lost, and the remedies.
    fn lost(&self, summary: &Summary) -> String {
        let mut remedies = Vec::new();
        if summary.lost.contains_key("ring_full") {
            remedies.push("with a larger --buffer");
        }
        // A function that interrupts call stays traced with --kprobes.
        let helps = |miss: &Miss| miss.reason == RECURSION && can_be_probed(&miss.program);
        if !self.kprobes && summary.missed.iter().any(helps) {
            remedies.push("with --kprobes");
        }
        let reasons: Vec<&str> = summary.lost.keys().map(String::as_str).collect();
        let (count, reasons) = (summary.lost_total(), reasons.join(", "));
        match remedies.as_slice() {
            [] => format!("{count} records were lost ({reasons})"),
            _ => format!(
                "{count} records were lost ({reasons}); trace again {}",
                remedies.join(" and ")
            ),
        }
    }
}

/// The tracepoints that the kernel takes, if it does. Without them a trace is the same.
fn user_events() -> Option<UserEvents> {
    UserEvents::register().unwrap_or_else(|error| {
        let errno = Errno::of(&error);
        say(format_args!(
            "no tracepoints user_events:remap_*: registering them failed: {errno}"
        ));
        None
    })
}

/// How long hooks did not fire, and the remedies.
fn blind(summary: &Summary) -> String {
    let (count, time) = (summary.blind.len(), Ns(summary.blind_ns()));
    let mut causes: Vec<BlindCause> = summary.blind.iter().map(|blind| blind.cause).collect();
    causes.sort_unstable();
    causes.dedup();
    let causes = causes
        .iter()
        .map(|cause| format!("{}; {}", cause.words(), cause.remedy()));
    let causes: Vec<String> = causes.collect();
    format!(
        "hooks did not fire {count} times, for up to {time}: {}",
        causes.join("; ")
    )
}

/// Writes the probes' own diagnostics to stderr.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // The reactor and the loader log too, under other targets.
        metadata.target().starts_with("remap")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            say(format_args!("probe: {}", record.args()));
        }
    }

    fn flush(&self) {}
}
