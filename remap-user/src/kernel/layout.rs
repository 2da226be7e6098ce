//! Measures the offsets that the programs read by, from BTF: each row of
//! `remap_common::layout::MEMBERS`. A missing member is a sentence, never an error: the programs
//! report what depends on it as unknown.

use remap_common::layout::{
    Impact, KernelAddresses, KernelLayout, MEMBERS, Present, Row, Shape, Types,
};

use super::{Kernel, address, btf::Btf, prototype};

/// A measured layout, and what could not be found.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The offsets.
    pub layout: KernelLayout,
    /// The addresses.
    pub addresses: KernelAddresses,
    /// The missing members.
    pub missing: Vec<Missing>,
    /// Missing members without which nothing can be traced.
    pub fatal: Vec<String>,
}

/// A member that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whose types should describe it.
    pub types: Types,
    /// Which it is, and what is lost without it.
    pub sentence: String,
}

/// Measures the layout of a kernel.
pub fn measure(kernel: &Kernel) -> Measured {
    let addresses = address::measure(kernel);
    let mut measured = Measured {
        layout: KernelLayout::UNKNOWN,
        addresses: addresses.unwrap_or(KernelAddresses::UNKNOWN),
        missing: Vec::new(),
        fatal: Vec::new(),
    };
    for member in MEMBERS {
        match value(kernel, member.row) {
            Some(value) => (member.set)(&mut measured.layout, value),
            None => measured.lose(member.row),
        }
    }
    if addresses.is_none() {
        measured.missing.push(Missing {
            types: Types::Core,
            sentence: address::HIDDEN.to_owned(),
        });
    }
    measured
}

impl Measured {
    /// Notes what is lost without a row.
    fn lose(&mut self, row: Row) {
        let what = row.shape.name();
        match row.impact {
            Impact::Nothing => {}
            Impact::Lost(impact) => self.missing.push(Missing {
                types: row.shape.types(),
                sentence: format!("no {what} in BTF: {impact}"),
            }),
            Impact::Fatal => self.fatal.push(what.to_owned()),
        }
    }
}

/// The value of a row; `None` if BTF should describe it and does not.
fn value(kernel: &Kernel, row: Row) -> Option<u32> {
    let core = kernel.core.as_ref();
    if row.only_with.is_some_and(|part| !is_present(kernel, part)) {
        return Some(row.unknown());
    }
    match row.shape {
        Shape::Offset { types, path, older } => match types_of(kernel, types) {
            None => Some(row.unknown()),
            Some(btf) => btf
                .member_offset(path)
                .or_else(|| btf.member_offset(older?)),
        },
        Shape::Size(types, name) => match types_of(kernel, types) {
            None => Some(row.unknown()),
            Some(btf) => btf.struct_size(name),
        },
        Shape::Enumerator(name, variant) => core.enumerator(name, variant),
        Shape::HasMember(types, path) => {
            Some(is_present(kernel, Present::Member(types, path)).into())
        }
        Shape::HasParameters(function, count) => {
            let parameters = core.parameters(function);
            Some(parameters.is_some_and(|found| found.len() == count).into())
        }
        Shape::LacksPrototype(prototype) => {
            let found = prototype::matches(kernel.pci_core(), &[prototype]);
            Some(found.is_empty().into())
        }
        Shape::ByVariable(name, with, without) => Some(match kernel.symbols.address_of(name) {
            Some(_) => with,
            None => without,
        }),
    }
}

/// The types that describe a struct; `None` for those of a module that is not loaded.
fn types_of(kernel: &Kernel, types: Types) -> Option<&Btf> {
    let core = kernel.core.as_ref();
    let built_in = || Some(core).filter(|core| core.has_struct(PCI_CORE_DEVICE));
    match types {
        Types::Core => Some(core),
        Types::Vfio => Some(kernel.vfio.as_ref().unwrap_or(core)),
        Types::PciCore => kernel.pci_core_types().or_else(built_in),
    }
}

/// The struct that `vfio_pci_core` is recognised by where it is built in.
const PCI_CORE_DEVICE: &str = "vfio_pci_core_device";

fn is_present(kernel: &Kernel, part: Present) -> bool {
    let (Present::Struct(types, _) | Present::Member(types, _)) = part;
    types_of(kernel, types).is_some_and(|btf| match part {
        Present::Struct(_, name) => btf.has_struct(name),
        Present::Member(_, path) => btf.member_offset(path).is_some(),
    })
}

#[cfg(test)]
mod tests;
