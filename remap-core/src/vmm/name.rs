//! The name of a virtual machine, from its VMM's command line.

use crate::printable;

/// The name that QEMU's command line gives the guest: `-name NAME` or `-name guest=NAME,…`.
/// `cmdline` is the content of `/proc/PID/cmdline`: arguments that end in a NUL each.
///
/// `None` if the command is not QEMU, or names no guest. The last `-name` wins, as in QEMU
/// (`qemu_opts_parse` merges them).
pub fn of_cmdline(cmdline: &[u8]) -> Option<String> {
    let mut arguments = cmdline.split(|byte| *byte == 0);
    let command = arguments.next()?;
    let command = command.rsplit(|byte| *byte == b'/').next()?;
    if !is_qemu(command) {
        return None;
    }
    let mut name = None;
    while let Some(argument) = arguments.next() {
        if matches!(argument, b"-name" | b"--name") {
            name = guest(arguments.next()?).or(name);
        }
    }
    name
}

/// `qemu-system-x86_64`, `qemu-kvm`, `kvm`, and wrappers that keep such a name.
fn is_qemu(command: &[u8]) -> bool {
    let contains = |word: &[u8]| command.windows(word.len()).any(|part| part == word);
    contains(b"qemu") || contains(b"kvm")
}

/// The guest's name in an option string, where `,,` is a comma and a first part without a key is
/// the name (`implied_opt_name` of QEMU's `-name`).
fn guest(option: &[u8]) -> Option<String> {
    let mut name = None;
    for (n, part) in parts(option).into_iter().enumerate() {
        let value = match part.strip_prefix(b"guest=") {
            Some(value) => value,
            None if n == 0 && !part.contains(&b'=') => &part,
            None => continue,
        };
        name = Some(printable::from_bytes(value)).filter(|name| !name.is_empty());
    }
    name
}

/// Splits at single commas.
fn parts(option: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = option.iter().peekable();
    while let Some(byte) = bytes.next() {
        if *byte == b',' && bytes.next_if(|next| **next == b',').is_none() {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(*byte);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(arguments: &[&str]) -> Option<String> {
        let mut cmdline = arguments.join("\0").into_bytes();
        cmdline.push(0);
        of_cmdline(&cmdline)
    }

    #[test]
    fn both_forms_and_both_dashes() {
        let of = |option, value| {
            of(&[
                "/usr/bin/qemu-system-x86_64",
                "-S",
                option,
                value,
                "-m",
                "1",
            ])
        };
        assert_eq!(of("-name", "web").as_deref(), Some("web"));
        assert_eq!(of("--name", "web,debug-threads=on").as_deref(), Some("web"));
        let libvirt = "guest=web 1,debug-threads=on";
        assert_eq!(of("-name", libvirt).as_deref(), Some("web 1"));
        assert_eq!(of("-name", "process=x,guest=web").as_deref(), Some("web"));
    }

    #[test]
    fn a_doubled_comma_belongs_to_the_name() {
        assert_eq!(
            of(&["kvm", "-name", "a,,b,process=c"]).as_deref(),
            Some("a,b")
        );
    }

    #[test]
    fn the_last_name_wins() {
        let two = ["qemu-kvm", "-name", "first", "-name", "guest=second"];
        assert_eq!(of(&two).as_deref(), Some("second"));
        let other = ["qemu-kvm", "-name", "first", "-name", "process=second"];
        assert_eq!(of(&other).as_deref(), Some("first"));
    }

    #[test]
    fn no_name_is_none() {
        for arguments in [
            &["qemu-system-x86_64", "-m", "32"][..],
            &["qemu-system-x86_64", "-name"],
            &["qemu-system-x86_64", "-name", ""],
            &["qemu-system-x86_64", "-name", "guest="],
            &["qemu-system-x86_64", "-name", "debug-threads=on"],
            &["cloud-hypervisor", "--name", "x"],
            &["find", ".", "-name", "x"],
            &[""],
        ] {
            assert_eq!(of(arguments), None, "{arguments:?}");
        }
    }

    #[test]
    fn a_name_is_exact() {
        let name = of(&["kvm", "-name", "a\x1b[31mb"]).unwrap();
        assert_eq!(name, "a\x1b[31mb");
        let name = of_cmdline(b"kvm\0-name\0a\xffb\0").unwrap();
        assert_eq!(name, "a\\xffb");
    }

    #[test]
    fn each_option_value_is_one_of_a_list() {
        assert_eq!(of(&["kvm", "-name", ",x"]), None);
        assert_eq!(of(&["kvm", "-name", "a,b"]).as_deref(), Some("a"));
        assert_eq!(of(&["kvm", "-name", "a,,,b"]).as_deref(), Some("a,"));
        assert_eq!(of(&["kvm", "-name", "a,guest=b"]).as_deref(), Some("b"));
        assert_eq!(of(&["qemu", "-m", "1", "-name", "a"]).as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut cmdline = b"qemu\0-name\0".to_vec();
            cmdline.extend(bytes);
            if let Some(name) = of_cmdline(&cmdline) {
                prop_assert!(!name.is_empty());
            }
        }
    }
}
