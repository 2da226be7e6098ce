//! Values that are written as an object, with a name for each part.

use std::collections::BTreeMap;

use crate::event::DeviceState;

/// An object in place of a value that has no name of its own.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident: $value:ty {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    } $to:expr, $from:expr) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub struct $name {
            $($(#[$field_doc])* $field: $type,)*
        }

        impl $name {
            /// As serde wants it.
            pub fn serialize<S: serde::Serializer>(
                value: &$value,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let to: fn(&$value) -> Self = $to;
                serde::Serialize::serialize(&to(value), serializer)
            }

            /// As serde wants it.
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$value, D::Error> {
                let from: fn(Self) -> $value = $from;
                serde::Deserialize::deserialize(deserializer).map(from)
            }
        }
    };
}
pub(crate) use object;

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
