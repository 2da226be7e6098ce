//! The ioctls of a device, and what they hand back.

use serde::Serialize;

use super::super::json::{AreaLine, encoding_name};
use crate::event::{
    Answer, Call, EarlyCall, FeatureData, FeatureOp, IrqAction, IrqData, feature_name,
};

#[derive(Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(in crate::sink) enum CallLine<'a> {
    WriteRegion {
        region: u32,
    },
    SetIrqs {
        index: u32,
        start: u32,
        count: u32,
        action: &'static str,
        data: DataLine<'a>,
    },
    GetIrqInfo {
        index: u32,
    },
    GetRegionInfo {
        index: u32,
    },
    Feature {
        feature: u32,
        feature_name: Option<&'static str>,
        operations: Vec<&'static str>,
        state: Option<String>,
        #[serde(flatten)]
        data: Option<DataOfFeature>,
    },
    Reset,
    HotReset,
    BindIommufd {
        iommufd: i32,
    },
    AttachPt {
        pt: u32,
    },
    DetachPt,
    Other {
        request: u32,
    },
    Unreadable {
        request: u32,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sink) enum DataLine<'a> {
    None,
    Bool(&'a [bool]),
    Eventfd(&'a [i32]),
    Unknown(u32),
}

/// What a feature is asked for, beside a state.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::sink) enum DataOfFeature {
    Wakeup {
        wakeup_fd: i32,
    },
    LoggingStart {
        page_size: u64,
        ranges: u32,
    },
    LoggingReport {
        iova: u64,
        length: u64,
        page_size: u64,
    },
    BusMaster {
        operation: u32,
    },
}

impl DataOfFeature {
    fn of(data: FeatureData) -> Option<Self> {
        Some(match data {
            FeatureData::None | FeatureData::State(_) => return None,
            FeatureData::Wakeup { fd } => Self::Wakeup { wakeup_fd: fd },
            FeatureData::LoggingStart { page_size, ranges } => {
                Self::LoggingStart { page_size, ranges }
            }
            FeatureData::LoggingReport {
                iova,
                length,
                page_size,
            } => Self::LoggingReport {
                iova,
                length,
                page_size,
            },
            FeatureData::BusMaster { op } => Self::BusMaster { operation: op },
        })
    }
}

fn operations(op: FeatureOp) -> Vec<&'static str> {
    [(op.get, "get"), (op.set, "set"), (op.probe, "probe")]
        .into_iter()
        .filter_map(|(is_set, name)| is_set.then_some(name))
        .collect()
}

impl<'a> CallLine<'a> {
    pub(in crate::sink) fn of_early(call: &'a EarlyCall) -> Self {
        match call {
            EarlyCall::Ioctl(call) => Self::of(call),
            EarlyCall::Write { region } => Self::WriteRegion { region: *region },
        }
    }

    pub(super) fn of(call: &'a Call) -> Self {
        match call {
            Call::SetIrqs {
                index,
                start,
                count,
                action,
                data,
            } => Self::SetIrqs {
                index: *index,
                start: *start,
                count: *count,
                action: match action {
                    IrqAction::Mask => "mask",
                    IrqAction::Unmask => "unmask",
                    IrqAction::Trigger => "trigger",
                    IrqAction::Unknown(_) => "unknown",
                },
                data: match data {
                    IrqData::None => DataLine::None,
                    IrqData::Bool(values) => DataLine::Bool(values),
                    IrqData::Eventfd(fds) => DataLine::Eventfd(fds),
                    IrqData::Unknown(flags) => DataLine::Unknown(*flags),
                },
            },
            Call::GetIrqInfo { index } => Self::GetIrqInfo { index: *index },
            Call::GetRegionInfo { index } => Self::GetRegionInfo { index: *index },
            Call::Feature { feature, op, data } => Self::Feature {
                feature: *feature,
                feature_name: feature_name(*feature),
                operations: operations(*op),
                state: data.state().map(|state| state.to_string()),
                data: DataOfFeature::of(*data),
            },
            Call::Reset => Self::Reset,
            Call::HotReset => Self::HotReset,
            Call::BindIommufd { iommufd } => Self::BindIommufd { iommufd: *iommufd },
            Call::AttachPt { pt } => Self::AttachPt { pt: *pt },
            Call::DetachPt => Self::DetachPt,
            Call::Other { request } => Self::Other { request: *request },
            Call::Unreadable { request } => Self::Unreadable { request: *request },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(super) enum AnswerLine<'a> {
    Region {
        index: u32,
        flags: u32,
        size: u64,
        offset: u64,
        areas: Option<Vec<AreaLine>>,
        kind: Option<(u32, u32)>,
        stale_sparse: bool,
    },
    Irq {
        index: u32,
        flags: u32,
        count: u32,
        kind: Option<(u32, u32)>,
        encoding: Option<&'static str>,
        base: Option<u32>,
        mask: Option<u64>,
    },
    State {
        state: String,
        data_fd: Option<i32>,
    },
    Migration {
        flags: u64,
    },
    DataSize {
        stop_copy_length: u64,
    },
    Malformed {
        reason: &'a str,
    },
    Unreadable,
}

impl<'a> AnswerLine<'a> {
    pub(super) fn of(answer: &'a Answer) -> Option<Self> {
        Some(match answer {
            Answer::None => return None,
            Answer::Region(region) => Self::Region {
                index: region.index,
                flags: region.flags,
                size: region.size,
                offset: region.offset,
                areas: region.areas_known.then(|| AreaLine::all(&region.areas)),
                kind: region.kind,
                stale_sparse: region.stale_sparse,
            },
            Answer::Irq(info) => Self::Irq {
                index: info.index,
                flags: info.flags,
                count: info.count,
                kind: info.kind,
                encoding: info.remap.map(|remap| encoding_name(remap.encoding)),
                base: info.remap.map(|remap| remap.base),
                mask: info.remap.and_then(|remap| remap.mask),
            },
            Answer::State { state, data_fd } => Self::State {
                state: state.to_string(),
                data_fd: *data_fd,
            },
            Answer::MigrationFlags(flags) => Self::Migration { flags: *flags },
            Answer::DataSize(length) => Self::DataSize {
                stop_copy_length: *length,
            },
            Answer::Malformed(reason) => Self::Malformed { reason },
            Answer::Unreadable => Self::Unreadable,
        })
    }
}
