//! Opens and closes, and calls that were under way when the trace began.

use serde::Serialize;

use crate::model::{Closed, InFlightCall, Opened};
use crate::sink::event_line::{CallLine, Keys, NodeLine};
use crate::sink::sentence;

#[derive(Serialize)]
pub(super) struct OpenedLine<'a> {
    time_ns: u64,
    device: &'a str,
    node: NodeLine,
    fd: Option<i32>,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> OpenedLine<'a> {
    pub(super) fn of(opened: &'a Opened, keys: &mut Keys) -> Self {
        Self {
            time_ns: opened.time_ns,
            device: &opened.device,
            node: NodeLine::of(opened.node, keys),
            fd: opened.fd,
            pid: opened.task.pid,
            tid: opened.task.tid,
            comm: &opened.task.comm,
        }
    }
}

#[derive(Serialize)]
pub(super) struct ClosedLine<'a> {
    time_ns: u64,
    device: &'a str,
    dying: Option<bool>,
    state: Option<String>,
    text: String,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> ClosedLine<'a> {
    pub(super) fn of(closed: &'a Closed) -> Self {
        Self {
            time_ns: closed.time_ns,
            device: &closed.device,
            dying: closed.dying,
            state: closed.state.map(|state| state.to_string()),
            text: sentence::closed(closed),
            pid: closed.task.pid,
            tid: closed.task.tid,
            comm: &closed.task.comm,
        }
    }
}

#[derive(Serialize)]
pub(super) struct EarlyLine<'a> {
    time_ns: u64,
    device: &'a str,
    what: String,
    call: CallLine<'a>,
    waits_in: Option<&'a [String]>,
    over: bool,
    last_seen_ns: Option<u64>,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> EarlyLine<'a> {
    pub(super) fn of(early: &'a InFlightCall) -> Self {
        Self {
            time_ns: early.time_ns,
            device: &early.device,
            what: early.what(),
            call: CallLine::of_early(&early.call),
            waits_in: Some(early.waits_in.as_slice()).filter(|functions| !functions.is_empty()),
            over: early.last_seen_ns.is_some(),
            last_seen_ns: early.last_seen_ns,
            pid: early.task.pid,
            tid: early.task.tid,
            comm: &early.task.comm,
        }
    }
}
