//! A sink that writes text and JSON, and checks what holds for each line of them.

use std::io::{self, Write};

use remap_core::event::Event;
use remap_core::model::{Blind, Output, Summary};
use remap_core::sink::Sink;
use remap_core::sink::json::Json;
use remap_core::sink::text::{Text, TextOptions};
use remap_core::vmm::{checkpoint::Checkpoint, downtime::Downtime};

/// Checks what is written, and drops it.
#[derive(Debug)]
pub struct Checked {
    /// Whether the terminal may be controlled: with colours.
    controls: bool,
}

/// Whether a character controls a terminal, or changes the direction of text.
fn controls(c: char) -> bool {
    let direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && c != '\n' || direction
}

impl Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).expect("the output is UTF-8");
        let found = text.chars().find(|c| controls(*c));
        assert!(self.controls || found.is_none(), "{found:?} in {text:?}");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes JSON Lines; each must be one line.
#[derive(Debug)]
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).expect("the output is UTF-8");
        let line = text.strip_suffix('\n').expect("a line at a time");
        assert!(
            !line.contains(|c: char| c < ' '),
            "{line:?} is no JSON line"
        );
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes both.
#[derive(Debug)]
pub struct Both {
    text: Text<Checked>,
    json: Json<Line>,
}

impl Both {
    /// With or without colours in the text.
    pub fn new(colour: bool) -> Self {
        let options = TextOptions {
            colour,
            start_ns: 0,
        };
        Self {
            text: Text::new(Checked { controls: colour }, options),
            json: Json::new(Line),
        }
    }
}

impl Sink for Both {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        self.text.output(output)?;
        self.json.output(output)
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        self.text.event(event, device)?;
        self.json.event(event, device)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.text.checkpoint(checkpoint)?;
        self.json.checkpoint(checkpoint)
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        self.text.downtime(downtime)?;
        self.json.downtime(downtime)
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        self.text.blind(blind)?;
        self.json.blind(blind)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.text.owner(pid, vm);
        self.json.owner(pid, vm);
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.text.summary(summary)?;
        self.json.summary(summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.text.flush()?;
        self.json.flush()
    }
}
