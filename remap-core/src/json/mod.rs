//! How values are written in JSON where their shape in memory differs.
//!
//! Each type here stands in `#[serde(with = "…")]`, and describes itself to the schema.
mod list;
mod object;
mod returned;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::event::{Answer, DeviceKey, UNKNOWN_INDEX};
pub use list::*;
pub use object::*;
pub use returned::*;

/// Makes `$type` a JSON string that [`Display`](std::fmt::Display) writes and [`FromStr`](std::str::FromStr) reads.
macro_rules! string {
    ($type:ty, $name:literal, $description:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description })
            }
        }
    };
}
pub(crate) use string;

/// An index, null where it is not known.
pub struct KnownIndex;

impl KnownIndex {
    /// As serde wants it.
    pub fn serialize<S: Serializer>(index: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        Some(*index)
            .filter(|index| *index != UNKNOWN_INDEX)
            .serialize(serializer)
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(UNKNOWN_INDEX))
    }
}

impl JsonSchema for KnownIndex {
    fn schema_name() -> Cow<'static, str> {
        "KnownIndex".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<u32>::json_schema(generator)
    }
}

/// Whether there is a device, without its address.
pub struct IsDevice;

impl IsDevice {
    /// As serde wants it.
    pub fn serialize<S: Serializer>(
        device: &Option<DeviceKey>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(device.is_some())
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DeviceKey>, D::Error> {
        Ok(bool::deserialize(deserializer)?.then(DeviceKey::default))
    }
}

impl JsonSchema for IsDevice {
    fn schema_name() -> Cow<'static, str> {
        "IsDevice".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        bool::json_schema(generator)
    }
}

/// An answer, null where there is none.
pub struct MaybeAnswer;

impl MaybeAnswer {
    /// As serde wants it.
    pub fn serialize<S: Serializer>(answer: &Answer, serializer: S) -> Result<S::Ok, S::Error> {
        Some(answer)
            .filter(|answer| **answer != Answer::None)
            .serialize(serializer)
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Answer, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(Answer::None))
    }
}

impl JsonSchema for MaybeAnswer {
    fn schema_name() -> Cow<'static, str> {
        "MaybeAnswer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<Answer>::json_schema(generator)
    }
}
