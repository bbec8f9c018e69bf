//! Writes the JSON schemas of what makeroom prints to `schema/`, as the types have them.

use std::{fs, path::Path};

use makeroom::commands::schemas::{self, SchemaFile};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for SchemaFile { path, text } in schemas::all()? {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), text)?;
    }
    Ok(())
}
