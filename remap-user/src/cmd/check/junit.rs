//! A verdict as a JUnit report: a suite for each party, a case for each duty.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use remap_core::{
    check::{DutyLine, Judgement, Party, Verdict},
    printable,
};

/// The report on `what`.
pub fn report(verdict: &Verdict, what: &str) -> Report {
    let mut report = Report::new(printable::line(&format!("remap check: {what}")).as_ref());
    for party in Party::ALL {
        let mut suite = TestSuite::new(party.name());
        let lines = verdict.duties.iter().filter(|line| line.party == *party);
        suite.add_test_cases(lines.map(case));
        report.add_test_suite(suite);
    }
    report
}

fn case(line: &DutyLine) -> TestCase {
    let status = match line.judgement {
        Judgement::Pass | Judgement::Advice => TestCaseStatus::success(),
        Judgement::Fail => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("“{}”", line.sentence));
            status.set_description(violations(line));
            status
        }
        Judgement::NotExercised | Judgement::Unknown => {
            let mut status = TestCaseStatus::skipped();
            let why = line.why.as_deref().unwrap_or_default();
            status.set_message(format!("{}: {why}", line.judgement.words()));
            status
        }
    };
    let mut case = TestCase::new(line.duty.name(), status);
    case.set_classname(line.subject.name());
    if line.judgement == Judgement::Advice {
        case.set_system_out(format!("advice: “{}”\n{}", line.sentence, violations(line)));
    }
    case
}

fn violations(line: &DutyLine) -> String {
    let each = line.violations.iter().map(ToString::to_string);
    each.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use remap_core::check::Check;

    use super::*;

    #[test]
    fn a_report_has_each_duty_once() {
        let mut verdict = Check::default().verdict();
        let text = report(&verdict, "a\x1bfile").to_string().unwrap();
        assert_eq!(text.matches("<testcase").count(), verdict.duties.len());
        assert_eq!(text.matches("<skipped").count(), verdict.duties.len());
        assert!(
            !text.contains('\x1b') && text.contains("a\\x1bfile"),
            "{text}"
        );
        verdict.duties[0].judgement = Judgement::Fail;
        verdict.duties[1].judgement = Judgement::Advice;
        let text = report(&verdict, "a file").to_string().unwrap();
        assert_eq!(text.matches("<failure").count(), 1);
        assert_eq!(text.matches("<system-out").count(), 1);
        assert!(text.contains("failures=\"1\""), "{text}");
    }
}
