//! Owns journals that no makeroom of today wrote: of a lease that lost both its processes long ago,
//! or that somebody made up.

use std::{fs, path::Path};

use serde_json::{Value, json};

/// What wrote them: the oldest version that is still read.
const VERSION: u32 = 4;

/// A run's journal, line by line.
pub struct Journal(Vec<Value>);

impl Journal {
    /// Of this lease, which had a run, no engine and nothing else yet.
    #[must_use]
    pub fn of(lease: &str) -> Self {
        Self(vec![json!({
            "record": "opened", "version": VERSION, "lease": lease, "kind": "run", "name": null,
            "program": "sh", "engine": null, "at": "2026-01-01T00:00:00Z",
        })])
    }

    /// What its first record says besides, or instead.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.0[0][key] = value;
        self
    }

    /// These words lead to its host, where a swap area was to be made: whoever recovers it goes
    /// there.
    #[must_use]
    pub fn with_area_behind(self, words: &Value) -> Self {
        let area = json!({ "path": "/nonexistent/a", "size_bytes": 4096, "label": "mr-0" });
        self.with("host", json!({ "name": "vm", "words": words }))
            .then(json!({ "record": "area_making", "area": area }))
    }

    /// One record more.
    #[must_use]
    pub fn then(mut self, record: Value) -> Self {
        self.0.push(record);
        self
    }

    /// Writes it there.
    pub fn write(&self, path: &Path) {
        fs::write(path, self.0.iter().map(line).collect::<String>()).expect("written");
    }
}

/// A line with its sum.
#[must_use]
pub fn line(record: &Value) -> String {
    let json = record.to_string();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}
