//! The format of each tracepoint, as tracefs has it (`events/*/*/format`): made from the table of records.

use remap_common::record::{Field, KINDS, Kind, Unit};

use super::{COMMON, FIRST_DERIVED, STEP, event_of};

/// A tracepoint.
pub(super) struct Tracepoint {
    /// Its number.
    pub id: u16,
    /// Its name, without the system's.
    pub name: String,
    /// The text of its format.
    pub format: String,
}

/// The tracepoints of a recording, by number.
///
/// A record whose kind has the name of a derived event is `remap:<kind>_record`.
pub(super) fn tracepoints(layouts: &[Layout]) -> Vec<Tracepoint> {
    let kinds = KINDS.iter().map(|kind| {
        let id = event_of(kind.number);
        let is_derived = layouts.iter().any(|layout| layout.name == kind.name);
        let name = match is_derived {
            true => format!("{}_record", kind.name),
            false => kind.name.to_owned(),
        };
        let format = text(&name, id, &fields(kind), &print(kind));
        Tracepoint { id, name, format }
    });
    let records = [step()].into_iter().chain(kinds);
    records.chain(derived(layouts)).collect()
}

/// Where the fields of a step are: which part of it this is, of how many, and the part.
pub(super) const STEP_FIELDS: usize = COMMON + 12;

/// A step: a JSON object, cut into parts that a sample has room for.
fn step() -> Tracepoint {
    let fields = [
        declaration("u32 part", COMMON, 4, false),
        declaration("u32 parts", COMMON + 4, 4, false),
        declaration("__data_loc char[] json", COMMON + 8, 4, true),
    ];
    Tracepoint {
        id: STEP,
        name: "step".into(),
        format: text("step", STEP, &fields.concat(), "\"%s\", __get_str(json)"),
    }
}

/// A tracepoint of derived events: its name, and its fields with whether each is text.
pub struct Layout {
    /// The name, without the system's.
    pub name: &'static str,
    /// The fields in order.
    pub fields: Vec<(&'static str, bool)>,
}

/// The size of a field of a derived event in its fixed part, bytes.
pub(super) fn size_of(is_text: bool) -> usize {
    if is_text { 4 } else { 8 }
}

/// The tracepoints of derived events, by number.
fn derived(layouts: &[Layout]) -> impl Iterator<Item = Tracepoint> {
    (FIRST_DERIVED..).zip(layouts).map(|(id, layout)| {
        let (mut fields, mut format, mut values) = (String::new(), Vec::new(), String::new());
        let mut at = COMMON;
        for (name, is_text) in &layout.fields {
            let (field, conversion, value) = match is_text {
                true => (
                    format!("__data_loc char[] {name}"),
                    "%s",
                    format!("__get_str({name})"),
                ),
                false => (format!("s64 {name}"), "%lld", format!("REC->{name}")),
            };
            fields.push_str(&declaration(&field, at, size_of(*is_text), true));
            format.push(format!("{name}={conversion}"));
            values.push_str(&format!(", {value}"));
            at += size_of(*is_text);
        }
        let print = format!("\"{}\"{values}", format.join(" "));
        Tracepoint {
            id,
            name: layout.name.to_owned(),
            format: text(layout.name, id, &fields, &print),
        }
    })
}

fn text(name: &str, id: u16, fields: &str, print: &str) -> String {
    let common = [
        declaration("unsigned short common_type", 0, 2, false),
        declaration("unsigned char common_flags", 2, 1, false),
        declaration("unsigned char common_preempt_count", 3, 1, false),
        declaration("int common_pid", 4, 4, true),
    ];
    let common = common.concat();
    format!("name: {name}\nID: {id}\nformat:\n{common}\n{fields}\nprint fmt: {print}\n")
}

fn declaration(field: &str, offset: usize, size: usize, signed: bool) -> String {
    let signed = u8::from(signed);
    format!("\tfield:{field};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n")
}

fn fields(kind: &Kind) -> String {
    let one = |field: &Field| {
        let (name, size) = (field.name, field.size);
        let sign = if field.signed { 's' } else { 'u' };
        let field_type = match (field.length, field.unit) {
            (Some(length), Unit::Text) => format!("char {name}[{length}]"),
            (Some(length), _) => format!("u8 {name}[{length}]"),
            (None, _) => format!("{sign}{} {name}", size * 8),
        };
        declaration(&field_type, COMMON + field.offset, size, field.signed)
    };
    kind.fields.iter().map(one).collect()
}

/// perf prints what the header has by itself.
const HEADER: [&str; 6] = ["kind", "cpu", "time_ns", "pid", "tid", "comm"];

/// The print format: every field behind the header that is no array of bytes.
fn print(kind: &Kind) -> String {
    let shown = |field: &&Field| {
        let bytes = field.length.is_some() && field.unit != Unit::Text;
        !bytes && !HEADER.contains(&field.name) && !field.name.starts_with("reserved")
    };
    let (mut format, mut values) = (Vec::new(), String::new());
    for field in kind.fields.iter().filter(shown) {
        let name = field.name;
        let (conversion, value) = conversion(field);
        format.push(format!("{name}={conversion}"));
        values.push_str(&format!(", {value}"));
    }
    format!("\"{}\"{values}", format.join(" "))
}

fn conversion(field: &Field) -> (&'static str, String) {
    let value = format!("REC->{}", field.name);
    if !field.values.is_empty() {
        let names = field.values.iter();
        let names: Vec<String> = names
            .map(|(number, name)| format!("{{ {number}, \"{name}\" }}"))
            .collect();
        return (
            "%s",
            format!("__print_symbolic({value}, {})", names.join(", ")),
        );
    }
    let conversion = match (field.unit, field.size, field.signed) {
        (Unit::Text, ..) => "%s",
        (Unit::KernelAddress | Unit::UserAddress | Unit::DeviceAddress, ..) => "0x%llx",
        (_, 8, false) => "%llu",
        (_, 8, true) => "%lld",
        (_, _, false) => "%u",
        (_, _, true) => "%d",
    };
    (conversion, value)
}
