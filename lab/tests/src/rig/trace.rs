//! `remap trace --json` as a process.

use anyhow::{Context, Result, ensure};
use remap_core::model::{Rule, Summary};
use rustix::process::Signal;

use super::line::{Line, Lines};
use super::process::{Collected, Ended, Output, Running, remap, run};

/// A running `remap trace --json`.
pub struct Trace {
    process: Running,
    lines: Collected,
    recorded: Option<Recorded>,
}

/// What a trace that is recorded has written so far, whatever was taken of it.
#[derive(Default)]
struct Recorded(Collected);

/// Where such a trace is recorded; there is one at a time.
const RECORDING: &str = "/run/lab-trace.perf.data";

impl Recorded {
    fn add(&self, lines: &[String]) {
        self.0.extend(lines);
    }

    /// That a report of the recording is what the trace has written.
    fn agree(self, arguments: &[&str]) -> Result<()> {
        let mut command = remap(&["report", RECORDING, "--json"]);
        command.args(arguments);
        let reported = run(command)?;
        let reported = &reported.expect(0)?.stdout;
        std::fs::remove_file(RECORDING)?;
        same(&self.0.take(), reported).context("the report of the recorded trace")
    }
}

/// That a report has the lines of the trace.
pub fn same(live: &[String], reported: &str) -> Result<()> {
    for (number, (was, is)) in live.iter().zip(reported.lines()).enumerate() {
        ensure!(was == is, "line {number} was {was} and is {is}");
    }
    let (was, is) = (live.len(), reported.lines().count());
    ensure!(was == is, "{was} lines of the trace, {is} of the report");
    Ok(())
}

/// Whether this kernel preempts its own code. There a program of fentry or fexit may lose its
/// processor, and the kernel skips the same program for the next task that gets there
/// (kernel/bpf/trampoline.c, `__bpf_prog_enter_recur`); a program of a kprobe is not preempted.
/// On other kernels a kprobe may be skipped, by a map's own system call.
pub fn preempted() -> Result<bool> {
    if is_realtime() {
        return Ok(true);
    }
    const MODE: &str = "/sys/kernel/debug/sched/preempt";
    let modes = std::fs::read_to_string(MODE).with_context(|| format!("reading {MODE}"))?;
    Ok(modes.contains("(full)") || modes.contains("(lazy)"))
}

/// Whether this is a PREEMPT_RT kernel. There the handlers of devices' interrupts run in threads.
pub fn is_realtime() -> bool {
    std::path::Path::new("/sys/kernel/realtime").exists()
}

fn parse(lines: Vec<String>) -> Result<Lines> {
    let parse = |line: String| {
        serde_json::from_str(&line).with_context(|| format!("a line of the trace: {line}"))
    };
    Ok(Lines(lines.into_iter().map(parse).collect::<Result<_>>()?))
}

/// A trace that has ended.
pub struct Traced {
    /// Its lines, without the summary.
    pub lines: Lines,
    /// The last line.
    pub summary: Summary,
}

impl Trace {
    /// Starts `remap trace --json` with further arguments; returns when its probes are in place.
    /// Its hooks have the form that misses nothing on this kernel.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_with(preempted()?, arguments)
    }

    /// The same with hooks of the other form, which the kernel may skip at times.
    pub fn start_lossy(arguments: &[&str]) -> Result<Self> {
        Self::start_with(!preempted()?, arguments)
    }

    fn start_with(kprobes: bool, arguments: &[&str]) -> Result<Self> {
        let lines = Collected::default();
        let mut command = remap(&["trace", "--json"]);
        command.args(kprobes.then_some("--kprobes"));
        command.args(arguments);
        let process = Running::start_ready(command, Output::Collected(lines.clone()))?;
        Ok(Self {
            process,
            lines,
            recorded: None,
        })
    }

    /// As [`Self::start`], and records it: [`Self::end_recorded`] compares.
    pub fn start_recorded(arguments: &[&str]) -> Result<Self> {
        let arguments = [arguments, &["--record", RECORDING]].concat();
        Ok(Self {
            recorded: Some(Recorded::default()),
            ..Self::start(&arguments)?
        })
    }

    /// The process.
    pub fn process(&self) -> &Running {
        &self.process
    }

    /// How many of the lines that were not taken contain this.
    pub fn count(&self, part: &str) -> usize {
        self.lines.count(part)
    }

    /// Drops the lines since the last call of [`Self::take`].
    pub fn drop_lines(&self) {
        self.lines.take();
    }

    /// Ends it by a signal that it does not survive.
    pub fn kill(self, signal: Signal) -> Result<Ended> {
        self.process.end(signal)
    }

    /// The lines since the last call.
    pub fn take(&self) -> Result<Lines> {
        let lines = self.lines.take();
        if let Some(recorded) = &self.recorded {
            recorded.add(&lines);
        }
        parse(lines)
    }

    /// Ends it as Ctrl-C does. Its account must balance, and it must exit with `code`.
    pub fn end(self, code: i32) -> Result<Traced> {
        Traced::new(&self.process.end(Signal::INT)?, &self.lines, code)
    }

    /// Ends it as Ctrl-C does, as [`Self::end`]. A report of its recording, with these arguments that its output depends
    /// on, must be what it has written.
    pub fn end_recorded(self, arguments: &[&str]) -> Result<Traced> {
        let ended = self.process.end(Signal::INT)?;
        if let Some(recorded) = self.recorded {
            recorded.add(&self.lines.all());
            recorded.agree(arguments)?;
        }
        Traced::new(&ended, &self.lines, 0)
    }

    /// Waits until it ends by itself. As [`Self::end`].
    pub fn wait(self, code: i32) -> Result<Traced> {
        Traced::new(&self.process.wait()?, &self.lines, code)
    }
}

impl Traced {
    fn new(ended: &Ended, lines: &Collected, code: i32) -> Result<Self> {
        ended.expect(code).context("remap trace")?;
        let mut lines = parse(lines.take())?.0;
        let Some(Line::Summary { summary, .. }) = lines.pop() else {
            anyhow::bail!("the trace does not end with a summary");
        };
        let exact = summary.exact() == Some(true);
        ensure!(exact, "the account does not balance: {summary:?}");
        Ok(Self {
            lines: Lines(lines),
            summary: summary.into_owned(),
        })
    }

    /// That nothing was lost; else what, and the programs that the kernel skipped.
    pub fn lost_nothing(&self) -> Result<()> {
        let Summary { lost, missed, .. } = &self.summary;
        ensure!(
            self.summary.lost_total() == 0,
            "the tracer lost {lost:?}: {missed:?}"
        );
        Ok(())
    }

    /// That nothing was lost, and that these rules were found and no others.
    pub fn found(&self, rules: &[Rule]) -> Result<()> {
        self.lost_nothing()?;
        self.lines.found(rules)
    }
}
