//! Attaches one program to one function.

use std::{any::Any, io, os::fd::OwnedFd};

use aya::{
    Btf,
    programs::{FEntry, FExit, KProbe, Program, ProgramError, kprobe::KProbeLink, links::FdLink},
};

use super::row::{self, When};
use crate::live::account::missed_runs::open_link;

/// What keeps a program attached.
pub(in crate::live) struct Link {
    /// Dropping it detaches the program.
    _attached: Box<dyn Any + Send>,
    /// The program.
    pub(super) program: &'static str,
    /// Whether it is a kprobe or kretprobe, which can miss calls.
    pub(super) probed: bool,
    /// The link of a kprobe, to query its missed runs, where that is allowed (CAP_SYS_ADMIN). It
    /// also keeps the program attached.
    pub(super) kprobe: Option<OwnedFd>,
}

impl Link {
    fn traced(program: &'static str, link: impl Any + Send) -> Self {
        Self {
            _attached: Box::new(link),
            program,
            probed: false,
            kprobe: None,
        }
    }

    fn probed(program: &'static str, link: KProbeLink) -> io::Result<Self> {
        let link: FdLink = link.try_into().map_err(io::Error::other)?;
        let id = link.info().map_err(io::Error::other)?.id();
        Ok(Self {
            probed: true,
            kprobe: open_link(id).ok(),
            program,
            _attached: Box::new(link),
        })
    }
}

/// Attaches a program to a function: traced with `btf`, else as a kprobe or kretprobe.
pub(in crate::live) fn program(
    program: &mut Program,
    row: &row::Program,
    function: &str,
    btf: Option<&Btf>,
) -> Result<Link, ProgramError> {
    Ok(match (btf, row.when) {
        (Some(btf), When::Entry) => {
            let program: &mut FEntry = program.try_into()?;
            program.load(function, btf)?;
            let link = program.attach()?;
            Link::traced(row.name, program.take_link(link)?)
        }
        (Some(btf), When::Return) => {
            let program: &mut FExit = program.try_into()?;
            program.load(function, btf)?;
            let link = program.attach()?;
            Link::traced(row.name, program.take_link(link)?)
        }
        (None, _) => {
            let program: &mut KProbe = program.try_into()?;
            // It may be attached to other functions already.
            if program.fd().is_err() {
                program.load()?;
            }
            let link = program.attach(function, 0)?;
            Link::probed(row.name, program.take_link(link)?)?
        }
    })
}
