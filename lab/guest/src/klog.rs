//! The kernel log, as `dmesg` would show it.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// The whole log; what cannot be read is left out.
pub fn read() -> String {
    let mut text = String::new();
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let Ok(mut log) = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open("/dev/kmsg")
    else {
        return text;
    };
    let mut record = [0; 8192];
    loop {
        match log.read(&mut record) {
            Ok(length) if length > 0 => {
                push(&mut text, &String::from_utf8_lossy(&record[..length]))
            }
            // Records were overwritten while reading: the next read continues after them.
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            _ => return text,
        }
    }
}

/// What every out-of-tree module causes; it explains no refusal.
const USUAL: [&str; 2] = [
    "loading out-of-tree module taints kernel",
    "module verification failed",
];

/// The kernel log since it was `from` bytes long, in one line.
pub fn since(from: usize) -> String {
    let log = read();
    let new = log.get(from..).unwrap_or_default();
    let texts = new
        .lines()
        .map(|line| line.split_once("] ").map_or(line, |(_, text)| text));
    let texts: Vec<_> = texts
        .filter(|line| !USUAL.iter().any(|usual| line.contains(usual)))
        .collect();
    match texts.as_slice() {
        [] => "the kernel gave no reason".into(),
        texts => format!("kernel log: {}", texts.join("; ")),
    }
}

/// A record is `priority,sequence,microseconds,flags;text`, then lines that
/// begin with a space (its dictionary).
fn push(text: &mut String, record: &str) {
    let Some((head, body)) = record.split_once(';') else {
        return;
    };
    let micros: u64 = head
        .split(',')
        .nth(2)
        .and_then(|t| t.parse().ok())
        .unwrap_or_default();
    let line = body.lines().next().unwrap_or_default();
    text.push_str(&format!(
        "[{:5}.{:06}] {line}\n",
        micros / 1_000_000,
        micros % 1_000_000
    ));
}
