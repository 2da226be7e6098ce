//! One program on one function.

use std::{any::Any, io};

use aya::{
    Btf,
    programs::{FEntry, FExit, KProbe, Program, ProgramError, kprobe::KProbeLink, links::FdLink},
};

use super::table::When;

/// What keeps a program attached.
pub(super) struct Link {
    /// Dropping it detaches the program.
    _attached: Box<dyn Any + Send>,
    /// The id of a kprobe's link.
    pub(super) kprobe: Option<u32>,
}

impl Link {
    fn traced(link: impl Any + Send) -> Self {
        Self {
            _attached: Box::new(link),
            kprobe: None,
        }
    }

    fn probed(link: KProbeLink) -> io::Result<Self> {
        let link: FdLink = link.try_into().map_err(io::Error::other)?;
        Ok(Self {
            kprobe: Some(link.info().map_err(io::Error::other)?.id()),
            _attached: Box::new(link),
        })
    }
}

/// Attaches a program to a function, traced where there is BTF, else probed.
pub(super) fn program(
    program: &mut Program,
    when: When,
    function: &str,
    btf: Option<&Btf>,
) -> Result<Link, ProgramError> {
    Ok(match (btf, when) {
        (Some(btf), When::Entry) => {
            let program: &mut FEntry = program.try_into()?;
            program.load(function, btf)?;
            let link = program.attach()?;
            Link::traced(program.take_link(link)?)
        }
        (Some(btf), When::Return) => {
            let program: &mut FExit = program.try_into()?;
            program.load(function, btf)?;
            let link = program.attach()?;
            Link::traced(program.take_link(link)?)
        }
        (None, _) => {
            let program: &mut KProbe = program.try_into()?;
            // It may be on other functions already.
            if program.fd().is_err() {
                program.load()?;
            }
            let link = program.attach(function, 0)?;
            let link = program.take_link(link)?;
            Link::probed(link)?
        }
    })
}
