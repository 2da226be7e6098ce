//! How values are written in JSON where their shape in memory differs.
//!
//! Each type here stands in `#[serde(with = "…")]`, and describes itself to the schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::event::{Answer, DeviceKey, DeviceState, Errno, UNKNOWN_INDEX};

/// `ok`, or the errno's name.
pub fn result_name<T>(result: Result<T, Errno>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(errno) => errno.to_string(),
    }
}

fn parse_result<E: serde::de::Error>(name: &str) -> Result<Result<(), Errno>, E> {
    match name {
        "ok" => Ok(Ok(())),
        name => name.parse().map(Err).map_err(E::custom),
    }
}

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

/// A [`Result`] as `ok` or the errno's name.
pub struct ResultName;

impl ResultName {
    /// As serde wants it.
    pub fn serialize<T, S: Serializer>(
        result: &Result<T, Errno>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match result {
            Ok(_) => serializer.serialize_str("ok"),
            Err(errno) => serializer.collect_str(errno),
        }
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<(), Errno>, D::Error> {
        parse_result(&Cow::<'de, str>::deserialize(deserializer)?)
    }
}

impl JsonSchema for ResultName {
    fn schema_name() -> Cow<'static, str> {
        "Result".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "description": "`ok`, or the errno's name." })
    }
}

/// The same of a call whose return was perhaps not observed.
pub struct MaybeResultName;

impl MaybeResultName {
    /// As serde wants it.
    pub fn serialize<T, S: Serializer>(
        result: &Option<Result<T, Errno>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match result {
            Some(result) => ResultName::serialize(result, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Result<(), Errno>>, D::Error> {
        let name = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        name.map(|name| parse_result(&name)).transpose()
    }
}

impl JsonSchema for MaybeResultName {
    fn schema_name() -> Cow<'static, str> {
        "MaybeResult".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": ["string", "null"],
            "description": "`ok`, or the errno's name; null where the return was not observed.",
        })
    }
}

/// What a call returned.
#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
pub struct Returned {
    /// `ok`, or the errno's name.
    result: String,
    /// The return value of a call that succeeded.
    returned: Option<i64>,
}

impl Returned {
    /// As serde wants it.
    pub fn serialize<S: Serializer>(
        result: &Result<i64, Errno>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let line = Self {
            result: result_name(*result),
            returned: result.ok(),
        };
        Serialize::serialize(&line, serializer)
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<i64, Errno>, D::Error> {
        let line: Self = Deserialize::deserialize(deserializer)?;
        match (parse_result(&line.result)?, line.returned) {
            (Ok(()), Some(value)) => Ok(Ok(value)),
            (Ok(()), None) => Err(D::Error::missing_field("returned")),
            (Err(errno), _) => Ok(Err(errno)),
        }
    }
}

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

/// An object in place of a value that has no name of its own.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident: $value:ty {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    } $to:expr, $from:expr) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
        pub struct $name {
            $($(#[$field_doc])* $field: $type,)*
        }

        impl $name {
            /// As serde wants it.
            pub fn serialize<S: Serializer>(value: &$value, serializer: S) -> Result<S::Ok, S::Error> {
                let to: fn(&$value) -> Self = $to;
                Serialize::serialize(&to(value), serializer)
            }

            /// As serde wants it.
            pub fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$value, D::Error> {
                let from: fn(Self) -> $value = $from;
                Deserialize::deserialize(deserializer).map(from)
            }
        }
    };
}
object! {
    /// Flags of the uAPI.
    Flags: u64 {
        /// The flags.
        flags: u64,
    } |flags| Self { flags: *flags }, |line| line.flags
}

object! {
    /// An answer of `MIG_DATA_SIZE`.
    StopCopyLength: u64 {
        /// Bytes.
        stop_copy_length: u64,
    } |length| Self { stop_copy_length: *length }, |line| line.stop_copy_length
}

object! {
    /// Why an answer cannot be understood.
    Reason: String {
        /// One sentence.
        reason: String,
    } |reason| Self { reason: reason.clone() }, |line| line.reason
}

object! {
    /// A code of the kernel that has no name here.
    Code: u32 {
        /// The code.
        code: u32,
    } |code| Self { code: *code }, |line| line.code
}

object! {
    /// A feature of `VFIO_DEVICE_FEATURE` by its number.
    FeatureNumber: u32 {
        /// The feature.
        feature: u32,
    } |feature| Self { feature: *feature }, |line| line.feature
}

object! {
    /// A feature of `VFIO_DEVICE_FEATURE` by its number and its name.
    NamedFeature: u32 {
        /// The feature.
        feature: u32,
        /// Its name in the uAPI, without its prefix; null for one that this version does not know.
        feature_name: Option<String>,
    } |feature| Self {
        feature: *feature,
        feature_name: crate::event::feature_name(*feature).map(str::to_owned),
    }, |line| line.feature
}

object! {
    /// The feature of an ioctl that may be another than `VFIO_DEVICE_FEATURE`.
    MaybeFeature: Option<u32> {
        /// The feature.
        feature: Option<u32>,
        /// Its name in the uAPI, without its prefix.
        feature_name: Option<String>,
    } |feature| Self {
        feature: *feature,
        feature_name: feature.and_then(crate::event::feature_name).map(str::to_owned),
    }, |line| line.feature
}

object! {
    /// A range of regions.
    Regions: (u32, u32) {
        /// The first.
        first_region: u32,
        /// The last; null: all behind the first.
        last_region: Option<u32>,
    } |(first, last)| Self {
        first_region: *first,
        last_region: (*last != u32::MAX).then_some(*last),
    }, |line| (line.first_region, line.last_region.unwrap_or(u32::MAX))
}

object! {
    /// What `VFIO_MIG_GET_PRECOPY_INFO` answered.
    PrecopyBytes: Option<(u64, u64)> {
        /// `initial_bytes`; null if it could not be read.
        initial_bytes: Option<u64>,
        /// `dirty_bytes`; null if it could not be read.
        dirty_bytes: Option<u64>,
    } |bytes| Self {
        initial_bytes: bytes.map(|(initial, _)| initial),
        dirty_bytes: bytes.map(|(_, dirty)| dirty),
    }, |line| line.initial_bytes.zip(line.dirty_bytes)
}

object! {
    /// From one state to another.
    FromTo: (Option<DeviceState>, Option<DeviceState>) {
        /// The state before; null where it was not known.
        from: Option<DeviceState>,
        /// The state asked for; null where it could not be read.
        to: Option<DeviceState>,
    } |(from, to)| Self { from: *from, to: *to }, |line| (line.from, line.to)
}

object! {
    /// Cycles by outcome, and their sum.
    Outcomes: BTreeMap<crate::model::Outcome, u64> {
        /// All cycles.
        cycles: u64,
        /// By outcome.
        outcomes: BTreeMap<crate::model::Outcome, u64>,
    } |outcomes| Self {
        cycles: outcomes.values().sum(),
        outcomes: outcomes.clone(),
    }, |line| line.outcomes
}

object! {
    /// A migration state.
    State: DeviceState {
        /// The state.
        state: DeviceState,
    } |state| Self { state: *state }, |line| line.state
}

/// No field at all.
#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
pub struct Nothing {}

impl Nothing {
    /// As serde wants it.
    pub fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(&Self {}, serializer)
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        <Self as Deserialize>::deserialize(deserializer).map(|Self {}| ())
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
