//! Counting: what the test programs print, added up.

/// What has been run so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were not run, each for a reason that it printed.
    pub skipped: u64,
    /// What failed.
    pub failures: Vec<String>,
}

impl Report {
    /// Counts one check.
    pub fn check(&mut self, name: &str, result: &anyhow::Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => self.fail(format!("{name}: {why:#}")),
        }
    }

    /// Counts a failure.
    pub fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Counts what a test program printed (libtest's form), and returns whether it
    /// printed a result at all.
    pub fn program(&mut self, label: &str, output: &str) -> bool {
        let mut ended = false;
        for line in output.lines() {
            if let Some(name) = failed_test(line) {
                self.failures.push(format!("{label}: {name}"));
            }
            if let Some(counts) = line.strip_prefix("test result: ") {
                ended = true;
                self.passed += count(counts, "passed");
                self.failed += count(counts, "failed");
                self.skipped += count(counts, "ignored");
            }
        }
        ended
    }

    /// The closing line.
    pub fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// The name in `test NAME ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?
        .trim_end()
        .strip_suffix(" ... FAILED")
        .map(str::trim_end)
}

/// The number before `word` in `ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(counts: &str, word: &str) -> u64 {
    let pieces = counts.split([';', '.']).map(str::trim);
    let number = |piece: &str| piece.strip_suffix(word)?.trim().parse().ok();
    pieces.filter_map(number).next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 4 tests
test a::b ... ok
test a::c   ... FAILED
test d - needs X ... ignored, no X here
test e ... ok

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.01s
";

    #[test]
    fn programs_are_added_up() {
        let mut report = Report::default();
        assert!(report.program("unit", OUTPUT));
        assert!(report.program(
            "6.1",
            "test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured\n"
        ));
        assert_eq!(report.failures, ["unit: a::c"]);
        assert_eq!(report.line(), "12 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_program_that_died_has_no_result() {
        let mut report = Report::default();
        assert!(!report.program("6.1", "running 4 tests\ntest a ... ok\n"));
        assert_eq!(report.line(), "0 passed, 0 failed, 0 skipped");
    }
}
