//! Owns what a keeper is asked for: the first message to it. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::{
    lease::record::Kind, machine::process::ProcessId, run::room_settings::RoomSettings,
    target::command_use::CommandUse,
};

/// What the keeper is to make room with, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The lease's id.
    pub lease: String,
    /// The state directory.
    pub state_dir: String,
    /// Set for `start`; a run has none.
    pub started: Option<Started>,
    /// The build's program, without arguments.
    pub program: Option<String>,
    /// What room is made of, and how.
    pub settings: RoomSettings,
    /// `--need`, in bytes; `None`: all room that can be made.
    pub need_bytes: Option<u64>,
    /// What the build is expected to take, by `--need` or its last runs, in bytes.
    pub expected_bytes: Option<u64>,
    /// What the command itself works with: it is left out.
    pub uses: CommandUse,
    /// The build's memory is in steps of the engine's builder.
    pub builds_in_engine: bool,
    /// The lease that this run is inside of, and may simply use where that has all that is asked
    /// for.
    pub inside: Option<String>,
    /// `--strict`, for how the build is said to have ended.
    #[serde(default)]
    pub strict: bool,
    /// `--timeout`, which the supervisor keeps to.
    pub timeout: Option<Duration>,
    /// This keeper replaces one that died after room had been made: nothing is to be taken anew.
    pub adopt: bool,
}

/// What only a started lease has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// `--name`.
    pub name: Option<String>,
    /// `--ttl`.
    pub ttl: Option<Duration>,
    /// `--while-pid`, with its start time.
    pub while_process: Option<ProcessId>,
}

impl Request {
    /// What restoring is asked for on behalf of a lease whose holder is dead: nothing but that.
    #[must_use]
    pub fn to_restore(lease: &str, restore_timeout: Duration) -> Self {
        let settings = RoomSettings { restore_timeout, ..RoomSettings::default() };
        Self { lease: lease.to_owned(), settings, ..Self::default() }
    }

    /// The kind of lease that is asked for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.started.is_some() { Kind::Start } else { Kind::Run }
    }
}
