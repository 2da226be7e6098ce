//! What calls returned.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::event::Errno;

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
