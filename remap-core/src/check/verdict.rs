//! What a check comes to: a line for each duty, and the totals.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Missing;
use super::duty::{Duty, Level, Party, Source, Subject};
use super::tally::{Tally, Violation};
use crate::event::LostKind;
use crate::model::Rule;
use crate::printable;
use crate::word::word;

/// How a duty was met.
#[apply(word!)]
pub enum Judgement {
    /// It was exercised and not broken.
    Pass,
    /// It was broken.
    Fail,
    /// It was broken, but it is only recommended.
    Advice,
    /// Nothing exercised it.
    NotExercised,
    /// It was not seen to be broken, but that may be missing; `why` has the reason.
    Unknown,
}

impl Judgement {
    /// The words in text.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotExercised => "not exercised",
            other => other.name(),
        }
    }
}

/// A duty, and how it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DutyLine {
    /// Its name.
    pub duty: Duty,
    /// Who has it.
    pub party: Party,
    /// What it is about.
    pub subject: Subject,
    /// How much it obliges.
    pub level: Level,
    /// How it was met.
    pub judgement: Judgement,
    /// One sentence: why it is neither passed nor broken.
    pub why: Option<String>,
    /// How often it was exercised.
    pub exercised: u64,
    /// How often it was broken.
    pub broken: u64,
    /// The first violations.
    pub violations: Vec<Violation>,
    /// The sentence that obliges.
    pub sentence: Cow<'static, str>,
    /// Which file has it.
    pub source: Source,
    /// The section, structure or enumeration there.
    pub place: Cow<'static, str>,
}

/// How many duties were met, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// How many duties, by judgement.
    pub duties: BTreeMap<Judgement, u64>,
    /// Findings that break no duty, by rule.
    pub other_findings: BTreeMap<Rule, u64>,
}

/// One line of `remap check --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CheckLine {
    /// A duty, and how it was met.
    Duty(DutyLine),
    /// The last line: the totals.
    Checked(Totals),
}

/// What a check comes to.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Every duty, those of the driver first.
    pub duties: Vec<DutyLine>,
    /// The totals.
    pub totals: Totals,
}

impl Duty {
    /// Whether lost records of this kind can have exercised or broken it.
    fn may_miss(self, lost: LostKind) -> bool {
        match lost {
            LostKind::Interrupt => matches!(
                self,
                Self::TakesInterrupts | Self::QuietWhileStopped | Self::MaskingSupported
            ),
            LostKind::Consumed => self == Self::TakesInterrupts,
            LostKind::Fault => self == Self::NoAccessWhileTrapped,
            LostKind::Data => matches!(self, Self::ReadsDataToTheEnd | Self::LoadsWhatWasSaved),
            LostKind::Signal | LostKind::Read => self.row().subject == Subject::RemapIrq,
            LostKind::Other => true,
        }
    }

    /// Why a violation of it may not have been seen.
    fn unseen(self, missing: &Missing) -> Option<String> {
        if let Some(byte) = missing.cut {
            return Some(format!("the recording was cut off at byte {byte}"));
        }
        if missing.blind {
            return Some("hooks did not fire for a time".to_owned());
        }
        let lost = missing
            .lost
            .iter()
            .filter(|(kind, _)| self.may_miss(**kind));
        let lost = lost
            .map(|(_, count)| *count)
            .reduce(|sum, count| sum + count);
        match lost {
            Some(0) => return Some("records were lost".to_owned()),
            Some(count) => return Some(format!("{count} records were lost")),
            None => {}
        }
        if missing.uncounted {
            return Some("how many records were lost is not known".to_owned());
        }
        let mut needs = self.row().broken_by.iter().flat_map(|rule| rule.needs());
        let hook = needs.find(|hook| missing.hooks.iter().any(|missing| missing == *hook))?;
        Some(format!("the hook {hook} was not attached"))
    }

    fn judge(self, tally: &Tally, missing: &Missing) -> (Judgement, Option<String>) {
        let row = self.row();
        if tally.broken > 0 {
            let judgement = match row.level {
                Level::Required => Judgement::Fail,
                Level::Recommended => Judgement::Advice,
            };
            return (judgement, None);
        }
        if let Some(why) = self.unseen(missing) {
            return (Judgement::Unknown, Some(why));
        }
        match tally.exercised {
            0 => {
                let why = format!("not observed: {}", row.exercised_by);
                (Judgement::NotExercised, Some(why))
            }
            _ => (Judgement::Pass, None),
        }
    }
}

impl Verdict {
    pub(super) fn new(
        tallies: &BTreeMap<Duty, Tally>,
        others: &BTreeMap<Rule, u64>,
        missing: &Missing,
    ) -> Self {
        let none = Tally::default();
        let line = |duty: &Duty| {
            let (row, tally) = (duty.row(), tallies.get(duty).unwrap_or(&none));
            let (judgement, why) = duty.judge(tally, missing);
            DutyLine {
                duty: *duty,
                party: row.party,
                subject: row.subject,
                level: row.level,
                judgement,
                why,
                exercised: tally.exercised,
                broken: tally.broken,
                violations: tally.violations.clone(),
                sentence: row.sentence.into(),
                source: row.source,
                place: row.place.into(),
            }
        };
        let duties: Vec<DutyLine> = Duty::ALL.iter().map(line).collect();
        let mut totals = Totals {
            duties: Judgement::ALL
                .iter()
                .map(|judgement| (*judgement, 0))
                .collect(),
            other_findings: others.clone(),
        };
        for line in &duties {
            *totals.duties.entry(line.judgement).or_default() += 1;
        }
        Self { duties, totals }
    }

    /// The duties that were met like this.
    pub fn met(&self, judgement: Judgement) -> impl Iterator<Item = &DutyLine> {
        self.duties
            .iter()
            .filter(move |line| line.judgement == judgement)
    }

    /// Its lines.
    pub fn lines(self) -> impl Iterator<Item = CheckLine> {
        let duties = self.duties.into_iter().map(CheckLine::Duty);
        duties.chain([CheckLine::Checked(self.totals)])
    }
}

/// The duties of each party, one line each, and below it what broke it; then the totals.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = None;
        for line in &self.duties {
            if head.replace((line.party, line.subject)) != Some((line.party, line.subject)) {
                writeln!(f, "{}, {}", line.party.name(), line.subject.words())?;
            }
            write!(f, "{line}")?;
        }
        write!(f, "{}", self.totals)
    }
}

impl fmt::Display for DutyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (duty, judgement) = (self.duty.name(), self.judgement.words());
        let exercised = self.exercised;
        write!(f, "  {judgement:<13}  {duty:<24}")?;
        match (&self.why, self.broken) {
            (Some(why), _) => return writeln!(f, "  {why}"),
            (None, 0) => return writeln!(f, "  exercised {exercised} ×"),
            (None, broken) => writeln!(f, "  broken {broken} ×, exercised {exercised} ×")?,
        }
        let (file, place) = (self.source.file(), &self.place);
        writeln!(f, "      “{}” ({file}, {place})", self.sentence)?;
        for violation in &self.violations {
            writeln!(f, "      {violation}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, part) = (
            self.time_ns / 1_000_000_000,
            self.time_ns / 1_000 % 1_000_000,
        );
        write!(
            f,
            "at {seconds}.{part:06} on {}",
            printable::line(&self.device)
        )?;
        if let Some(region) = self.region {
            write!(f, ", region {region}")?;
        }
        write!(f, ": {}", printable::line(&self.text))
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.duties.iter().filter(|(_, count)| **count > 0);
        let counts = counts.map(|(judgement, count)| format!("{count} {}", judgement.words()));
        writeln!(f, "{}", counts.collect::<Vec<_>>().join(", "))?;
        for (rule, count) in &self.other_findings {
            writeln!(f, "beside the duties: {count} findings {}", rule.name())?;
        }
        Ok(())
    }
}
