//! Writes to a legacy migration region, and the migration data fd.

use super::{device_of, known, result, split};
use crate::event::{
    DeviceKey, MigrationData, PrecopyInfo, StateWriteEnter, StateWriteExit, bodies,
};

bodies! {
    StateEnter(raw) => Self::StateWriteEnter(StateWriteEnter {
        device: DeviceKey(raw.device),
        region: split(raw.offset).0,
        word: known(raw.word, raw.word_known),
    }),
    StateExit(raw) => Self::StateWriteExit(StateWriteExit {
        device: DeviceKey(raw.device),
        region: split(raw.offset).0,
        word: known(raw.word, raw.word_known),
        begin_ns: raw.begin_ns,
        result: result(raw.result),
    }),
    Data(raw) => Self::Data(MigrationData {
        device: device_of(raw.device),
        file: raw.file,
        write: raw.write != 0,
        requested: raw.requested,
        begin_ns: raw.begin_ns,
        result: result(raw.result),
    }),
    PrecopyInfo(raw) => Self::PrecopyInfo(PrecopyInfo {
        device: device_of(raw.device),
        file: raw.file,
        begin_ns: raw.begin_ns,
        initial_bytes: known(raw.initial_bytes, raw.bytes_known),
        dirty_bytes: known(raw.dirty_bytes, raw.bytes_known),
        result: result(raw.result),
    }),
}
