//! Owns checking what makeroom prints as JSON against the schemas that the repository promises.

use boon::{Compiler, Schemas};
use serde_json::Value;

/// Requires that this is as `schema/NAME.json` says.
#[track_caller]
pub fn must_fit(name: &str, told: &Value) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let path = format!("{}/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema =
        compiler.compile(&path, &mut schemas).unwrap_or_else(|error| panic!("{path}: {error}"));
    if let Err(error) = schemas.validate(told, schema) {
        panic!("not as {path} says: {error}\n{told:#}");
    }
}
