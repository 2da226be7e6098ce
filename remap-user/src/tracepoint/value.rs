//! The values of a tracepoint's fields.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::CString;

use remap_core::event::{DeviceState, Errno};

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, without a zero in it.
    Text(Cow<'a, str>),
    /// A number; [`UNKNOWN`] where it was not observed.
    Number(u64),
}

/// What stands for a number that is not known: all bits are set, as in -1.
pub const UNKNOWN: u64 = u64::MAX;

/// Where tracepoints go beside the probes.
pub trait Fire {
    /// Writes one, if a program records it: `values` are its fields.
    fn fire<'a>(&mut self, name: &str, values: impl FnOnce() -> Vec<Value<'a>>);
}

impl<'a> From<&'a str> for Value<'a> {
    /// A zero would end the text for its reader.
    fn from(text: &'a str) -> Self {
        Self::Text(match text.contains('\0') {
            true => Cow::Owned(text.replace('\0', "\u{fffd}")),
            false => Cow::Borrowed(text),
        })
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl From<DeviceState> for Value<'_> {
    fn from(state: DeviceState) -> Self {
        Self::Text(Cow::Owned(state.to_string()))
    }
}

impl From<Option<DeviceState>> for Value<'_> {
    fn from(state: Option<DeviceState>) -> Self {
        state.map_or(Self::Text(Cow::Borrowed("unknown")), Self::from)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(number: Option<u64>) -> Self {
        Self::Number(number.unwrap_or(UNKNOWN))
    }
}

impl From<Option<u32>> for Value<'_> {
    fn from(number: Option<u32>) -> Self {
        number.map(u64::from).into()
    }
}

impl From<Option<Result<(), Errno>>> for Value<'_> {
    /// 0, or the errno.
    fn from(result: Option<Result<(), Errno>>) -> Self {
        let errno = result.map(|result| result.err().map_or(0, |errno| errno.0));
        errno.and_then(|errno| u64::try_from(errno).ok()).into()
    }
}

/// The texts of a probe's arguments, as long as it fires.
#[derive(Default)]
pub struct Texts(RefCell<Vec<CString>>);

impl Texts {
    /// A value as an argument: a number, or the address of a text, which ends with a zero.
    pub fn argument<'a>(&self, value: impl Into<Value<'a>>) -> u64 {
        match value.into() {
            Value::Number(number) => number,
            Value::Text(text) => {
                // `Value` has no zero in its text.
                let text = CString::new(text.into_owned()).unwrap_or_default();
                let address = text.as_ptr().addr() as u64;
                self.0.borrow_mut().push(text);
                address
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_number() {
        assert_eq!(Value::from(None::<u32>), Value::Number(UNKNOWN));
        assert_eq!(Value::from(Some(0_u32)), Value::Number(0));
        let result = |result| Value::from(result);
        assert_eq!(result(Some(Ok(()))), Value::Number(0));
        assert_eq!(result(Some(Err(Errno(16)))), Value::Number(16));
        assert_eq!(result(None), Value::Number(UNKNOWN));
    }

    #[test]
    fn a_text_has_no_zero() {
        assert_eq!(Value::from("a\0b"), Value::Text("a\u{fffd}b".into()));
        assert_eq!(Value::from("ab"), Value::Text("ab".into()));
    }
}
