//! `remap trace`: what the probes see, live and in order, until the user ends it.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use remap_common::counter::Counter;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    cmd::{
        machine::create_ready_file,
        modules::{self, Modules, Next},
        select::Filters,
        serve::stop_signal,
        writer,
    },
    exit::{Code, Error},
    probe::{
        load::{LoadError, Probes},
        table::can_be_probed,
        walk::Walk,
    },
    source::{
        clock::monotonic_ns, early::EarlyCalls, process::vm_name, qemu_log::QemuLogs,
        ring::RingSource, watermark::Watermark,
    },
};
use remap_core::{
    account::{Account, Miss, Missing, RECURSION, Taken},
    correlate::Options,
    model::{Class, Summary},
    pipeline::Pipeline,
    sink::{
        Sink,
        json::Json,
        select::Select,
        text::{Text, TextOptions},
    },
};

/// Shows remap cycles, state changes and findings of every VFIO device, live.
///
/// Changes nothing on the system and opens no device. Ends with Ctrl-C, after --duration, or with
/// the reader of its output, and then says what it all adds up to.
#[derive(Args, Debug)]
pub struct Trace {
    #[command(flatten)]
    filters: Filters,
    /// Put the checkpoints of QEMU's trace log on the same time line; may be given for each QEMU.
    ///
    /// QEMU writes it with `-msg timestamp=on -D FILE -trace 'vmstate_downtime_*' -trace
    /// 'migrat*_*' -trace vm_state_notify -trace 'vfio_*state*'`. The file may still grow, and may
    /// come to be later.
    #[arg(long, value_name = "FILE")]
    qemu_log: Vec<PathBuf>,
    /// End after this many seconds.
    #[arg(long, value_name = "S", value_parser = seconds)]
    duration: Option<Duration>,
    /// Write JSON Lines.
    #[arg(long)]
    json: bool,
    /// Write every single event too.
    #[arg(long)]
    events: bool,
    /// Write a line for each stage of a cycle, as it is observed.
    #[arg(long)]
    stages: bool,
    /// Create this file as soon as the probes are in place.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Exit with 4 if any record was lost.
    #[arg(long)]
    fail_on_loss: bool,
    /// Memory between the probes and this process, MiB; a power of two.
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = power_of_two)]
    buffer: u32,
    /// Use kprobes for what only processes call, even where fentry and fexit are to be had: dearer,
    /// but a kernel that preempts its own code (PREEMPT full or lazy) skips none of them.
    #[arg(long)]
    kprobes: bool,
    /// Let the probes tell about themselves, on stderr.
    #[arg(long)]
    probe_log: bool,
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

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        let code = match error {
            LoadError::Loader(_) => Code::Failed,
            _ => Code::Machine,
        };
        Self::new(code, error)
    }
}

/// How often losses are looked for, and how long an event may wait for the next one.
const TICK: Duration = Duration::from_millis(20);

impl Trace {
    /// Traces until it is ended.
    pub fn run(self) -> Result<(), Error> {
        let filter = self.filters.filter()?;
        let selection = self.filters.selection();
        if self.probe_log {
            log::set_logger(&Stderr).map_err(anyhow::Error::msg)?;
            log::set_max_level(log::LevelFilter::Trace);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let summary = runtime.block_on(async {
            let stop = stop_signal()?;
            // None if it is ended while it waits for something to trace.
            let probes = tokio::select! {
                probes = modules::attach(self.loading()) => Some(probes?),
                () = self.ended(&stop) => None,
            };
            let end = self.ended(&stop);
            let options = Options {
                sees_consumers: probes.as_ref().is_some_and(|probes| {
                    probes.has("eventfd_ctx_do_read") && probes.has("eventfd_read")
                }),
                stages: self.stages,
                interrupts: selection.names(Class::Irq),
                mappings: selection.names(Class::Mapping) || selection.names(Class::Dma),
                ..Options::default()
            };
            let start_ns = monotonic_ns()?;
            let logs = QemuLogs::new(&self.qemu_log, start_ns)?;
            let (out, thread) = writer::start();
            let gone = thread.gone();
            let summary = if self.json {
                let sink = Select::new(Json::new(out), selection);
                let pipeline = Pipeline::new(options, filter, Box::new(vm_name), self.events, sink);
                self.follow(probes, pipeline, logs, &gone, end).await
            } else {
                let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                let text = Text::new(out, TextOptions { colour, start_ns });
                let sink = Select::new(text, selection);
                let pipeline = Pipeline::new(options, filter, Box::new(vm_name), self.events, sink);
                self.follow(probes, pipeline, logs, &gone, end).await
            };
            // Its error first: what the trace has to say of a broken pipe is only that.
            thread.finish().map_err(Error::from).and(summary)
        })?;
        if summary.exact() == Some(false) {
            return Err(Error::says(
                Code::Failed,
                "the account does not balance: more or fewer records were delivered and lost \
                 than seen; please report this",
            ));
        }
        if self.fail_on_loss && summary.lost_total() > 0 {
            return Err(Error::says(Code::Lost, self.lost(&summary)));
        }
        Ok(())
    }

    /// What was lost, and what helps against it.
    fn lost(&self, summary: &Summary) -> String {
        let mut remedies = Vec::new();
        if summary.lost.contains_key("ring_full") {
            remedies.push("with a larger --buffer");
        }
        // Where interrupts call the function, the traced form stays.
        let helped = |miss: &Miss| miss.reason == RECURSION && can_be_probed(miss.program);
        if !self.kprobes && summary.missed.iter().any(helped) {
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

    /// Waits until the user ends it, or it has lasted long enough from here on.
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

    /// How the programs are loaded.
    fn loading(&self) -> crate::probe::load::Options {
        crate::probe::load::Options {
            ring_bytes: self.buffer << 20,
            tracing: !self.kprobes,
            diagnostics: self.probe_log,
        }
    }

    async fn follow<S: Sink>(
        &self,
        probes: Option<Probes>,
        pipeline: Pipeline<S>,
        mut logs: QemuLogs,
        gone: &Notify,
        end: impl Future<Output = ()>,
    ) -> Result<Summary, Error> {
        let Some(mut probes) = probes else {
            return Ok(pipeline.finish(monotonic_ns()?, &Account::default())?);
        };
        tokio::pin!(end);
        let mut source = RingSource::new(probes.take_ring()?)?;
        let mut modules = Modules::of(&mut probes)?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Meanwhile its records are taken from the ring.
        let mut walking = walk(&mut probes)?;
        let mut early = EarlyCalls::default();
        let mut watermark = Watermark::default();
        let mut walked = false;
        let mut again = false;
        let mut pipeline = if logs.is_empty() {
            pipeline
        } else {
            pipeline.with_logs()
        };
        loop {
            tokio::select! {
                ready = source.ready(|record| pipeline.record(record)) => {
                    ready?;
                    // Only taken: asking for losses after each wake is dear.
                    continue;
                }
                _ = tick.tick(), if !(pipeline.is_idle() && logs.is_empty() && early.is_empty()) => {}
                ended = &mut walking, if !walked => {
                    let rest = ended.map_err(io::Error::other)??;
                    // Before the mappings, which may not be had as long as a process stands still.
                    let files = probes.walked_files()?;
                    let noted = |pid, tid| probes.is_in_call(pid, tid);
                    early.look(&files, noted, |event| pipeline.observed(event))?;
                    if !rest.is_over() {
                        walking = tokio::task::spawn_blocking(move || rest.go_on());
                        continue;
                    }
                    walked = !again;
                    if again {
                        again = false;
                        walking = walk(&mut probes)?;
                        continue;
                    }
                    let found = probes.conclude_walk()?;
                    for sentence in &found.unfound {
                        eprintln!("remap: {sentence}");
                    }
                    create_ready_file(self.ready_file.as_deref())?;
                }
                changed = modules.changed() => {
                    changed?;
                    match modules.settle(&mut probes)? {
                        Next::Nothing => {}
                        Next::Walk if walked => {
                            walked = false;
                            walking = walk(&mut probes)?;
                        }
                        Next::Walk => again = true,
                        Next::Attach if pipeline.taken() == Taken::default() => {
                            probes = modules::attach(self.loading()).await?;
                            source = RingSource::new(probes.take_ring()?)?;
                            modules = Modules::of(&mut probes)?;
                            walked = false;
                            walking = walk(&mut probes)?;
                        }
                        Next::Attach => eprintln!("remap: {NOT_MEASURED}"),
                    }
                    continue;
                }
                () = gone.notified() => break,
                () = &mut end => break,
            }
            let now_ns = monotonic_ns()?;
            source.drain(|record| pipeline.record(record));
            let settled = pipeline.taken().all() + probes.counters().lost();
            let seen = probes.counters().get(Counter::Seen);
            if !watermark.reaches(now_ns, settled, seen) {
                continue;
            }
            // After the watermark was taken: what was written before it is there.
            logs.poll(|checkpoint| pipeline.checkpoint(checkpoint))
                .map_err(unreadable)?;
            early.poll(|event| pipeline.observed(event))?;
            pipeline.losses(lost_so_far(&probes)?);
            pipeline.advance(now_ns)?;
            probes.flush_diagnostics();
        }
        // What has returned by now does not last.
        early.poll(|event| pipeline.observed(event))?;
        self.finish(&mut probes, source, logs, pipeline)
    }

    /// Detaches, takes what is still in the ring, and closes the account.
    fn finish<S: Sink>(
        &self,
        probes: &mut Probes,
        mut source: RingSource,
        logs: QemuLogs,
        mut pipeline: Pipeline<S>,
    ) -> Result<Summary, Error> {
        let returns = probes.left()?;
        let missed = probes.missed()?;
        probes.detach();
        // A program that was running when it was detached may still have a record to submit.
        // What it counted as sent must arrive; the loop ends at the latest with its last try.
        let mut counters = probes.counters();
        for _ in 0..LAST_TRIES {
            source.drain(|record| pipeline.record(record));
            let taken = pipeline.taken();
            let settled = probes.counters();
            let quiet = settled == counters;
            counters = settled;
            if quiet && counters.get(Counter::Sent) == taken.all() {
                break;
            }
            std::thread::yield_now();
        }
        let taken = pipeline.taken();
        let missing = Missing {
            skipped: probes.skipped()?,
            missed,
            returns,
        };
        let account = Account::close(&counters, taken, missing);
        pipeline.losses(account.total_lost() - taken.undecodable);
        let logs = logs
            .finish(|checkpoint| pipeline.checkpoint(checkpoint))
            .map_err(unreadable)?;
        pipeline.logs(logs);
        let summary = pipeline.finish(monotonic_ns()?, &account)?;
        probes.flush_diagnostics();
        Ok(summary)
    }
}

/// A log that is there and cannot be read.
fn unreadable((path, error): (PathBuf, io::Error)) -> Error {
    let path = path.display();
    let errno = remap_core::event::Errno::of(&error);
    Error::says(
        Code::Failed,
        format!("reading the QEMU log {path} failed: {errno}; give a file that this user may read"),
    )
}

/// Said of a module that comes too late for its structures to be measured.
const NOT_MEASURED: &str = "a module was loaded whose structures were not there to be measured when \
                            the trace began: start it again to see what that module brings";

/// Begins a walk over what was there before.
fn walk(probes: &mut Probes) -> Result<JoinHandle<io::Result<Walk>>, Error> {
    let walk = probes.walk()?;
    Ok(tokio::task::spawn_blocking(move || walk.go_on()))
}

/// How often the ring is looked at for the last records.
const LAST_TRIES: u32 = 10_000;

/// What the programs have lost so far.
fn lost_so_far(probes: &Probes) -> io::Result<u64> {
    Ok(probes.counters().lost() + probes.skipped()?.total() + probes.missed()?.total())
}

/// Writes the probes' own diagnostics to stderr.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // The reactor and the loader have things to say too; nobody asked for those.
        metadata.target().starts_with("remap")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("probe: {}", record.args());
        }
    }

    fn flush(&self) {}
}
