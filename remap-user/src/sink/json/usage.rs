//! Opens and closes.

use serde::Serialize;

use crate::correlate::{Closed, Opened};
use crate::sink::event_line::{Keys, NodeLine};

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
    text: &'a str,
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
            text: &closed.text,
            pid: closed.task.pid,
            tid: closed.task.tid,
            comm: &closed.task.comm,
        }
    }
}
