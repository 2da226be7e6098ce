//! The binary has every tracepoint as a probe, and docs/perf-events.md lists them.

use std::{env, fs, path::Path};

use remap_user::tracepoint::{Kind, TRACEPOINTS};

#[test]
fn each_is_a_probe_of_the_binary() {
    let binary = fs::read(env!("CARGO_BIN_EXE_remap")).unwrap();
    let notes: Vec<&[u8]> = notes(&binary).map(|at| &binary[at + ADDRESSES..]).collect();
    assert_eq!(notes.len(), TRACEPOINTS.len());
    for tracepoint in TRACEPOINTS {
        let has_name = |note: &&[u8]| text(note, 1) == tracepoint.name;
        let note = notes.iter().copied().find(has_name);
        let note = note.unwrap_or_else(|| panic!("no probe {}", tracepoint.name));
        // Each is of 8 bytes.
        let arguments = text(note, 2);
        let count = arguments.matches("-8@").count();
        assert_eq!(count, tracepoint.fields.len(), "{arguments}");
    }
}

/// perf takes a probe's place in the file from that of `.stapsdt.base` (tools/perf/util/symbol-elf.c,
/// `sdt_adjust_loc`).
#[test]
fn perf_finds_the_probes() {
    let binary = fs::read(env!("CARGO_BIN_EXE_remap")).unwrap();
    let word = |at: usize| u64::from_ne_bytes(binary[at..at + 8].try_into().unwrap());
    // Elf64_Ehdr and Elf64_Phdr (elf.h): of a segment its place in the file, in memory, and its size.
    let begin = usize::try_from(word(0x20)).unwrap();
    let count = usize::from(u16::from_ne_bytes([binary[0x38], binary[0x39]]));
    let shift = |address: u64| {
        let segments = (0..count).map(|number| begin + number * 56);
        let loaded = segments.filter(|at| binary[*at..at + 4] == 1_u32.to_ne_bytes());
        let mut places = loaded.map(|at| (word(at + 8), word(at + 16), word(at + 40)));
        let place = places.find(|(_, memory, size)| (*memory..memory + size).contains(&address));
        let (file, memory, _) = place.unwrap();
        memory - file
    };
    let at = notes(&binary).next().unwrap();
    let [probe, base] = [0, 8].map(|field| word(at + field));
    assert_eq!(shift(probe), shift(base));
}

/// The name of a note about a probe.
const NOTE: &[u8] = b"stapsdt\0";
/// Behind it: of the probe, of the section, of its semaphore.
const ADDRESSES: usize = 3 * 8;

/// Where the notes are, behind their names.
fn notes(binary: &[u8]) -> impl Iterator<Item = usize> {
    let places = binary.windows(NOTE.len()).enumerate();
    let places = places.filter(|(_, bytes)| *bytes == NOTE);
    places
        .map(|(at, _)| at + NOTE.len())
        .filter(|at| binary[at + ADDRESSES..].starts_with(b"remap\0"))
}

/// The provider, the name or the arguments.
fn text(note: &[u8], number: usize) -> &str {
    let text = note.split(|byte| *byte == 0).nth(number).unwrap();
    std::str::from_utf8(text).unwrap()
}

/// Where the list is.
const BEGIN: &str = "<!-- tracepoints -->\n";
const END: &str = "<!-- end of tracepoints -->\n";

fn list() -> String {
    let mut text = "\n".to_owned();
    for tracepoint in TRACEPOINTS {
        let (name, doc) = (tracepoint.name, tracepoint.doc);
        text += &format!(
            "**`{name}`**: {doc}\n\n| argument | field | meaning |\n| --- | --- | --- |\n"
        );
        for (number, field) in tracepoint.fields.iter().enumerate() {
            let kind = match field.kind {
                Kind::Text => "text",
                Kind::Number => "number",
            };
            let (name, doc) = (field.name, field.doc);
            text += &format!("| {number}, {kind} | `{name}` | {doc} |\n");
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_page_lists_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/perf-events.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", list());
    if env::var_os("REMAP_BLESS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(
        page == wanted || env::var_os("REMAP_BLESS").is_some(),
        "docs/perf-events.md does not list the tracepoints; run this test with REMAP_BLESS=1"
    );
}
