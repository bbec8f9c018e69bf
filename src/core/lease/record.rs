//! Owns the records of a journal; their form as lines is in `lines`, their fold in `state`. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Another live lease has it already; its original state is copied, and what may still come of
    /// the calls that were sent for it: whoever has the target last waits for that.
    Joined {
        target: Target,
        method: Method,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<Call>,
    },
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
    /// Somebody stopped it, or killed it, so it stays so. Since version 6: a makeroom that does not
    /// know it would start it.
    Stopped,
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
