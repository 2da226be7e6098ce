//! Enumerations on the wire: a number there, a Rust enum only after it was compared.

use core::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An enum whose variants have a number on the wire and a name.
pub trait Enumeration: Copy + Eq + 'static {
    /// Its name in Rust.
    const NAME: &'static str;
    /// Number and name of each variant.
    const NAMES: &'static [(u32, &'static str)];

    /// The variant with this number.
    fn of_number(number: u32) -> Option<Self>;
}

/// The number of an [`Enumeration`]'s variant, or one that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct Wire<E> {
    number: u32,
    of: PhantomData<E>,
}

impl<E: Enumeration> Wire<E> {
    /// The variant; `None` for a number that this version does not know.
    pub fn known(self) -> Option<E> {
        E::of_number(self.number)
    }
}

impl<E> Wire<E> {
    /// The number as it is on the wire.
    pub(super) const fn of(number: u32) -> Self {
        Self {
            number,
            of: PhantomData,
        }
    }
}

/// Declares an [`Enumeration`]: each variant with its number and its name.
macro_rules! enumeration {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            $( $(#[doc = $variant_doc:literal])* $variant:ident = $number:literal, $text:literal; )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
        #[repr(u32)]
        pub enum $name {
            $(
                $(#[doc = $variant_doc])*
                #[cfg_attr(feature = "json", serde(rename = $text))]
                $variant = $number,
            )*
        }

        impl $name {
            /// Its number, for the wire.
            #[inline(always)]
            pub const fn wire(self) -> Wire<Self> {
                Wire::of(self as u32)
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )*
                }
            }
        }

        impl Enumeration for $name {
            const NAME: &'static str = stringify!($name);
            const NAMES: &'static [(u32, &'static str)] = &[$(($number, $text)),*];

            fn of_number(number: u32) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }
    };
}
