//! `VFIO_DEVICE_FEATURE`, beside the change of the state: what the device can do, in which state
//! it says it is, how much data there is, DMA logging.

use remap_common::uapi::{
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
    VFIO_DEVICE_FEATURE_MIGRATION,
};

use super::device::{Device, Known};
use super::ioctl::Exit;
use super::report::Desk;
use super::rule::{AT_STATE, AtState, judge};
use crate::event::{Answer, DeviceState, Event, FeatureData, FeatureOp};

impl Device {
    /// A call that does not change the state returned.
    pub(super) fn feature(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        (feature, op, data): (u32, FeatureOp, FeatureData),
        exit: &Exit<'_>,
    ) {
        if op.probe {
            return;
        }
        match (feature, exit.answer) {
            (VFIO_DEVICE_FEATURE_MIGRATION, Answer::MigrationFlags(flags)) => {
                self.flags = Some(*flags);
                self.legacy.get_or_insert(false);
                if let (Known::Running, None) = (self.state, &self.stay) {
                    let running = (DeviceState::Running, event.time_ns);
                    self.begin_stay(running, false, None, &event.task);
                }
                desk.stats.device(&self.name).migration.flags = Some(*flags);
            }
            (VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, Answer::State { state, .. }) => {
                self.reported(desk, event, *state, exit);
            }
            (_, Answer::DataSize(bytes)) => {
                desk.stats.device(&self.name).migration.data_size = Some(*bytes);
            }
            _ => self.logging(desk, event, (feature, data), exit),
        }
    }

    fn logging(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        (feature, data): (u32, FeatureData),
        exit: &Exit<'_>,
    ) {
        if !(VFIO_DEVICE_FEATURE_DMA_LOGGING_START..=VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT)
            .contains(&feature)
        {
            return;
        }
        let logging = &mut desk.stats.device(&self.name).migration.logging;
        if exit.result.is_err() {
            logging.failed += 1;
            return;
        }
        match (feature, data) {
            (VFIO_DEVICE_FEATURE_DMA_LOGGING_START, data) => {
                logging.starts += 1;
                logging.page_size = match data {
                    FeatureData::LoggingStart { page_size, .. } => Some(page_size),
                    _ => logging.page_size,
                };
            }
            (VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, _) => logging.stops += 1,
            (_, data) => {
                logging.reports += 1;
                let ns = event.time_ns.saturating_sub(exit.begin_ns);
                logging.report_ns = logging.report_ns.saturating_add(ns);
                if let FeatureData::LoggingReport { length, .. } = data {
                    logging.report_bytes = logging.report_bytes.saturating_add(length);
                }
            }
        }
    }

    /// The device says in which state it is.
    fn reported(&mut self, desk: &mut Desk, event: &Event, state: DeviceState, exit: &Exit<'_>) {
        let now = event.time_ns;
        let since_ns = self.stay.as_ref().map(|stay| stay.since_ns);
        // Another thread changes the state meanwhile: it may be either.
        let changing = !self.changes.is_empty() || since_ns.is_some_and(|ns| ns > exit.begin_ns);
        if changing {
            return;
        }
        let expected = self.state.get(false);
        let moment = AtState {
            state,
            expected,
            known: self.state == Known::State(state),
        };
        if !exit.lossy
            && let Some(verdict) = judge(AT_STATE, &moment)
        {
            self.raise(desk, now, &[], verdict);
        }
        self.failed = None;
        if expected != Some(state) || self.stay.is_none() {
            self.end_stay(desk, now, false);
            self.begin_stay((state, now), false, None, &event.task);
        }
        self.state = Known::State(state);
    }
}
