//! What calls returned.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::errno::{Errno, NoErrno};
use crate::json;

/// Success as `ok`, or the errno's name.
pub struct ResultName(pub Result<(), Errno>);

impl fmt::Display for ResultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(()) => f.pad("ok"),
            Err(errno) => errno.fmt(f),
        }
    }
}

impl FromStr for ResultName {
    type Err = NoErrno;

    fn from_str(text: &str) -> Result<Self, NoErrno> {
        Ok(Self(match text {
            "ok" => Ok(()),
            name => Err(name.parse()?),
        }))
    }
}

json::string!(ResultName, "Result", "`ok`, or the errno's name.");
json::written_as! {
    @ ResultName: Result<(), Errno> as ResultName { |result| ResultName(*result), |name| name.0 }
}

json::written_as! {
    /// The same of a call whose return was perhaps not observed.
    pub MaybeResultName: Option<Result<(), Errno>> as Option<ResultName> {
        |result| result.map(ResultName),
        |name| name.map(|name| name.0)
    }
}

/// What a call returned.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Returned {
    /// `ok`, or the errno's name.
    result: ResultName,
    /// The return value of a call that succeeded.
    returned: Option<i64>,
}

impl Returned {
    /// As serde wants it.
    pub fn serialize<S: serde::Serializer>(
        result: &Result<i64, Errno>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let line = Self {
            result: ResultName(result.map(drop)),
            returned: result.ok(),
        };
        Serialize::serialize(&line, serializer)
    }

    /// As serde wants it.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<i64, Errno>, D::Error> {
        let line: Self = Deserialize::deserialize(deserializer)?;
        match (line.result.0, line.returned) {
            (Ok(()), Some(value)) => Ok(Ok(value)),
            (Ok(()), None) => Err(D::Error::missing_field("returned")),
            (Err(errno), _) => Ok(Err(errno)),
        }
    }
}
