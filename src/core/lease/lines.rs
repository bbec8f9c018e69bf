//! Owns the form of records as a journal's lines. Pure; `lease::journal` reads and writes the bytes.
//!
//! A line is eight hexadecimal digits of CRC-32, a space, and the record as JSON. A last line that
//! is torn never existed. A line that is damaged is passed over and said: what the others tell
//! still holds, because restoring looks before it acts.

use serde::Deserialize;

use crate::core::lease::{
    record::{Record, VERSION},
    state::LeaseState,
};

/// Why a journal cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is more than was ever written.
    #[error("it has {bytes} bytes, and none of ours has more than {most}")]
    Large { bytes: u64, most: u64 },
    /// Written by a makeroom that knows more.
    #[error("it was written in version {version}, and this makeroom reads up to {VERSION}")]
    Newer { version: u32 },
}

/// A record as a line, newline included.
#[must_use]
pub fn line(record: &Record) -> String {
    // A record holds only strings, numbers and maps with string keys: nothing that serde_json
    // refuses.
    let json = serde_json::to_string(record).unwrap_or_default();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

/// Reads a whole journal, as far as it can be read.
///
/// # Errors
/// [`Unreadable::Newer`] where a line that can be read is of a makeroom that knows more.
pub fn read(journal: &[u8]) -> Result<LeaseState, Unreadable> {
    let mut state = LeaseState::default();
    // What follows the last newline was being written when the holder died: it never existed.
    let finished = journal.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    for (index, line) in journal[..finished].split_inclusive(|&byte| byte == b'\n').enumerate() {
        let json = checked(line);
        if let Some(version) = json.and_then(version_of).filter(|version| *version > VERSION) {
            return Err(Unreadable::Newer { version });
        }
        match json.and_then(|json| serde_json::from_slice(json).ok()) {
            Some(record) => state.apply(&record),
            None => drop(state.damaged_line.get_or_insert(index + 1)),
        }
    }
    if is_damaged_end(&journal[finished..]) {
        state
            .damaged_line
            .get_or_insert(journal[..finished].split_inclusive(|&byte| byte == b'\n').count() + 1);
    }
    Ok(state)
}

/// Whether what follows the last newline is no line that was being written: nothing of ours holds a
/// NUL.
#[must_use]
pub fn is_damaged_end(end: &[u8]) -> bool {
    end.contains(&0)
}

fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json)).then_some(json)
}

fn version_of(json: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<u32>,
    }
    serde_json::from_slice::<Versioned>(json).ok()?.version
}

#[cfg(test)]
mod older_versions;
#[cfg(test)]
mod tests;
