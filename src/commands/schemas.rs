//! Owns the JSON schemas of what `report`, `plan` and `status` print: they are made from the types
//! that are printed. `cargo run --example schemas` writes them to `schema/`. Runs in no command.

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform as _},
};
use serde_json::{Error, Value};

use crate::{
    commands::status::Status,
    core::{plan::format::Audit, run::report::RunReport},
};

/// A schema as a file.
#[derive(Debug)]
pub struct SchemaFile {
    /// Its path in the repository.
    pub path: &'static str,
    /// What is to be in it.
    pub text: String,
}

/// Makes all of them.
///
/// # Errors
/// Never in practice: a schema is JSON.
pub fn all() -> Result<[SchemaFile; 3], Error> {
    Ok([
        SchemaFile {
            path: "schema/plan.json",
            text: text::<Audit>(
                "makeroom plan --json",
                "The audit of a host's memory and what a run would do. All sizes are bytes. Keys \
                 may be added; one that goes or changes its meaning changes `version`.",
            )?,
        },
        SchemaFile {
            path: "schema/report.json",
            text: text::<RunReport>(
                "makeroom report --json, and --report FILE",
                "A run. All sizes are bytes, all times seconds; null is not known. Keys may be \
                 added; one that goes or changes its meaning changes `version`.",
            )?,
        },
        SchemaFile {
            path: "schema/status.json",
            text: text::<Status>(
                "makeroom status --json",
                "Leases, targets, swap and memory at this moment. All sizes are bytes; null is \
                 not known, or none. Keys may be added.",
            )?,
        },
    ])
}

fn text<T: JsonSchema>(title: &str, description: &str) -> Result<String, Error> {
    // What is written is described, not what would be read: each key is always there.
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(for_readers).transform(&mut schema);
    schema.insert("title".to_owned(), title.into());
    schema.insert("description".to_owned(), description.into());
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// Leaves out what only Rust knows: the width of numbers, and what a reader takes a missing key
/// for. Doc comments are broken into lines; sentences are not.
fn for_readers(schema: &mut Schema) {
    let format = schema.get("format").and_then(Value::as_str);
    if format.is_some_and(|format| format != "date-time") {
        schema.remove("format");
    }
    schema.remove("default");
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

#[cfg(test)]
mod tests;
