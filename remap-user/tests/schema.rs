//! The committed JSON Schema is the one of the types, and stays so.

use std::{env, fs, path::Path};

use remap_user::cmd::schema::schema;

#[test]
fn the_schema_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/remap.schema.json");
    let schema = schema();
    if env::var_os("REMAP_BLESS").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == schema,
        "docs/schema/remap.schema.json is not the types' schema; run this test with REMAP_BLESS=1"
    );
}
