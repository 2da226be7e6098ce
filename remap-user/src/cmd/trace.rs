//! `remap trace`: parses its arguments, and runs a live session into a sink.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use remap_core::{
    account::{Miss, RECURSION},
    correlate::Options,
    model::{BlindCause, Class, Ns, Summary},
    pipeline::{Pipeline, VmNames},
    replay::{Capture, Feed, Start, VERSION},
    sink::{
        Sink,
        json::Json,
        select::{Select, Selection},
        table::Identity,
        text::{Text, TextOptions},
    },
};
use tokio::sync::Notify;

use crate::{
    cmd::{
        format::Format,
        limits,
        machine::{ReadyFile, create_private, not_created},
        outbox::{self, Outbox},
        select::Filters,
        signals::stop_signal,
        writer::{Bounded, Writer},
    },
    confine::Confinement,
    exit::{Code, Error, say},
    live::{
        clock::monotonic_ns,
        hooks::lookup::can_be_probed,
        probes::LoadOptions,
        process::vm_name,
        qemu_log::{self, QemuLogs},
        session::Session,
    },
    threads,
};

/// Shows remap cycles, state changes and findings of every VFIO device, live.
///
/// Changes nothing on the system and opens no device. Ends at Ctrl-C, after --duration, or when the
/// reader of its output exits; then writes a summary. A second Ctrl-C ends it at once, without one.
///
/// Its queues and tables hold at most 64 MiB, beside the ring (--buffer). Records that it cannot
/// follow are lost, lines that the reader of its output does not read are dropped (exit code 4),
/// and both are counted and marked where they are missing.
#[derive(Args, Debug)]
pub struct Trace {
    #[command(flatten)]
    filters: Filters,
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
    /// Write JSON Lines.
    #[arg(long)]
    json: bool,
    /// Write every event too.
    #[arg(long)]
    events: bool,
    /// Write a line for each stage of a cycle, as it is observed.
    #[arg(long)]
    stages: bool,
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
    /// Do not trace modules that are loaded later. The trace then gives up every capability once its
    /// probes are attached; with --qemu-log it keeps CAP_DAC_READ_SEARCH.
    #[arg(long)]
    no_reattach: bool,
    /// Write the diagnostics of the probes to stderr.
    #[arg(long)]
    probe_log: bool,
    /// Write a recording of the trace for tests; see docs/lab.md.
    #[arg(long, value_name = "FILE", hide = true)]
    capture: Option<PathBuf>,
}

/// A trace whose hooks are attached.
struct Began {
    /// CLOCK_MONOTONIC ns.
    start_ns: u64,
    /// The file of `--capture`.
    recording: Option<File>,
    ready: ReadyFile,
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

impl Trace {
    /// Traces until it is ended.
    ///
    /// # Errors
    /// If an argument is wrong, the trace fails, or records were lost and `--fail-on-loss` is set.
    pub fn run(self) -> Result<(), Error> {
        if self.probe_log {
            log::set_logger(&Stderr).map_err(anyhow::Error::msg)?;
            log::set_max_level(log::LevelFilter::Trace);
        }
        limits::require(&limits::TRACE)?;
        let runtime = threads::runtime(1).map_err(|error| threads::refused(&error))?;
        runtime.block_on(self.trace())
    }

    async fn trace(&self) -> Result<(), Error> {
        // Before the first step that takes time: a wrong argument fails at once.
        self.filters.filter()?;
        qemu_log::check(&self.qemu_log)?;
        let recording = self.open_recording()?;
        let stop = stop_signal()?;
        let session = Session::attach(self.load_options(), self.ended(&stop)).await?;
        let start_ns = monotonic_ns()?;
        let logs = QemuLogs::new(&self.qemu_log, start_ns)?;
        let began = Began {
            start_ns,
            recording,
            ready: ReadyFile::prepare(self.ready_file.as_deref())?,
        };
        let outbox = Outbox::start(Format::new(self.json))?;
        let out = Writer::new(outbox.clone());
        let end = async {
            tokio::select! {
                () = self.ended(&stop) => {}
                () = outbox.gone() => {}
            }
        };
        let summary = if self.json {
            let sink = Bounded::new(Json::new(out), outbox.clone());
            self.follow(session, sink, logs, began, end).await
        } else {
            let sink = Bounded::new(text(out, start_ns), outbox.clone());
            self.follow(session, sink, logs, began, end).await
        };
        // The error of the output first: it also fails the trace.
        let unread = outbox.finish()?;
        let summary = summary?;
        self.judge(&summary)?;
        outbox::unread(unread, &format!(" ({})", Identity(&summary)))
    }

    /// Runs the session into a sink.
    async fn follow<S: Sink>(
        &self,
        session: Session,
        sink: S,
        logs: QemuLogs,
        began: Began,
        end: impl Future<Output = ()>,
    ) -> Result<Summary, Error> {
        let selection = self.filters.selection();
        let options = self.correlation(&session, &selection);
        let start = Start {
            version: VERSION,
            start_ns: began.start_ns,
            sees_consumers: options.sees_consumers,
            logs: !logs.is_empty(),
        };
        let capture = began
            .recording
            .map(|file| {
                file.set_len(0)?;
                Capture::new(Box::new(BufWriter::new(file)), start)
            })
            .transpose()?;
        let names: VmNames = Box::new(vm_name);
        let names = match &capture {
            Some(capture) => capture.vm_names(names),
            None => names,
        };
        let filter = self.filters.filter()?;
        let sink = Select::new(sink, selection);
        let pipeline = Pipeline::new(options, filter, names, self.events, sink);
        let feed = Feed::new(pipeline, capture);
        let confinement = Confinement::new(!self.no_reattach, &self.qemu_log);
        let on_ready = || began.ready.create();
        session.run(feed, logs, confinement, on_ready, end).await
    }

    /// The file of `--capture`, which keeps its contents until the hooks are attached. A fifo is
    /// refused: its reader could block the trace.
    fn open_recording(&self) -> Result<Option<File>, Error> {
        let Some(path) = &self.capture else {
            return Ok(None);
        };
        let file = create_private(path, false);
        let is_file = |file: &File| file.metadata().map(|meta| meta.is_file());
        let reason = match file.and_then(|file| Ok((is_file(&file)?, file))) {
            Ok((true, file)) => return Ok(Some(file)),
            Ok((false, _)) => "it is not a regular file".to_owned(),
            Err(error) => not_created(&error),
        };
        let path = path.display();
        let message = format!("creating the recording {path} failed: {reason}");
        Err(Error::with_message(Code::Failed, message))
    }

    fn correlation(&self, session: &Session, selection: &Selection) -> Options {
        Options {
            sees_consumers: session.has("eventfd_ctx_do_read") && session.has("eventfd_read"),
            stages: self.stages,
            interrupts: selection.names(Class::Irq),
            mappings: selection.names(Class::Mapping) || selection.names(Class::Dma),
            ..Options::default()
        }
    }

    fn load_options(&self) -> LoadOptions {
        LoadOptions {
            ring_bytes: self.buffer << 20,
            tracing: !self.kprobes,
            diagnostics: self.probe_log,
        }
    }

    /// Waits until the user ends the trace, or for its duration from now on.
    async fn ended(&self, stop: &Notify) {
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
    fn judge(&self, summary: &Summary) -> Result<(), Error> {
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

fn text(out: Writer, start_ns: u64) -> Text<Writer> {
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Text::new(out, TextOptions { colour, start_ns })
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
