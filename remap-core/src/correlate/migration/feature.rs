//! `VFIO_DEVICE_FEATURE` without state changes: migration flags, the reported state, the data size,
//! DMA logging.

use remap_common::uapi::{
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
    VFIO_DEVICE_FEATURE_MIGRATION,
};

use super::Migration;
use super::interval::{IntervalEnd, OpenInterval};
use super::state::{Feature, Known, Protocol, Suspect};
use crate::correlate::call::Returned;
use crate::correlate::moment::Moment;
use crate::correlate::report::Reporter;
use crate::correlate::rules::{AT_STATE, AtState, confirmed, judge};
use crate::event::{Answer, DeviceState};
use crate::model::LoggingStats;

impl Migration {
    /// A call that does not change the state returned.
    pub(in crate::correlate) fn feature(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        feature: Feature,
        exit: &Returned<'_>,
    ) {
        if feature.op.probe {
            return;
        }
        match (feature.number, exit.answer) {
            (VFIO_DEVICE_FEATURE_MIGRATION, Answer::MigrationFlags { flags }) => {
                self.flags = Some(*flags);
                self.protocol.get_or_insert(Protocol::Feature);
                if let (Known::Running, None) = (self.state, &self.interval) {
                    self.enter(OpenInterval::found(DeviceState::Running, at));
                }
                out.stats().migration.flags = Some(*flags);
            }
            (VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, Answer::State { state, .. }) => {
                self.reported(out, at, *state, exit);
            }
            (_, Answer::DataSize { stop_copy_length }) => {
                out.stats().migration.data_size = Some(*stop_copy_length);
            }
            (VFIO_DEVICE_FEATURE_DMA_LOGGING_START..=VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, _) => {
                let logging = &mut out.stats().migration.logging;
                count_logging(logging, at.ns, feature, exit);
            }
            _ => {}
        }
    }

    /// The device reports its state.
    fn reported(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        state: DeviceState,
        exit: &Returned<'_>,
    ) {
        let since_ns = self.interval.as_ref().map(|interval| interval.since_ns);
        // Another thread changes the state at the same time: it may be the old or the new one.
        if !self.in_flight.is_empty() || since_ns.is_some_and(|ns| ns > exit.begin_ns) {
            return;
        }
        let suspect = self.suspect.take();
        if let Some(suspect) = &suspect
            && self.state == Known::State(suspect.state)
            && suspect.before.get(Protocol::Feature) == Some(state)
        {
            // It was not the device's.
            self.state = suspect.before;
        }
        let before = self.state;
        let expected = before.get(Protocol::Feature);
        let facts = AtState {
            state,
            expected,
            known: self.state == Known::State(state),
        };
        if !exit.lossy {
            if let Some(verdict) = judge(AT_STATE, &facts) {
                out.finding(at.ns, verdict.clone());
                self.suspect = Some(Suspect {
                    state,
                    before,
                    verdict,
                });
            } else if let Some(suspect) = suspect
                && suspect.state == state
                && before == Known::State(state)
            {
                out.finding(at.ns, confirmed(suspect.verdict));
            }
        }
        self.failed = None;
        if expected != Some(state) || self.interval.is_none() {
            self.end_interval(out, at.ns, IntervalEnd::Unknown);
            self.enter(OpenInterval::found(state, at));
        }
        self.state = Known::State(state);
    }
}

/// A call about DMA logging returned.
fn count_logging(logging: &mut LoggingStats, now: u64, feature: Feature, exit: &Returned<'_>) {
    if exit.result.is_err() {
        logging.failed += 1;
        return;
    }
    match (feature.number, feature.data) {
        (VFIO_DEVICE_FEATURE_DMA_LOGGING_START, data) => {
            logging.starts += 1;
            logging.page_size = data.page_size.or(logging.page_size);
        }
        (VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, _) => logging.stops += 1,
        (_, data) => {
            logging.reports += 1;
            let ns = now.saturating_sub(exit.begin_ns);
            logging.report_ns = logging.report_ns.saturating_add(ns);
            let bytes = data.length.unwrap_or(0);
            logging.report_bytes = logging.report_bytes.saturating_add(bytes);
        }
    }
}
