//! Descriptions of the records, for whatever must know them without the structs: formats of
//! tracepoints, a C header.

use super::number::{Enumeration, Wire};

/// What a field's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: an index, a number, bits.
    None,
    /// Time, ns; a point in time is CLOCK_MONOTONIC.
    Nanoseconds,
    /// A length or an offset, bytes.
    Bytes,
    /// An address in the kernel.
    KernelAddress,
    /// An address in the process.
    UserAddress,
    /// An address on the device's side (IOVA).
    DeviceAddress,
    /// 0 or 1.
    Flag,
    /// What a call returned: minus an errno where negative.
    Returned,
    /// A string, padded with zeros.
    Text,
}

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name: a C identifier, unique in its record.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Bytes from the record's start.
    pub offset: usize,
    /// Its length, bytes.
    pub size: usize,
    /// Whether it is negative where the highest bit is set.
    pub signed: bool,
    /// Of an array of bytes, how many there are.
    pub length: Option<usize>,
    /// What it counts.
    pub unit: Unit,
    /// Of an enumeration, its Rust name; empty for any other number.
    pub enumeration: &'static str,
    /// Of an enumeration, number and name of each value.
    pub values: &'static [(u32, &'static str)],
}

impl Field {
    const NONE: Self = Self {
        name: "",
        doc: "",
        offset: 0,
        size: 0,
        signed: false,
        length: None,
        unit: Unit::None,
        enumeration: "",
        values: &[],
    };
}

/// One kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its number.
    pub number: u32,
    /// Its name: a C identifier.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Its length, bytes.
    pub size: usize,
    /// Its fields in the order of their offsets, the header's first.
    pub fields: &'static [Field],
}

/// A field of a struct of the wire.
pub struct Member {
    pub name: &'static str,
    pub doc: &'static str,
    /// Bytes from the struct's start.
    pub offset: usize,
    pub unit: Unit,
    pub shape: Shape,
}

/// What a field's type is.
pub enum Shape {
    Integer {
        size: usize,
        signed: bool,
        enumeration: &'static str,
        values: &'static [(u32, &'static str)],
    },
    Bytes(usize),
    Struct(&'static [Member]),
}

/// A type that a field can have.
pub trait FieldType {
    const SHAPE: Shape;
}

macro_rules! integers {
    ($($integer:ident)*) => {
        $(
            impl FieldType for $integer {
                const SHAPE: Shape = Shape::Integer {
                    size: size_of::<Self>(),
                    signed: Self::MIN != 0,
                    enumeration: "",
                    values: &[],
                };
            }
        )*
    };
}

integers! { u32 u64 i32 i64 }

impl<E: Enumeration> FieldType for Wire<E> {
    const SHAPE: Shape = Shape::Integer {
        size: size_of::<Self>(),
        signed: false,
        enumeration: E::NAME,
        values: E::NAMES,
    };
}

impl<const N: usize> FieldType for [u8; N] {
    const SHAPE: Shape = Shape::Bytes(N);
}

/// Structs that follow each other: each with its offset.
pub type Parts<'a> = &'a [(usize, &'a [Member])];

/// How many fields they have, those of nested structs counted one by one.
pub const fn count(parts: Parts<'_>) -> usize {
    let (mut total, mut part) = (0, 0);
    while part < parts.len() {
        let (offset, members) = parts[part];
        let mut member = 0;
        while member < members.len() {
            total += match members[member].shape {
                Shape::Struct(inner) => count(&[(offset, inner)]),
                _ => 1,
            };
            member += 1;
        }
        part += 1;
    }
    total
}

/// Their fields, those of nested structs one by one; `N` is [`count`].
pub const fn flatten<const N: usize>(parts: Parts<'_>) -> [Field; N] {
    let mut fields = [Field::NONE; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let (offset, members) = parts[part];
        at = append(&mut fields, at, offset, members);
        part += 1;
    }
    fields
}

/// Writes the fields of one struct from position `at` on; returns the position behind them.
const fn append(fields: &mut [Field], mut at: usize, base: usize, members: &[Member]) -> usize {
    let mut number = 0;
    while number < members.len() {
        let member = &members[number];
        let offset = base + member.offset;
        at = match member.shape {
            Shape::Struct(inner) => append(fields, at, offset, inner),
            _ => {
                fields[at] = field(member, offset);
                at + 1
            }
        };
        number += 1;
    }
    at
}

const fn field(member: &Member, offset: usize) -> Field {
    let common = Field {
        name: member.name,
        doc: member.doc,
        offset,
        unit: member.unit,
        ..Field::NONE
    };
    match member.shape {
        Shape::Integer {
            size,
            signed,
            enumeration,
            values,
        } => Field {
            size,
            signed,
            enumeration,
            values,
            ..common
        },
        Shape::Bytes(size) => Field {
            size,
            length: Some(size),
            ..common
        },
        // Its own fields stand for it.
        Shape::Struct(_) => common,
    }
}

/// The most kernel addresses that a record has.
pub const MOST_ADDRESSES: usize = 3;

/// Where these fields have kernel addresses.
pub const fn addresses(fields: &[Field]) -> [Option<usize>; MOST_ADDRESSES] {
    let mut offsets = [None; MOST_ADDRESSES];
    let (mut found, mut at) = (0, 0);
    while at < fields.len() {
        if matches!(fields[at].unit, Unit::KernelAddress) {
            // One more than there is room for does not compile.
            offsets[found] = Some(fields[at].offset);
            found += 1;
        }
        at += 1;
    }
    offsets
}
