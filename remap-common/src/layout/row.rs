//! How one value of the layout is measured, and what is lost where it cannot be.

use super::ABSENT;

/// Whose types describe a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// The core kernel's.
    Core,
    /// The `vfio` module's; the core kernel's where it is built in.
    Vfio,
    /// The `vfio_pci_core` module's; the core kernel's where it is built in. Where it is not
    /// loaded there is nothing to measure: none of its devices is open.
    PciCore,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The byte offset of a member.
    Offset {
        /// Whose struct it is.
        types: Types,
        /// The struct's name and the path in it: `device.kobj.name`.
        path: &'static str,
        /// The path on older kernels, where that differs.
        older: Option<&'static str>,
    },
    /// The size of a struct, bytes.
    Size(Types, &'static str),
    /// The value of an enumerator: the enum's name, then its own.
    Enumerator(&'static str, &'static str),
    /// 1 where the struct has the member, otherwise 0.
    HasMember(Types, &'static str),
    /// 1 where the core kernel's function has so many parameters, otherwise 0.
    HasParameters(&'static str, usize),
    /// 1 where no function of `vfio_pci_core` has this prototype, otherwise 0.
    LacksPrototype(&'static str),
    /// The first number where the kernel has the variable, otherwise the second.
    ByVariable(&'static str, u32, u32),
}

impl Shape {
    /// Whose types describe the value.
    pub const fn types(self) -> Types {
        match self {
            Self::Offset { types, .. } | Self::Size(types, _) | Self::HasMember(types, _) => types,
            Self::LacksPrototype(_) => Types::PciCore,
            Self::Enumerator(..) | Self::HasParameters(..) | Self::ByVariable(..) => Types::Core,
        }
    }

    /// What is missing where the value cannot be measured; of two paths the older, which every
    /// kernel without the newer one should have.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offset {
                older: Some(path), ..
            }
            | Self::Offset { path, .. }
            | Self::HasMember(_, path) => path,
            Self::Size(_, name)
            | Self::Enumerator(_, name)
            | Self::HasParameters(name, _)
            | Self::LacksPrototype(name)
            | Self::ByVariable(name, _, _) => name,
        }
    }
}

/// A part of the kernel without which a value has no meaning: where it is absent, nothing is
/// measured and nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// A struct.
    Struct(Types, &'static str),
    /// A member, by its path.
    Member(Types, &'static str),
}

/// What is lost where the value cannot be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// Nothing: a kernel without it works another way.
    Nothing,
    /// This, as half a sentence.
    Lost(&'static str),
    /// Nothing can be traced.
    Fatal,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub shape: Shape,
    /// Where it has a meaning; everywhere if `None`.
    pub only_with: Option<Present>,
    /// What is lost without it.
    pub impact: Impact,
}

impl Row {
    pub(super) const fn new(shape: Shape) -> Self {
        Self {
            shape,
            only_with: None,
            impact: Impact::Nothing,
        }
    }

    pub(super) const fn offset(types: Types, path: &'static str) -> Self {
        Self::new(Shape::Offset {
            types,
            path,
            older: None,
        })
    }

    /// The path of an offset on older kernels.
    pub(super) const fn or(self, older: &'static str) -> Self {
        match self.shape {
            Shape::Offset { types, path, .. } => Self {
                shape: Shape::Offset {
                    types,
                    path,
                    older: Some(older),
                },
                ..self
            },
            _ => self,
        }
    }

    /// Measures it only where this is present.
    pub(super) const fn only_with(self, present: Present) -> Self {
        Self {
            only_with: Some(present),
            ..self
        }
    }

    /// Reports this impact where it is missing.
    pub(super) const fn impact(self, impact: &'static str) -> Self {
        Self {
            impact: Impact::Lost(impact),
            ..self
        }
    }

    /// Nothing can be traced where it is missing.
    pub(super) const fn fatal(self) -> Self {
        Self {
            impact: Impact::Fatal,
            ..self
        }
    }

    /// The value before it is measured.
    pub const fn unknown(self) -> u32 {
        match self.shape {
            Shape::Offset { .. } | Shape::Size(..) | Shape::Enumerator(..) => ABSENT,
            Shape::HasMember(..)
            | Shape::HasParameters(..)
            | Shape::LacksPrototype(..)
            | Shape::ByVariable(..) => 0,
        }
    }
}
