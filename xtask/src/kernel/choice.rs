//! A kernel as the command line names it.

use std::str::FromStr;

use anyhow::Result;

use super::{Series, ensure};
use crate::outcome::Usage;

/// One series or all. The newest goes by its number too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    series: Option<Series>,
    /// The number that the newest is to have.
    number: Option<String>,
}

impl Choice {
    /// Every series.
    pub const ALL: Choice = Choice {
        series: None,
        number: None,
    };

    /// The series that are meant; all are those that run everything.
    pub fn series(&self) -> Vec<Series> {
        self.series.map_or(Series::USUAL.to_vec(), |one| vec![one])
    }

    /// The same, and with all also the series that have tests of their own.
    pub fn matrix(&self) -> Vec<Series> {
        self.series.map_or(Series::ALL.to_vec(), |one| vec![one])
    }

    /// Whether the newest has the number that it was named by; once it is in
    /// the cache.
    pub fn check(&self) -> Result<()> {
        let Some(number) = &self.number else {
            return Ok(());
        };
        let kernel = ensure(Series::Newest, false)?;
        if kernel.number() == number {
            return Ok(());
        }
        let text = format!(
            "--kernel {number}: the lab's newest kernel is {}: ask for {} or newest, or look for a newer one by cargo xtask setup --refresh",
            kernel.release,
            kernel.number()
        );
        Err(Usage(text).into())
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        if text == "all" {
            return Ok(Choice::ALL);
        }
        if let Some(series) = Series::ALL
            .into_iter()
            .find(|series| series.label() == text)
        {
            return Ok(Choice {
                series: Some(series),
                number: None,
            });
        }
        let numbers: Vec<u32> = text
            .split('.')
            .filter_map(|word| word.parse().ok())
            .collect();
        match numbers[..] {
            [major, minor] if (major, minor) > (6, 12) => Ok(Choice {
                series: Some(Series::Newest),
                number: Some(format!("{major}.{minor}")),
            }),
            _ => Err("is none of 6.1, 6.12, 6.12-rt, newest (or its number) and all".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_goes_by_name_or_number() {
        let parse = |text: &str| text.parse::<Choice>();
        assert_eq!(parse("6.12").unwrap().series(), [Series::V6_12]);
        assert_eq!(parse("6.12-rt").unwrap().series(), [Series::Rt]);
        assert_eq!(parse("newest").unwrap().number, None);
        let newest = parse("7.3").unwrap();
        assert_eq!(newest.series(), [Series::Newest]);
        assert_eq!(newest.number.as_deref(), Some("7.3"));
        assert_eq!(parse("all").unwrap().series(), Series::USUAL);
        assert_eq!(parse("all").unwrap().matrix(), Series::ALL);
        for wrong in ["6.11", "7", "7.3.4", "new", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
