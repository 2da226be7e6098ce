//! The running state: records, losses and watermarks go into the pipeline as they arrive.

use std::{
    io,
    pin::{Pin, pin},
    time::Duration,
};

use remap_common::counter::Counter;
use remap_core::{account::Taken, replay::Feed, sink::Sink};
use tokio::{
    task::spawn_blocking,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{Progress, blindness::Blindness, draining::Draining, walking::Walking};
use crate::{
    confine::Confinement,
    exit::{Error, say},
    live::{
        attaching::attach,
        clock::monotonic_ns,
        in_flight::InFlightCalls,
        modules::{ModuleAction, Modules},
        probes::{LoadOptions, Probes},
        qemu_log::{QemuLogs, unreadable_log},
        ring::Ring,
        turn::Turn,
        walk::Walk,
        watermark::Watermark,
    },
};

/// How often losses are queried, and how long an event may wait for the next one.
const TICK: Duration = Duration::from_millis(20);

/// How often hooks are tested where nothing happens. A time in which they do not fire that is shorter is
/// not seen.
const TEST_INTERVAL: Duration = Duration::from_millis(250);

/// Reported for a module that was loaded too late for its structures to be measured.
const NOT_MEASURED: &str = "a module was loaded whose structures could not be measured when the \
                            trace began: start the trace again to trace that module";

/// A trace that runs.
pub(super) struct Running<S> {
    options: LoadOptions,
    /// The programs, and what reads from them.
    attached: Attached,
    feed: Feed<S>,
    logs: QemuLogs,
    calls: InFlightCalls,
    watermark: Watermark,
    tick: Interval,
    blindness: Blindness,
    test: Interval,
    confinement: Confinement,
    /// Whether every right was given up that the trace does not need.
    sealed: bool,
}

/// The programs, and what reads from them: replaced when the programs are loaded again.
struct Attached {
    probes: Probes,
    ring: Ring,
    modules: Modules,
    walking: Walking,
}

impl Attached {
    fn new(mut probes: Probes) -> Result<Self, Error> {
        Ok(Self {
            ring: Ring::new(probes.take_ring()?)?,
            modules: Modules::new(&mut probes)?,
            walking: Walking::start(&mut probes)?,
            probes,
        })
    }
}

/// Why a running trace continues.
enum Wake {
    /// There may be records in the ring.
    Records,
    /// Time has passed.
    Tick,
    /// It is time to test the hooks.
    Test,
    /// A step of a walk is complete.
    WalkStep(Walk),
    /// Modules were loaded or unloaded.
    Modules,
    /// The trace ends.
    End,
}

impl<S: Sink> Running<S> {
    pub fn new(
        options: LoadOptions,
        probes: Probes,
        feed: Feed<S>,
        logs: QemuLogs,
        confinement: Confinement,
    ) -> Result<Self, Error> {
        // Before the walk, on the same thread.
        let walker = confinement.clone();
        drop(spawn_blocking(move || walker.reduce_thread()));
        let attached = Attached::new(probes)?;
        confinement.reduce_thread()?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut test = interval(TEST_INTERVAL);
        test.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let feed = if logs.is_empty() {
            feed
        } else {
            feed.with_logs()
        };
        Ok(Self {
            options,
            attached,
            feed,
            logs,
            calls: InFlightCalls::default(),
            watermark: Watermark::default(),
            tick,
            // Attaching ended with a test.
            blindness: Blindness::new(monotonic_ns()?),
            test,
            confinement,
            sealed: false,
        })
    }

    /// Runs until `end` completes.
    pub async fn run(
        &mut self,
        progress: impl Progress,
        end: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let mut end = pin!(end);
        loop {
            match self.wake(end.as_mut()).await? {
                Wake::Records => self.take()?,
                Wake::Tick => self.advance()?,
                Wake::Test => {
                    if self.test_hooks()? {
                        self.advance()?;
                    }
                }
                Wake::WalkStep(rest) => {
                    if self.walk_step(rest)? {
                        self.seal(&progress).await?;
                        progress.ready()?;
                        self.advance()?;
                    }
                }
                Wake::Modules => self.apply_module_events().await?,
                Wake::End => return Ok(()),
            }
        }
    }

    async fn wake(&mut self, end: Pin<&mut impl Future<Output = ()>>) -> io::Result<Wake> {
        let is_idle = self.feed.is_idle() && self.logs.is_empty() && self.calls.is_empty();
        let Attached {
            ring,
            modules,
            walking,
            ..
        } = &mut self.attached;
        tokio::select! {
            // The ring last: it may always have records.
            biased;
            () = end => Ok(Wake::End),
            _ = self.tick.tick(), if !is_idle => Ok(Wake::Tick),
            _ = self.test.tick(), if is_idle => Ok(Wake::Test),
            rest = walking.step() => rest.map(Wake::WalkStep),
            changed = modules.changed() => changed.map(|()| Wake::Modules),
            ready = ring.ready() => ready.map(|()| Wake::Records),
        }
    }

    /// Takes records for one turn. As a rule the next tick passes them on: querying losses after each
    /// turn is expensive.
    fn take(&mut self) -> Result<(), Error> {
        let feed = &mut self.feed;
        let ring = &mut self.attached.ring;
        ring.take(Turn::begin(), |record| feed.record(record));
        match feed.is_full() {
            true => self.pass_on(None),
            false => Ok(()),
        }
    }

    /// Takes what a step of a walk has found. Returns whether all walks are complete.
    fn walk_step(&mut self, rest: Walk) -> Result<bool, Error> {
        let Attached {
            probes, walking, ..
        } = &mut self.attached;
        // Before the walk over mappings, which waits while a process holds its mmap lock.
        let files = probes.walked_files()?;
        let feed = &mut self.feed;
        self.calls.find(
            &files,
            |pid, tid| probes.is_in_call(pid, tid),
            |call| feed.call(call),
        )?;
        if !walking.proceed(rest, probes)? {
            return Ok(false);
        }
        for sentence in &probes.walk_result()?.missing {
            say(format_args!("{sentence}"));
        }
        Ok(true)
    }

    async fn apply_module_events(&mut self) -> Result<(), Error> {
        let Attached {
            probes,
            modules,
            walking,
            ..
        } = &mut self.attached;
        match modules.apply(probes, self.confinement.reattaches())? {
            ModuleAction::None => {}
            ModuleAction::Walk => walking.repeat(probes)?,
            ModuleAction::Reload if self.feed.taken() == Taken::default() => {
                self.attached = Attached::new(attach(&self.options).await?)?;
            }
            ModuleAction::Reload => say(format_args!("{NOT_MEASURED}")),
        }
        Ok(())
    }

    /// Passes on everything that happened before now, if all of it was received.
    fn advance(&mut self) -> Result<(), Error> {
        let Attached { probes, ring, .. } = &mut self.attached;
        let feed = &mut self.feed;
        let now_ns = monotonic_ns()?;
        let emptied = ring.take(Turn::begin(), |record| feed.record(record));
        if !emptied || feed.is_full() {
            return self.pass_on(None);
        }
        let settled = feed.taken().all() + probes.counters().lost();
        let seen = probes.counters().get(Counter::Seen);
        match self.watermark.reaches(now_ns, settled, seen) {
            true => self.pass_on(Some(now_ns)),
            false => Ok(()),
        }
    }

    /// Passes on everything before a watermark; without one, as much as can be while records wait in
    /// the ring.
    fn pass_on(&mut self, watermark_ns: Option<u64>) -> Result<(), Error> {
        // Nothing is concluded from what hooks did not report while they did not fire.
        self.test_hooks()?;
        let Attached { probes, .. } = &mut self.attached;
        let feed = &mut self.feed;
        // After the time of the watermark: lines that were written before it can be read by now.
        let read = self
            .logs
            .poll(|checkpoint| feed.checkpoint(checkpoint))
            .map_err(unreadable_log)?;
        if !read && watermark_ns.is_some() {
            return Ok(());
        }
        let activities = |threads: &[u64]| probes.activities(threads);
        self.calls.poll(activities, |call| feed.returned(call))?;
        feed.losses(probes.losses()?);
        let taken = feed.taken();
        feed.account(&|| probes.account(taken));
        let watermark_ns = match watermark_ns {
            Some(watermark_ns) => watermark_ns,
            None => self.watermark.behind(feed.latest_ns()),
        };
        feed.advance(watermark_ns)?;
        probes.flush_diagnostics();
        Ok(())
    }

    /// Gives up every right that the trace does not need from now on, once: when the first walk is
    /// complete.
    async fn seal(&mut self, progress: &impl Progress) -> Result<(), Error> {
        if std::mem::replace(&mut self.sealed, true) {
            return Ok(());
        }
        let walker = self.confinement.clone();
        let sealed = spawn_blocking(move || walker.seal_thread().map(drop));
        sealed.await.map_err(io::Error::other)??;
        for sentence in self.confinement.seal_thread()? {
            say(format_args!("{sentence}"));
        }
        // Another thread starts what is to be started; the filter is for all of them.
        progress.attached()?;
        if let Some(sentence) = self.confinement.filter_calls() {
            say(format_args!("{sentence}"));
        }
        Ok(())
    }

    /// Tests whether hooks fire. Returns whether that has changed.
    fn test_hooks(&mut self) -> Result<bool, Error> {
        let begin_ns = monotonic_ns()?;
        let silence = self.attached.probes.silence()?;
        let span_ns = (begin_ns, monotonic_ns()?);
        let mut changed = false;
        for blind in self.blindness.tested(span_ns, silence) {
            self.feed.blind(blind)?;
            changed = true;
        }
        Ok(changed)
    }

    /// Ends the running state.
    pub fn end(mut self) -> Result<Draining<S>, Error> {
        self.test_hooks()?;
        let Attached {
            mut probes, ring, ..
        } = self.attached;
        // Calls that have returned by now are not in flight at the end.
        self.calls.look_again();
        let feed = &mut self.feed;
        let activities = |threads: &[u64]| probes.activities(threads);
        self.calls.poll(activities, |call| feed.returned(call))?;
        Draining::begin(probes, ring, self.feed, self.logs, self.watermark)
    }
}
