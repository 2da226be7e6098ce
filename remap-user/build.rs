//! Builds the eBPF object, which `remap-user` embeds.
//!
//! It needs a compiler with a `core` for eBPF and bpf-linker; `cargo xtask setup` installs both.
//! Without them the build still succeeds: it prints one warning and embeds an empty object, and
//! `remap` then reports that it was built without the parts that trace.
//!
//! * `REMAP_BPF_REQUIRE=1` makes a missing toolchain an error (`cargo xtask build` sets it).
//! * `REMAP_BPF_SKIP=1` embeds an empty object without a warning, for lints and unit tests.
//! * `REMAP_BPF_OBJECT=PATH` embeds a prebuilt object.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya_build::{Package, Toolchain, build_ebpf};

const OBJECT: &str = "remap-ebpf";
const LINKER: &str = "bpf-linker";
/// The environment that decides what this script does. PATH is not in it: it differs between a
/// shell and an editor, which would then build everything in turns.
const INPUTS: [&str; 4] = [
    "REMAP_BPF_OBJECT",
    "REMAP_BPF_REQUIRE",
    "REMAP_BPF_SKIP",
    "XDG_CACHE_HOME",
];

fn main() -> ExitCode {
    for name in INPUTS {
        println!("cargo:rerun-if-env-changed={name}");
    }
    // perf computes where a probe lies in the file from the section `.stapsdt.base`: this holds only if all
    // segments lie in the file as they lie in memory, which lld saves some padding by not doing.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,separate-loadable-segments");
    // `cargo xtask setup` touches it, so that the next build finds what was installed.
    println!("cargo:rerun-if-changed=build.rs");
    match object() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Puts the object into `OUT_DIR`.
fn object() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?).join(OBJECT);
    if let Some(path) = env::var_os("REMAP_BPF_OBJECT") {
        let path = PathBuf::from(path);
        println!("cargo:rerun-if-changed={}", path.display());
        fs::copy(&path, &out)
            .with_context(|| format!("cannot copy the BPF object {}", path.display()))?;
        return Ok(());
    }
    if is_set("REMAP_BPF_SKIP") {
        return empty(&out);
    }
    match (compiler(), linker()) {
        (Some(compiler), Some(linker)) => build(&out, compiler, linker),
        (compiler, _) => {
            let lacks = match compiler {
                None => "no compiler with a core for eBPF",
                Some(_) => "no bpf-linker",
            };
            if is_set("REMAP_BPF_REQUIRE") {
                bail!("{lacks}: run `cargo xtask setup`");
            }
            println!(
                "cargo:warning={lacks}: run `cargo xtask setup`; this build leaves out only what \
                 needs a kernel, `remap trace` and the probes of `remap doctor`"
            );
            empty(&out)
        }
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| value == "1")
}

fn empty(out: &Path) -> Result<()> {
    fs::write(out, []).context("cannot write an empty BPF object")
}

/// A compiler for the eBPF programs.
enum Compiler {
    /// A released one that ships a prebuilt `core` for eBPF, under rustup's name for it.
    Prebuilt(&'static str),
    /// A nightly one, which builds `core` from rust-src.
    Nightly,
}

/// Debian's toolchain where it has the prebuilt `core`, otherwise a nightly with rust-src. Without
/// rustup, aya-build takes the `rustc` on PATH.
fn compiler() -> Option<Compiler> {
    let rustup = Command::new("rustup").arg("--version").output().is_ok();
    let sysroot = |toolchain: &str| {
        let mut rustc = match rustup {
            true => Command::new("rustup"),
            false => Command::new("rustc"),
        };
        if rustup {
            rustc.args(["run", toolchain, "rustc"]);
        }
        let output = rustc.args(["--print", "sysroot"]).output().ok();
        let output = output.filter(|output| output.status.success())?;
        Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
    };
    let rustlib = |toolchain| Some(sysroot(toolchain)?.join("lib/rustlib"));
    if rustlib("debian").is_some_and(|lib| lib.join("bpfel-unknown-none/lib").exists()) {
        return Some(Compiler::Prebuilt("debian"));
    }
    rustlib("nightly")
        .is_some_and(|lib| lib.join("src/rust/library/core").exists())
        .then_some(Compiler::Nightly)
}

/// The directory of bpf-linker if it is not on PATH: `cargo xtask setup` builds it in the cache.
enum Linker {
    OnPath,
    Cached(PathBuf),
}

/// The cached linker comes first: it uses the LLVM of Debian's compiler.
fn linker() -> Option<Linker> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => Some(PathBuf::from(cache)),
        (_, Some(home)) if !home.is_empty() => Some(PathBuf::from(home).join(".cache")),
        _ => None,
    };
    // The folders are those of xtask/src/linker.rs; the last name is the newest version.
    let mut cached: Vec<PathBuf> = base
        .and_then(|base| fs::read_dir(base.join("remap")).ok())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(LINKER))
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join(LINKER).exists())
        .collect();
    cached.sort();
    if let Some(bin) = cached.pop() {
        return Some(Linker::Cached(bin));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .any(|folder| folder.join(LINKER).exists())
        .then_some(Linker::OnPath)
}

/// Compiles, links and strips the programs.
fn build(out: &Path, compiler: Compiler, linker: Linker) -> Result<()> {
    let manifest =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set")?);
    let root = manifest.join("../remap-ebpf");
    println!(
        "cargo:rerun-if-changed={}",
        manifest.join("../remap-common/src").display()
    );
    let package = Package {
        name: OBJECT,
        root_dir: root
            .to_str()
            .context("the path of remap-ebpf is not UTF-8")?,
        ..Package::default()
    };
    // aya-build would pass cargo's progress on as warnings.
    set("CARGO_TERM_QUIET", "true".into());
    if let Linker::Cached(bin) = linker {
        let path = env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(bin).chain(env::split_paths(&path));
        set("PATH", env::join_paths(all)?);
    }
    let toolchain = match compiler {
        Compiler::Prebuilt(name) => {
            // aya-ebpf and remap-ebpf use one unstable feature each, which a released compiler
            // admits by name only.
            set("RUSTC_BOOTSTRAP", "aya_ebpf,remap_ebpf".into());
            Toolchain::Custom(name)
        }
        Compiler::Nightly => Toolchain::Nightly,
    };
    build_ebpf([package], toolchain).map_err(|error| {
        anyhow!(
            "{error}; if the compiler was updated since, `cargo xtask setup` builds bpf-linker anew"
        )
    })?;
    strip_debug_info(out)
}

/// Sets a variable for aya-build, which has no parameter for it.
fn set(name: &str, value: OsString) {
    // SAFETY: this process has one thread.
    #[expect(unsafe_code, reason = "set_var in a single-threaded build script")]
    unsafe {
        env::set_var(name, value);
    }
}

/// The object carries DWARF that no loader reads: about nine tenths of it.
fn strip_debug_info(object: &Path) -> Result<()> {
    let tools = ["llvm-strip", "llvm-strip-22", "llvm-strip-14"];
    for tool in tools {
        if let Ok(status) = Command::new(tool).arg("-g").arg(object).status() {
            if !status.success() {
                bail!("{tool} -g failed on the BPF object: {status}");
            }
            return Ok(());
        }
    }
    println!("cargo:warning=no llvm-strip: the BPF object keeps its debug information");
    Ok(())
}
