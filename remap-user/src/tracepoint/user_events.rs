//! Tracepoints of the kernel that user space registers: `user_events:remap_<name>`, from Linux 6.4 on with
//! CONFIG_USER_EVENTS. See the kernel's Documentation/trace/user_events.rst.
#![expect(unsafe_code, reason = "an ioctl that registers a tracepoint")]

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    table::{Kind, TRACEPOINTS, Tracepoint},
    value::{Fire, Value},
};

/// Where the kernel takes them, if it has them; the second one where debugfs alone is mounted.
const FILES: [&str; 2] = [
    "/sys/kernel/tracing/user_events_data",
    "/sys/kernel/debug/tracing/user_events_data",
];

/// `DIAG_IOCSREG`: `_IOWR('*', 0, struct user_reg *)` (include/uapi/linux/user_events.h).
const DIAG_IOCSREG: libc::c_ulong = 0xc008_2a00;

/// `struct user_reg`, which is packed.
#[derive(Default)]
#[repr(C, packed)]
struct UserReg {
    size: u32,
    /// The bit of `enable_addr` that the kernel sets while a program records the tracepoint.
    enable_bit: u8,
    /// Bytes at `enable_addr`.
    enable_size: u8,
    flags: u16,
    enable_addr: u64,
    /// Its name and fields, with a zero at the end.
    name_args: u64,
    /// The kernel's number of it.
    write_index: u32,
}

/// The words that the kernel writes: it may do so as long as the process lives.
static ENABLED: [AtomicU32; TRACEPOINTS.len()] = [const { AtomicU32::new(0) }; TRACEPOINTS.len()];

/// Whether this kernel has them.
pub fn are_available() -> bool {
    FILES.iter().any(|file| Path::new(file).exists())
}

/// Every tracepoint, registered.
pub struct UserEvents {
    file: File,
    /// The kernel's number of each.
    numbers: Vec<u32>,
}

impl UserEvents {
    /// Registers all of them; `None` if the kernel has no such tracepoints.
    ///
    /// # Errors
    /// If the file cannot be opened, or the kernel refuses one: another program may have registered one of
    /// the same name with other fields.
    pub fn register() -> io::Result<Option<Self>> {
        let Some(path) = FILES.iter().find(|file| Path::new(file).exists()) else {
            return Ok(None);
        };
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let numbers = TRACEPOINTS.iter().zip(&ENABLED);
        let numbers = numbers.map(|(tracepoint, enabled)| register(&file, tracepoint, enabled));
        let numbers = numbers.collect::<io::Result<_>>()?;
        Ok(Some(Self { file, numbers }))
    }
}

impl Fire for UserEvents {
    fn fire<'a>(&mut self, name: &str, values: impl FnOnce() -> Vec<Value<'a>>) {
        let Some(at) = TRACEPOINTS.iter().position(|one| one.name == name) else {
            return;
        };
        if ENABLED[at].load(Ordering::Relaxed) == 0 {
            return;
        }
        // Refused where the last program has just ended.
        let _ = self.file.write(&payload(self.numbers[at], &values()));
    }
}

/// Registers one; returns the kernel's number of it.
fn register(file: &File, tracepoint: &Tracepoint, enabled: &'static AtomicU32) -> io::Result<u32> {
    let described = CString::new(description(tracepoint))?;
    let mut request = UserReg {
        size: u32::try_from(size_of::<UserReg>()).map_err(io::Error::other)?,
        enable_size: 4,
        enable_addr: enabled.as_ptr().addr() as u64,
        name_args: described.as_ptr().addr() as u64,
        ..UserReg::default()
    };
    // SAFETY: the kernel reads and writes the struct, reads the description, and writes to the static as
    // long as the process lives.
    match unsafe { libc::ioctl(file.as_raw_fd(), DIAG_IOCSREG, &raw mut request) } {
        0 => Ok(request.write_index),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Its name and fields, as the kernel reads them.
fn description(tracepoint: &Tracepoint) -> String {
    let field = |field: &super::table::Field| {
        let kind = match field.kind {
            Kind::Text => "__rel_loc char[]",
            Kind::Number => "u64",
        };
        format!("{kind} {}", field.name)
    };
    let fields: Vec<String> = tracepoint.fields.iter().map(field).collect();
    format!("remap_{} {}", tracepoint.name, fields.join("; "))
}

/// What is written: the number, the fields one behind the other, then the texts. A field of a text has its
/// length in the upper half, and in the lower half its distance from the end of the field.
fn payload(number: u32, values: &[Value<'_>]) -> Vec<u8> {
    /// A text is cut there, so that all of them have room.
    const LONGEST: usize = 4096;
    let size = |value: &Value<'_>| match value {
        Value::Text(_) => 4,
        Value::Number(_) => 8,
    };
    let mut fields = number.to_ne_bytes().to_vec();
    let end = fields.len() + values.iter().map(size).sum::<usize>();
    let mut texts = Vec::new();
    for value in values {
        match value {
            Value::Number(number) => fields.extend(number.to_ne_bytes()),
            Value::Text(text) => {
                let distance = end + texts.len() - (fields.len() + 4);
                let text = &text.as_bytes()[..text.floor_char_boundary(LONGEST)];
                texts.extend(text);
                texts.push(0);
                let place = (text.len() + 1) << 16 | distance;
                fields.extend(u32::try_from(place).unwrap_or(0).to_ne_bytes());
            }
        }
    }
    fields.extend(texts);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> &'static Tracepoint {
        TRACEPOINTS.iter().find(|one| one.name == name).unwrap()
    }

    #[test]
    fn the_kernel_reads_a_description() {
        assert_eq!(
            description(named("opened")),
            "remap_opened __rel_loc char[] device; u64 time_ns; u64 pid"
        );
        for tracepoint in TRACEPOINTS {
            // MAX_EVENT_DESC of kernel/trace/trace_events_user.c, with the zero at the end.
            assert!(description(tracepoint).len() < 512, "{}", tracepoint.name);
        }
    }

    #[test]
    fn the_request_is_packed() {
        assert_eq!(size_of::<UserReg>(), 28);
        assert_eq!(std::mem::offset_of!(UserReg, enable_addr), 8);
        assert_eq!(std::mem::offset_of!(UserReg, write_index), 24);
    }

    /// Reads a payload as the kernel does, field by field.
    fn read(bytes: &[u8], kinds: &[Kind]) -> Vec<Value<'static>> {
        let mut at = 4;
        let mut values = Vec::new();
        for kind in kinds {
            match kind {
                Kind::Number => {
                    let number = bytes[at..at + 8].try_into().unwrap();
                    values.push(Value::Number(u64::from_ne_bytes(number)));
                    at += 8;
                }
                Kind::Text => {
                    let place = u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
                    at += 4;
                    let begin = at + (place & 0xffff) as usize;
                    let text = &bytes[begin..begin + (place >> 16) as usize];
                    let (zero, text) = text.split_last().unwrap();
                    assert_eq!(*zero, 0);
                    let text = String::from_utf8(text.to_vec()).unwrap();
                    values.push(Value::Text(text.into()));
                }
            }
        }
        values
    }

    #[test]
    fn a_payload_has_its_texts_behind_the_fields() {
        let values = [
            Value::from("0000:01:00.0"),
            Value::from(7_u64),
            Value::from(""),
            Value::from(None::<u64>),
        ];
        let bytes = payload(3, &values);
        assert_eq!(bytes[..4], 3_u32.to_ne_bytes());
        let kinds = [Kind::Text, Kind::Number, Kind::Text, Kind::Number];
        assert_eq!(read(&bytes, &kinds), values);
        let long = "ä".repeat(40_000);
        let bytes = payload(3, &[Value::from(long.as_str()), Value::from("end")]);
        let texts = read(&bytes, &[Kind::Text, Kind::Text]);
        assert_eq!(texts[0], Value::from("ä".repeat(2048).as_str()));
        assert_eq!(texts[1], Value::from("end"));
    }
}
