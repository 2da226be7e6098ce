//! A single event: `kind field=value …`, the same fields as in JSON.

use std::fmt;

use serde_json::Value;

use crate::event::Body;

/// The body of an event; its addresses are numbers already.
pub(super) struct BodyText<'a>(pub(super) &'a Body);

impl fmt::Display for BodyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Value::Object(fields)) = serde_json::to_value(self.0) else {
            return Err(fmt::Error);
        };
        if let Some(kind) = fields.get("kind").and_then(Value::as_str) {
            f.write_str(kind)?;
        }
        for (name, value) in fields.iter().filter(|(name, _)| *name != "kind") {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}
