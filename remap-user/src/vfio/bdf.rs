//! PCI addresses.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A text that is not a PCI address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a PCI address; write domain:bus:device.function, as in 0000:01:00.0")]
pub struct BadBdf(pub String);

/// The address of a PCI device: domain, bus, device, function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bdf {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl FromStr for Bdf {
    type Err = BadBdf;

    /// `0000:01:00.0`, or `01:00.0` in domain 0.
    fn from_str(text: &str) -> Result<Self, BadBdf> {
        let bad = || BadBdf(text.to_owned());
        let hex = |part: &str, length: std::ops::RangeInclusive<usize>| {
            let digits = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !digits || !length.contains(&part.len()) {
                return Err(bad());
            }
            u32::from_str_radix(part, 16).map_err(|_| bad())
        };
        let (rest, function) = text.rsplit_once('.').ok_or_else(bad)?;
        let (rest, device) = rest.rsplit_once(':').ok_or_else(bad)?;
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
        let byte = |value: u32| u8::try_from(value).map_err(|_| bad());
        let bdf = Self {
            domain: hex(domain, 4..=8)?,
            bus: byte(hex(bus, 2..=2)?)?,
            device: byte(hex(device, 2..=2)?)?,
            function: byte(hex(function, 1..=1)?)?,
        };
        if bdf.device > 31 || bdf.function > 7 {
            Err(bad())
        } else {
            Ok(bdf)
        }
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        f.pad(&format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
    }
}

impl serde::Serialize for Bdf {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Bdf {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bdf".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A PCI device: domain:bus:device.function.",
        })
    }
}
