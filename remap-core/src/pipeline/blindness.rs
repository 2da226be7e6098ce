//! Times in which hooks did not fire. What they would have reported is missing, as if records had been
//! lost: nothing that lasts then can be judged.

#[cfg(test)]
mod tests;

use std::io;

use super::Pipeline;
use crate::account::Loss;
use crate::model::Blind;
use crate::order::SLACK_NS;
use crate::sink::Sink;

/// The times that are over, and the present one.
#[derive(Debug, Default)]
pub(crate) struct Blindness {
    now: Option<Blind>,
    pub(crate) ended: Vec<Blind>,
}

impl Blindness {
    /// Whether hooks do not fire now.
    pub(super) fn lasts(&self) -> bool {
        self.now.is_some()
    }

    /// Hooks have not fired since `blind.since_ns`, or, with an end, fire again.
    pub(crate) fn take(&mut self, blind: Blind) {
        if blind.until_ns.is_some() {
            self.now = None;
            self.ended.push(blind);
        } else {
            self.now = Some(blind);
        }
    }

    /// The trace ends. Returns the time that ends with it.
    pub(crate) fn end(&mut self, end_ns: u64) -> Option<Blind> {
        let blind = Blind {
            until_ns: Some(end_ns),
            ..self.now.take()?
        };
        self.ended.push(blind.clone());
        Some(blind)
    }
}

impl<S: Sink> Pipeline<S> {
    /// Hooks have not fired since `blind.since_ns`, or, with an end, fire again. To be called before
    /// [`Self::advance`] passes on what is later than `since_ns`.
    ///
    /// # Errors
    /// What the sink's writer returns.
    pub fn blind(&mut self, blind: Blind) -> io::Result<()> {
        // Both ends: what lasted when it began, and what was seen in part meanwhile.
        let from_ns = self.watermark_ns.saturating_sub(SLACK_NS);
        let until_ns = blind.until_ns.unwrap_or(blind.since_ns);
        self.losses([Loss::any(0, (from_ns, until_ns.max(self.watermark_ns)))]);
        self.sink.blind(&blind)?;
        self.blind.take(blind);
        Ok(())
    }
}
