//! Unsafe code has an address. The compiler denies it (`unsafe_code = "deny"`, of the workspace)
//! where no `#[expect(unsafe_code, reason = …)]` stands; this rule lists where one may stand, and
//! that every crate takes the workspace's lints.

use anyhow::Result;

use super::tree::{File, Tree};

/// The modules, and what they need it for.
const MODULES: [(&str, &str); 8] = [
    ("remap-ebpf/src/", "the helpers of eBPF take pointers"),
    (
        "remap-user/src/vfio/",
        "ioctls, mappings and eventfds of devices",
    ),
    (
        "remap-user/src/live/",
        "bpf(2), the ring, the mapping of the counters",
    ),
    ("remap-user/src/cmd/signals.rs", "the handlers of signals"),
    (
        "remap-user/src/tracepoint/user_events.rs",
        "an ioctl that registers a tracepoint",
    ),
    ("remap-user/build.rs", "set_var in a script of one thread"),
    ("lab/tests/src/rig/vmm/sys.rs", "a VMM's own ioctls"),
    ("lab/bench/src/aio.rs", "asynchronous I/O"),
];
const MARKS: [&str; 3] = [
    "expect(unsafe_code",
    "allow(unsafe_code",
    "expect(\n    unsafe_code",
];

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in tree.ending(".rs").filter(|file| opts_in(file)) {
        if file.path.starts_with("xtask/src/lint/") {
            continue;
        }
        let path = &file.path;
        if file.text.contains("allow(unsafe_code") {
            found.push(format!(
                "{path}: use expect(unsafe_code, reason = …), not allow"
            ));
        }
        if !MODULES.iter().any(|(module, _)| path.starts_with(module)) {
            found.push(format!(
                "{path}: unsafe code in a module that is not listed: move it to one of {}",
                MODULES.map(|(module, _)| module).join(", ")
            ));
        }
    }
    for manifest in tree.ending("/Cargo.toml") {
        if !manifest.text.contains("[lints]\nworkspace = true\n") {
            let path = &manifest.path;
            found.push(format!("{path}: add [lints] with workspace = true"));
        }
    }
    Ok(found)
}

fn opts_in(file: &File) -> bool {
    MARKS.iter().any(|mark| file.text.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_listed_and_manifests_take_the_lints() {
        let expects = "#![expect(unsafe_code, reason = \"x\")]\n";
        let tree = Tree::of(&[
            ("remap-user/src/vfio/ioctl.rs", expects),
            ("remap-core/src/order.rs", expects),
            ("a/Cargo.toml", "[lints]\nworkspace = true\n"),
            ("b/Cargo.toml", "[package]\n"),
        ]);
        let found = check(&tree).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("remap-core/src/order.rs"));
        assert!(found[1].starts_with("b/Cargo.toml"));
    }
}
