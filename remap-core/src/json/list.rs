//! Maps and lists.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::KnownIndex;
use super::object::FromTo;
use crate::event::DeviceState;

/// A map as a list of its values, each with its key as a field of it.
macro_rules! list {
    ($name:ident, $key:ty, $($attribute:meta),+) => {
        /// A map as a list of its values.
        pub struct $name<V>(PhantomData<V>);

        const _: () = {
            #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
            struct Entry<V> {
                $(#[$attribute])+
                key: $key,
                #[serde(flatten)]
                value: V,
            }

            impl<V> $name<V> {
                /// As serde wants it.
                pub fn serialize<S: Serializer>(
                    map: &BTreeMap<$key, V>,
                    serializer: S,
                ) -> Result<S::Ok, S::Error>
                where
                    V: Serialize,
                {
                    serializer.collect_seq(map.iter().map(|(key, value)| Entry {
                        key: key.clone(),
                        value,
                    }))
                }

                /// As serde wants it.
                pub fn deserialize<'de, D: Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<BTreeMap<$key, V>, D::Error>
                where
                    V: Deserialize<'de>,
                {
                    let entries: Vec<Entry<V>> = Deserialize::deserialize(deserializer)?;
                    Ok(entries
                        .into_iter()
                        .map(|entry| (entry.key, entry.value))
                        .collect())
                }
            }

            impl<V: JsonSchema> JsonSchema for $name<V> {
                fn schema_name() -> Cow<'static, str> {
                    format!("{}List", V::schema_name()).into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                    Vec::<Entry<V>>::json_schema(generator)
                }
            }
        };
    };
}

list!(ByRegion, u32, serde(rename = "region"));
list!(ByIrq, u32, serde(rename = "irq_index", with = "KnownIndex"));
list!(
    ByChange,
    (Option<DeviceState>, Option<DeviceState>),
    serde(flatten, with = "FromTo")
);
list!(BySubIndex, u32, serde(rename = "sub_index"));
list!(ByState, DeviceState, serde(rename = "state"));
list!(ByPid, u32, serde(rename = "pid"));
list!(ByDevice, String, serde(rename = "device"));

/// Faults that populated as much each.
#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
struct PageCount {
    /// How much each populated, bytes.
    size: u64,
    /// How many.
    faults: u64,
}

/// Faults by how much each populated, bytes.
pub struct Pages;

impl Pages {
    /// As serde wants it.
    pub fn serialize<S: Serializer>(
        pages: &BTreeMap<u64, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pages.iter().map(|(size, faults)| PageCount {
            size: *size,
            faults: *faults,
        }))
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u64, u64>, D::Error> {
        let pages: Vec<PageCount> = Deserialize::deserialize(deserializer)?;
        Ok(pages
            .into_iter()
            .map(|count| (count.size, count.faults))
            .collect())
    }
}

impl JsonSchema for Pages {
    fn schema_name() -> Cow<'static, str> {
        "Pages".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<PageCount>::json_schema(generator)
    }
}

/// A list, null where it is empty because nothing is known.
pub struct MaybeList;

impl MaybeList {
    /// As serde wants it.
    pub fn serialize<S: Serializer>(list: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
        Some(list)
            .filter(|list| !list.is_empty())
            .serialize(serializer)
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

impl JsonSchema for MaybeList {
    fn schema_name() -> Cow<'static, str> {
        "MaybeList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<Vec<String>>::json_schema(generator)
    }
}
