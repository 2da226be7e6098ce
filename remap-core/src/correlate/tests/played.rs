//! The correlation's outputs for a scene.

use super::*;

pub(crate) struct Played(pub(crate) Vec<Output>);

impl Played {
    pub(crate) fn cycles(&self) -> Vec<&Cycle> {
        self.0
            .iter()
            .filter_map(|output| match output {
                Output::Cycle(cycle) => Some(&**cycle),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn transitions(&self) -> Vec<&Transition> {
        self.0
            .iter()
            .filter_map(|output| match output {
                Output::Transition(transition) => Some(&**transition),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn findings(&self) -> Vec<&Finding> {
        self.0
            .iter()
            .filter_map(|output| match output {
                Output::Finding(finding) => Some(finding),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn rules(&self) -> Vec<&'static str> {
        self.findings()
            .iter()
            .map(|finding| finding.rule().name())
            .collect()
    }

    /// The sentences of the findings.
    pub(crate) fn texts(&self) -> Vec<String> {
        let findings = self.findings().into_iter();
        findings
            .map(|finding| sentence::finding(&finding.evidence))
            .collect()
    }

    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.cycles().iter().map(|cycle| cycle.outcome).collect()
    }

    pub(crate) fn intervals(&self) -> Vec<&StateInterval> {
        let outputs = self.0.iter();
        outputs
            .filter_map(|output| match output {
                Output::StateInterval(stay) => Some(&**stay),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn zaps(&self) -> Vec<&Zap> {
        let outputs = self.0.iter();
        outputs
            .filter_map(|output| match output {
                Output::Zap(zap) => Some(&**zap),
                _ => None,
            })
            .collect()
    }
}
