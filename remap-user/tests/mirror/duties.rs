//! The sentences of `remap check` against the kernel's header.

use remap_core::check::{Duty, Source};

#[test]
fn the_kernels_header_has_each_sentence() {
    const PATH: &str = "/usr/include/linux/vfio.h";
    let header = std::fs::read_to_string(PATH).expect("this test needs the header linux/vfio.h");
    let lines = header
        .lines()
        .map(|line| line.trim_start().trim_start_matches('*'));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let header = words.join(" ");
    let duties = Duty::ALL.iter().map(|duty| (duty, duty.row()));
    for (duty, row) in duties.filter(|(_, row)| row.source == Source::VfioH) {
        assert!(header.contains(row.place), "{}: {}", duty.name(), row.place);
        let mut at = 0;
        for part in row.sentence.split(" … ") {
            let found = header[at..].find(part);
            at += found.unwrap_or_else(|| panic!("{}: “{part}”", duty.name()));
        }
    }
}
