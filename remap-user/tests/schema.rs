//! The committed JSON Schema and C header are those of the types, and stay so.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use remap_core::c_header;
use remap_user::cmd::schema::schema;

fn committed(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    folder.join(name)
}

/// That the committed file has this text; writes it if the test is asked to.
fn is_committed(name: &str, text: &str) {
    let path = committed(name);
    if env::var_os("REMAP_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/schema/{name} is not what the types give; run this test with REMAP_BLESS=1"
    );
}

#[test]
fn the_schema_is_true() {
    is_committed("remap.schema.json", &schema());
}

#[test]
fn the_header_is_true() {
    is_committed("remap_records.h", &c_header::text());
}

#[test]
fn the_header_compiles_as_c_and_as_cpp() {
    for (language, standard) in [("c", "c11"), ("c++", "c++11")] {
        let mut compiler = Command::new("cc");
        compiler.args(["-x", language, "-Wall", "-Wextra", "-pedantic", "-Werror"]);
        compiler
            .arg(format!("-std={standard}"))
            .arg("-fsyntax-only");
        let compiled = compiler.arg(committed("remap_records.h")).output();
        let compiled = compiled.expect("this test needs a C compiler named cc, for C and C++");
        let errors = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{language}: {errors}");
    }
}
