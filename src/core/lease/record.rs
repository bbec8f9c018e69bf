//! Owns the records of a journal and their form as lines; their fold is in `state`. Pure;
//! `lease::journal` reads and writes the bytes.
//!
//! A line is eight hexadecimal digits of CRC-32, a space, and the record as JSON. A last line that
//! is torn never existed. A line that is damaged is passed over and said: what the others tell
//! still holds, because restoring looks before it acts.

mod state;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use state::{HeldArea, HeldTarget, LeaseState, Stage};

use crate::core::{
    lease::late_call::Call,
    machine::{
        pressure,
        way::{self, Way},
    },
    target::{method::Method, recorded::Target},
};

/// The version of the records that this makeroom writes and understands.
pub const VERSION: u32 = 6;

/// Whether a lease belongs to a run or outlives the command that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Made by `makeroom run`, ends with its child.
    Run,
    /// Made by `makeroom start`, or kept after its build by `--linger`; ends with `makeroom stop`.
    Start,
}

/// Who a lease belongs to: the first record, and written again when that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// [`VERSION`].
    pub version: u32,
    /// The lease's id.
    pub lease: String,
    /// Run or start.
    pub kind: Kind,
    /// The name given with `start --name`.
    pub name: Option<String>,
    /// The build's program, without its arguments: they can hold secrets.
    pub program: Option<String>,
    /// The engine's URL; `None` where none was found.
    pub engine: Option<String>,
    /// The directory with the certificates for it.
    #[serde(default)]
    pub certificates: Option<String>,
    /// The way to the host; `None` where that is this machine. Since version 2: a makeroom that
    /// does not know it would look for the swap on the wrong machine. Since version 5 by its parts:
    /// what is run is not read.
    #[serde(default, deserialize_with = "way::read")]
    pub host: Option<Way>,
    /// Until when the lease of a run is kept after its build, by this clock; it is of
    /// [`Kind::Start`] from then on.
    #[serde(default)]
    pub lingers_until: Option<Timestamp>,
    /// Its release has begun: what it still has is on its way back, and counts as held for nobody
    /// else.
    #[serde(default)]
    pub releasing: bool,
    /// What the build of a run is expected to take of its host, in bytes.
    #[serde(default)]
    pub need_bytes: Option<u64>,
    /// MemAvailable of the host with room made, before the build took any; `None` until then.
    #[serde(default)]
    pub available_bytes: Option<u64>,
    /// The time limit that the run keeps to.
    #[serde(default)]
    pub timeout: Option<Duration>,
    /// What the run watches the host's memory for.
    #[serde(default)]
    pub guard: Option<pressure::Wish>,
    /// When.
    pub at: Timestamp,
}

impl Opened {
    /// Whether a run inside that asks for these has them already: the limit around it ends it no
    /// later.
    #[must_use]
    pub fn sees_to(&self, timeout: Option<Duration>, guard: Option<&pressure::Wish>) -> bool {
        timeout.is_none_or(|inside| self.timeout.is_some_and(|around| around <= inside))
            && (guard.is_none() || guard == self.guard.as_ref())
    }
}

/// A swap area that makeroom made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// Its file on the host.
    pub path: String,
    /// The file's size in bytes.
    pub size_bytes: u64,
    /// The label in its header: what tells it from anybody else's file.
    pub label: String,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// Always the first.
    Opened(Opened),
    /// Intent: the target is about to be paused or stopped, by a call that may take effect so long.
    /// Since version 5: a makeroom that does not know it would take a stop that is slow for one
    /// that never came.
    Taking {
        target: Target,
        method: Method,
        #[serde(default)]
        call: Option<Call>,
    },
    /// Outcome: it is. Also written where the outcome is not known, with the reason, and with what
    /// is left of the call where that has changed.
    Taken {
        id: String,
        unknown: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<Call>,
    },
    /// Outcome: the engine refused, nothing was changed.
    NotTaken { id: String, reason: String },
    /// Another live lease has it already; its original state is copied.
    Joined { target: Target, method: Method },
    /// Outcome of restoring: nothing is left to do for it in this lease.
    Restored { id: String, how: Restored },
    /// Outcome of restoring: it could not be done; it stays this lease's.
    NotRestored { id: String, reason: String },
    /// Intent: the area is about to be made.
    AreaMaking { area: Area },
    /// Outcome: the area is active.
    AreaMade { path: String },
    /// A live lease made this area, and this lease needs it too.
    AreaJoined { area: Area },
    /// Intent: from here on the area counts as absent for everybody else.
    AreaRemoving { path: String },
    /// Outcome: this lease has nothing left to do for it.
    AreaGone { path: String, how: AreaGone },
    /// Outcome: it could not be removed and stays this lease's.
    AreaStays { path: String, reason: String },
}

/// How restoring a target ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restored {
    /// It was unpaused or started.
    Done,
    /// It was running already.
    AlreadySo,
    /// It was removed.
    Removed,
    /// It was restarted or replaced by somebody else, so it is theirs.
    Theirs,
    /// Another live lease has it and restores it.
    HandedOver,
}

/// How an area left a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AreaGone {
    /// It is off and its file is deleted.
    Removed,
    /// It was never made, or is gone already.
    AlreadySo,
    /// Another live lease has it and removes it.
    HandedOver,
}

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
mod tests;
#[cfg(test)]
mod version_4;
