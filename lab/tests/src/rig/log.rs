//! The driver's log, as values. `lab/driver/README.md` describes each line.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// What happened in the driver.
#[derive(Clone, Debug)]
pub enum Kind {
    Signal {
        bits: u128,
    },
    Requery {
        region: u32,
        result: Option<i32>,
    },
    Ack {
        form: String,
        bits: u128,
        ignored: bool,
    },
    Wait {
        unacked: u128,
        mapped: bool,
        result: Option<i32>,
    },
    State {
        from: String,
        to: String,
        result: Option<i32>,
    },
    Trap,
    Untrap,
    Mmap,
    Munmap,
    Enable,
    Disable {
        reason: String,
    },
    Fault {
        name: String,
    },
}

/// One line of the log. Times are CLOCK_MONOTONIC ns.
#[derive(Clone, Debug)]
pub struct Line {
    /// Before the action.
    pub begin_ns: u64,
    /// After it; 0 until it has ended.
    pub end_ns: u64,
    /// What it was.
    pub kind: Kind,
}

/// The log, of which nothing was overwritten.
#[derive(Clone, Debug)]
pub struct Log(pub Vec<Line>);

/// A line's words.
struct Words<'a>(HashMap<&'a str, &'a str>);

impl Words<'_> {
    fn text(&self, key: &str) -> Result<&str> {
        self.0
            .get(key)
            .copied()
            .with_context(|| format!("no {key}"))
    }

    fn number(&self, key: &str) -> Result<u64> {
        let text = self.text(key)?;
        text.parse().with_context(|| format!("{key}={text}"))
    }

    /// A set of regions.
    fn set(&self, key: &str) -> Result<u128> {
        let text = self.text(key)?;
        let digits = text.strip_prefix("0x").context("not hexadecimal")?;
        u128::from_str_radix(digits, 16).with_context(|| format!("{key}={text}"))
    }

    fn region(&self) -> Result<u32> {
        Ok(u32::try_from(self.number("region")?)?)
    }

    /// `None`: not ended yet.
    fn result(&self) -> Result<Option<i32>> {
        match self.text("result")? {
            "pending" => Ok(None),
            text => Ok(Some(
                text.parse().with_context(|| format!("result={text}"))?,
            )),
        }
    }
}

impl Log {
    /// Reads the log's text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        ensure!(
            head == "# overwritten 0",
            "lines of the log were overwritten: {head}"
        );
        let parsed = lines.map(|line| parse(line).with_context(|| format!("in {line:?}")));
        Ok(Self(parsed.collect::<Result<_>>()?))
    }

    /// The lines of one kind, each with what `pick` takes from it.
    pub fn all<'a, T>(&'a self, pick: impl Fn(&'a Kind) -> Option<T>) -> Vec<(&'a Line, T)> {
        let picked = |line: &'a Line| Some((line, pick(&line.kind)?));
        self.0.iter().filter_map(picked).collect()
    }

    /// The eventfds that were signalled, each with the regions that it named.
    pub fn signals(&self) -> Vec<(&Line, u128)> {
        self.all(|kind| match kind {
            Kind::Signal { bits } => Some(*bits),
            _ => None,
        })
    }

    /// The waits of state changes, each with its result.
    pub fn waits(&self) -> Vec<(&Line, Option<i32>)> {
        self.all(|kind| match kind {
            Kind::Wait { result, .. } => Some(*result),
            _ => None,
        })
    }

    /// The acks, each with its form.
    pub fn acks(&self) -> Vec<(&Line, &str)> {
        self.all(|kind| match kind {
            Kind::Ack { form, .. } => Some(form.as_str()),
            _ => None,
        })
    }
}

fn parse(line: &str) -> Result<Line> {
    let mut words = line.split(' ');
    let mut next = |what| words.next().with_context(|| format!("no {what}"));
    next("sequence number")?;
    let (begin_ns, end_ns) = (next("begin")?.parse()?, next("end")?.parse()?);
    let kind = next("kind")?;
    let words = Words(words.filter_map(|word| word.split_once('=')).collect());
    let owned = |key| words.text(key).map(str::to_owned);
    let kind = match kind {
        "signal" => Kind::Signal {
            bits: words.set("bits")?,
        },
        "requery" => Kind::Requery {
            region: words.region()?,
            result: words.result()?,
        },
        "ack" => Kind::Ack {
            form: owned("form")?,
            bits: words.set("bits")?,
            ignored: words.number("ignored")? != 0,
        },
        "wait" => Kind::Wait {
            unacked: words.set("unacked")?,
            mapped: words.number("mapped")? != 0,
            result: words.result()?,
        },
        "state" => Kind::State {
            from: owned("from")?,
            to: owned("to")?,
            result: words.result()?,
        },
        "trap" => Kind::Trap,
        "untrap" => Kind::Untrap,
        "mmap" => Kind::Mmap,
        "munmap" => Kind::Munmap,
        "enable" => Kind::Enable,
        "disable" => Kind::Disable {
            reason: owned("reason")?,
        },
        "fault" => Kind::Fault {
            name: owned("name")?,
        },
        _ => bail!("unknown kind {kind}"),
    };
    Ok(Line {
        begin_ns,
        end_ns,
        kind,
    })
}
