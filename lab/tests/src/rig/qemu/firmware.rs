//! The report of the firmware in the virtual machine; its layout is in `lab/firmware/firmware.S`.

use anyhow::{Context, Result, ensure};

/// Its address in the virtual machine's memory.
pub const ADDRESS: u64 = 0x1000;
/// Its bytes.
pub const LENGTH: u64 = 48;
/// The pages of BAR 2 that it reads in turn.
pub const PAGES: u32 = 16;

const MAGIC: &[u8] = b"rmapfirm";
/// It has found its device, and runs laps.
const LAPS: u32 = 3;

/// The report. Numbers of laps wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rounds of write, read and compare.
    pub laps: u32,
    /// Comparisons that failed, ever.
    pub differences: u32,
    /// Of the first that failed: 1, a word of an earlier lap; 2, a word of this lap.
    pub step: u32,
    /// Of the first that failed: the expected word.
    pub expected: u32,
    /// Of the first that failed: the word that was read.
    pub found: u32,
    /// Pages of BAR 2 read.
    pub touches: u32,
}

impl Report {
    /// Parses the memory's bytes; `None`: the firmware runs no laps yet.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let word = |at: usize| -> Result<u32> {
            let bytes = bytes.get(at..at + 4).context("a short report")?;
            Ok(u32::from_le_bytes(bytes.try_into()?))
        };
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let state = word(8)?;
        ensure!(
            state == 0 || state == LAPS,
            "the firmware found {}",
            if state == 1 { "no device" } else { "no BAR 0" }
        );
        let report = Self {
            laps: word(12)?,
            differences: word(20)?,
            step: word(24)?,
            expected: word(28)?,
            found: word(32)?,
            touches: word(36)?,
        };
        Ok((state == LAPS).then_some(report))
    }

    /// That every comparison held.
    pub fn is_continuous(&self) -> Result<()> {
        let Self {
            differences,
            step,
            expected,
            found,
            laps,
            ..
        } = self;
        ensure!(
            *differences == 0,
            "a register held {found} instead of {expected} (step {step} of a lap); {differences} of {laps} laps differed"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    fn memory(words: [u32; 10]) -> Vec<u8> {
        let mut bytes = b"rmapfirm".to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    #[test]
    fn a_report_is_read_as_the_firmware_lays_it_out() {
        let bytes = memory([3, 70, 71, 1, 2, 60, 59, 69, 0xe000_0000, 0]);
        let report = Report::parse(&bytes).unwrap().unwrap();
        assert_eq!((report.laps, report.touches), (70, 69));
        let text = report.is_continuous().unwrap_err().to_string();
        assert!(text.contains("held 59 instead of 60 (step 2"), "{text}");
        let good = memory([3, 70, 71, 0, 0, 0, 0, 69, 0xe000_0000, 0]);
        Report::parse(&good)
            .unwrap()
            .unwrap()
            .is_continuous()
            .unwrap();
    }

    #[test]
    fn a_firmware_that_has_not_begun_is_not_a_report() {
        assert_eq!(Report::parse(&[0; 48]).unwrap(), None);
        assert_eq!(Report::parse(&memory([0; 10])).unwrap(), None);
        assert!(Report::parse(&memory([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])).is_err());
        assert!(Report::parse(b"rmapfirm").is_err());
    }
}
