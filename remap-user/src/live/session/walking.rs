//! The walk over everything that was there before: a state of a running trace.

use std::{future, io};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::live::{error::LoadError, probes::Probes, walk::Walk};

/// A walk, step by step on a blocking thread; meanwhile its records are taken from the ring.
pub(super) struct Walking {
    state: State,
    /// Whether to walk again after this walk: new hooks were attached meanwhile.
    again: bool,
}

enum State {
    Step(JoinHandle<io::Result<Walk>>),
    Complete,
}

impl State {
    fn step(walk: Walk) -> Self {
        Self::Step(spawn_blocking(move || walk.step()))
    }
}

impl Walking {
    /// Starts a walk.
    pub fn start(probes: &mut Probes) -> Result<Self, LoadError> {
        Ok(Self {
            state: State::step(probes.walk()?),
            again: false,
        })
    }

    /// Waits for the current step, and returns the rest of the walk; never, if the walk is
    /// complete. To be followed by [`Self::proceed`].
    pub async fn step(&mut self) -> io::Result<Walk> {
        match &mut self.state {
            State::Step(step) => step.await.map_err(io::Error::other)?,
            State::Complete => future::pending().await,
        }
    }

    /// Starts the next step, or the next walk. Returns whether all walks are complete.
    pub fn proceed(&mut self, rest: Walk, probes: &mut Probes) -> Result<bool, LoadError> {
        let complete = rest.is_complete();
        if complete && !self.again {
            self.state = State::Complete;
            return Ok(true);
        }
        if complete {
            *self = Self::start(probes)?;
        } else {
            self.state = State::step(rest);
        }
        Ok(false)
    }

    /// Walks again: at once if no walk runs, else after the current one.
    pub fn repeat(&mut self, probes: &mut Probes) -> Result<(), LoadError> {
        match self.state {
            State::Complete => *self = Self::start(probes)?,
            State::Step(_) => self.again = true,
        }
        Ok(())
    }
}
