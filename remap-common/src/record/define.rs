//! The macros behind the table.

/// The unit of a field: none where none is given.
macro_rules! unit {
    () => {
        Unit::None
    };
    ($unit:ident) => {
        Unit::$unit
    };
}

/// The type behind a record's struct: none where none is given.
macro_rules! trail {
    () => {
        ()
    };
    ($type:ty) => {
        $type
    };
}

/// A reference to a trail: to nothing where there is none.
macro_rules! trail_ref {
    () => {
        &()
    };
    ($trail:ident) => {
        $trail
    };
}

/// The bytes of a trail: none where there is none.
#[cfg(test)]
macro_rules! bytes {
    () => {
        &[]
    };
    ($trail:ident) => {
        $trail.as_slice()
    };
}

/// Declares a struct of the wire, each field with its type and, behind `=>`, its unit.
macro_rules! wire_struct {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident: $type:ty $(=> $unit:ident)?, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable,
        )]
        #[repr(C)]
        pub struct $name {
            $( $(#[doc = $field_doc])* pub $field: $type, )*
        }

        impl $name {
            const MEMBERS: &'static [Member] = &[
                $(
                    Member {
                        name: stringify!($field),
                        doc: concat!($($field_doc),*).trim_ascii(),
                        offset: offset_of!($name, $field),
                        unit: unit!($($unit)?),
                        shape: <$type as FieldType>::SHAPE,
                    },
                )*
            ];
        }

        impl FieldType for $name {
            const SHAPE: Shape = Shape::Struct(Self::MEMBERS);
        }
    };
}

/// Declares the kinds of records: number, name, struct, and behind `+` what is filled in place.
macro_rules! records {
    (
        $(
            $(#[doc = $doc:literal])*
            $number:literal $snake:ident => $name:ident $fields:tt
            $(+ {
                $(#[doc = $trail_doc:literal])*
                $trail:ident: $trail_type:ty,
            })?
        )*
    ) => {
        $(
            wire_struct! {
                $(#[doc = $doc])*
                $name $fields
            }

            impl Record for $name {
                const KIND: u32 = $number;
                type Trail = trail!($($trail_type)?);
                const ADDRESSES: [Option<usize>; field::MOST_ADDRESSES] =
                    field::addresses($name::FIELDS);
            }

            impl $name {
                /// Every field of the record, the header's first.
                pub const FIELDS: &'static [Field] = {
                    const PARTS: field::Parts<'static> = &[
                        (0, Header::MEMBERS),
                        (offset_of!(Frame<$name>, body), $name::MEMBERS),
                        $((
                            offset_of!(Frame<$name>, trail),
                            &[Member {
                                name: stringify!($trail),
                                doc: concat!($($trail_doc),*).trim_ascii(),
                                offset: 0,
                                unit: Unit::None,
                                shape: <$trail_type as FieldType>::SHAPE,
                            }],
                        ),)?
                    ];
                    &field::flatten::<{ field::count(PARTS) }>(PARTS)
                };
            }

            // What `parse` takes one after the other lies together.
            const _: () = {
                assert!(offset_of!(Frame<$name>, body) == size_of::<Header>());
                assert!(
                    size_of::<Frame<$name>>()
                        == size_of::<Header>()
                            + size_of::<$name>()
                            + size_of::<<$name as Record>::Trail>()
                );
            };
        )*

        /// Every kind.
        pub const KINDS: &[Kind] = &[
            $(
                Kind {
                    number: $number,
                    name: stringify!($snake),
                    doc: concat!($($doc),*).trim_ascii(),
                    size: size_of::<Frame<$name>>(),
                    fields: $name::FIELDS,
                },
            )*
        ];

        /// A record behind its header.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RecordRef<'a> {
            $(
                $(#[doc = $doc])*
                $name(&'a $name $(, &'a $trail_type)?),
            )*
            /// A kind that this version does not know.
            Unknown {
                /// Its number.
                kind: u32,
                /// What follows the header.
                bytes: &'a [u8],
            },
        }

        impl RecordRef<'_> {
            /// Converts the record; `None` if its kind, or a number in it, is not known.
            pub fn convert<T>(self) -> Option<T>
            where
                $(T: FromRecord<$name>,)*
            {
                match self {
                    $(
                        Self::$name(record $(, $trail)?) => {
                            T::from_record(record, trail_ref!($($trail)?))
                        }
                    )*
                    Self::Unknown { .. } => None,
                }
            }
        }

        /// Reads a record where it lies, at an address that is a multiple of 8. Bytes behind the
        /// struct of its kind are passed over.
        ///
        /// # Errors
        /// If it is cut off. An unknown kind is none.
        pub fn parse(mut bytes: &[u8]) -> Result<(&Header, RecordRef<'_>), Truncated> {
            let header: &Header = take(&mut bytes)?;
            let record = match header.kind {
                $(
                    $number => RecordRef::$name(
                        take(&mut bytes)?,
                        $(take::<$trail_type>(&mut bytes)?)?
                    ),
                )*
                kind => RecordRef::Unknown { kind, bytes },
            };
            Ok((header, record))
        }

        #[cfg(test)]
        impl<'a> RecordRef<'a> {
            /// What follows the header, piece by piece.
            pub(super) fn pieces(&self) -> [&'a [u8]; 2] {
                match self {
                    $(
                        Self::$name(body $(, $trail)?) => [body.as_bytes(), bytes!($($trail)?)],
                    )*
                    Self::Unknown { bytes, .. } => [bytes, &[]],
                }
            }
        }
    };
}
