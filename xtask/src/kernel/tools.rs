//! Building modules for a kernel of a newer Debian: its tools need a newer C
//! library than this machine may have, and its configuration a newer compiler.

use fs_err as fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Kernel;
use crate::overlay;
use crate::suite::Suite;

/// The compiler that the lab installs.
const CC: &str = "x86_64-linux-gnu-gcc-12";
/// Where the newer Debian's loader and libraries are, below the kernel's folder.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// Makes BTF of a module's DWARF; the headers ask for one as new as they are.
const PAHOLE: &str = "usr/bin/pahole";

/// The arguments of `make` for the kernel in `directory`.
pub fn make_args(directory: &Path) -> Vec<String> {
    vec![
        format!("CC={CC}"),
        format!("PAHOLE={}", directory.join(PAHOLE).display()),
    ]
}

/// Adds kbuild's programs and pahole to `draft`, with what they need to run on
/// any machine once the draft stands in its place.
pub fn add(suite: Suite, kbuild: &str, draft: &Path, kernel: &Kernel) -> Result<()> {
    overlay::fill(suite, &[kbuild, "pahole"], draft)?;
    let mut programs = overlay::programs(&draft.join("usr/lib").join(kbuild))?;
    programs.push(draft.join(PAHOLE));
    for program in programs {
        wrap(&program, &kernel.directory)?;
    }
    let headers = draft.join(kernel.headers().strip_prefix(&kernel.directory)?);
    older_compiler(&headers)
}

/// Puts a script in the place of `program` that starts it by the newer loader.
fn wrap(program: &Path, directory: &Path) -> Result<()> {
    let mut moved = program.as_os_str().to_owned();
    moved.push(".elf");
    let failed = || format!("wrapping {}", program.display());
    fs::rename(program, &moved).with_context(failed)?;
    // Some look for their parts beside the name that they were called by.
    let script = format!(
        "#!/bin/sh\nexec '{}' --argv0 \"$0\" --library-path '{}' \"$0.elf\" \"$@\"\n",
        directory.join(LOADER).display(),
        directory.join(LIBRARIES).display()
    );
    fs::write(program, script).with_context(failed)?;
    fs::set_permissions(program, Permissions::from_mode(0o755)).with_context(failed)
}

/// Takes from the configuration what only the kernel's own compiler has:
/// `-fmin-function-alignment` came with GCC 14, and the makefile falls back to
/// `-falign-functions`.
fn older_compiler(headers: &Path) -> Result<()> {
    const NAME: &str = "CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT";
    for file in ["include/config/auto.conf", "include/generated/autoconf.h"] {
        let path = headers.join(file);
        let text = fs::read_to_string(&path)?;
        let kept = without(&text, NAME);
        if kept == text {
            bail!("{}: does not set {NAME}", path.display());
        }
        fs::write(&path, kept)?;
    }
    Ok(())
}

/// The text without the lines that set `name`.
fn without(text: &str, name: &str) -> String {
    let sets = |line: &str| line.split([' ', '=']).any(|word| word == name);
    text.split_inclusive('\n')
        .filter(|line| !sets(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_option_is_taken_out() {
        let conf = "CONFIG_A=y\nCONFIG_AB=y\n";
        assert_eq!(without(conf, "CONFIG_A"), "CONFIG_AB=y\n");
        let header = "#define CONFIG_A 1\n#define CONFIG_B 1\n";
        assert_eq!(without(header, "CONFIG_A"), "#define CONFIG_B 1\n");
    }

    #[test]
    fn a_wrapped_program_keeps_its_name_and_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("lib64")).unwrap();
        // Stands for the loader: prints its arguments.
        let loader = root.join(LOADER);
        fs::write(&loader, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
        fs::set_permissions(&loader, Permissions::from_mode(0o755)).unwrap();
        let program = root.join("tool");
        fs::write(&program, "elf").unwrap();
        wrap(&program, root).unwrap();
        let printed = crate::process::text(&mut crate::process::command(
            program.to_str().unwrap(),
            ["a b"],
        ));
        let at = program.display();
        let libraries = root.join(LIBRARIES);
        assert_eq!(
            printed.unwrap(),
            format!(
                "--argv0\n{at}\n--library-path\n{}\n{at}.elf\na b\n",
                libraries.display()
            )
        );
        assert_eq!(fs::read(root.join("tool.elf")).unwrap(), b"elf");
    }
}
