//! How values are written in JSON where their shape in memory differs.
//!
//! `string!` makes a type a JSON string; each other macro makes a type for `#[serde(with = "…")]`,
//! with its part of the schema.

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

/// Writes a value as another type, which has the derives.
macro_rules! written_as {
    ($(#[$doc:meta])* $vis:vis $name:ident: $value:ty as $written:ty { $to:expr, $from:expr }) => {
        $(#[$doc])*
        $vis struct $name;

        $crate::json::written_as!(@ $name: $value as $written { $to, $from });

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$written as schemars::JsonSchema>::schema_name()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$written as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
    (@ $name:ident: $value:ty as $written:ty { $to:expr, $from:expr }) => {
        impl $name {
            /// As serde wants it.
            pub fn serialize<S: serde::Serializer>(
                value: &$value,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let to: fn(&$value) -> $written = $to;
                serde::Serialize::serialize(&to(value), serializer)
            }

            /// As serde wants it.
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$value, D::Error> {
                let from: fn($written) -> $value = $from;
                serde::Deserialize::deserialize(deserializer).map(from)
            }
        }
    };
}
pub(crate) use written_as;

/// Writes a value that has no name of its own as an object, with a name for each part.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident: $value:ty {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    } $to:expr, $from:expr) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        struct $name {
            $($(#[$field_doc])* $field: $type,)*
        }

        $crate::json::written_as!(@ $name: $value as $name { $to, $from });
    };
}
pub(crate) use object;

/// Writes a map as a list of entries: the value, with its key as a field beside it.
macro_rules! list {
    ($(#[$doc:meta])* $vis:vis $name:ident of $entry:ident {
        $(#[$key_attribute:meta])* $key:ident: $key_type:ty,
        $(#[$value_attribute:meta])* $value:ident: $value_type:ty,
    }) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        struct $entry<'a> {
            $(#[$key_attribute])* $key: $key_type,
            $(#[$value_attribute])* $value: std::borrow::Cow<'a, $value_type>,
        }

        $crate::json::written_as! {
            /// Such a map.
            $vis $name: std::collections::BTreeMap<$key_type, $value_type> as Vec<$entry<'_>> {
                |map| map.iter().map(|(key, value)| $entry {
                    $key: key.clone(),
                    $value: std::borrow::Cow::Borrowed(value),
                }).collect(),
                |list| list.into_iter().map(|entry| {
                    (entry.$key, entry.$value.into_owned())
                }).collect()
            }
        }
    };
}
pub(crate) use list;
