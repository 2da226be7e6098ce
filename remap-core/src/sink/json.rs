//! JSON Lines: one object per line, as [`Line`] describes it.

use std::io::{self, Write};

use super::Sink;
use super::keys::Keys;
use super::line::Line;
use crate::event::Event;
use crate::model::{Blind, Output, Summary};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};

/// Writes JSON Lines.
#[derive(Debug)]
pub struct Json<W> {
    writer: W,
    /// Numbers in place of addresses of the kernel.
    keys: Keys,
}

impl<W: Write> Json<W> {
    /// Writes to `writer`, a line at a time.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            keys: Keys::default(),
        }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.writer.write_all(&bytes)
    }
}

impl<W: Write> Sink for Json<W> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        match output {
            Output::Opened(opened) => {
                let mut opened = opened.clone();
                self.keys.number_node(&mut opened.node);
                self.line(&Line::of(&Output::Opened(opened)))
            }
            output => self.line(&Line::of(output)),
        }
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        let mut event = event.clone();
        self.keys.number(&mut event.body);
        self.line(&Line::event(&event, device))
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.line(&Line::checkpoint(checkpoint))
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        self.line(&Line::downtime(downtime))
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        self.line(&Line::blind(blind))
    }

    fn owner(&mut self, _: u32, _: Option<&str>) {}

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.line(&Line::summary(summary))?;
        self.writer.flush()
    }
}
