//! Owns what a keeper is asked for: the first message to it. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::{
    guard,
    hook::Commands,
    record::{Kind, ProcessId},
    values::{MethodWish, SwapWish},
    way::Prefix,
};

/// What the keeper is to make room with, and for whom.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
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
    /// `--pause`.
    pub pause: Vec<String>,
    /// `--keep`.
    pub keep: Vec<String>,
    /// `--method`.
    pub method: MethodWish,
    /// `--no-reclaim`.
    pub no_reclaim: bool,
    /// `--need`, in bytes; `None`: all room that can be made.
    pub need_bytes: Option<u64>,
    /// What the build is expected to take, by `--need` or its last runs, in bytes.
    pub expected_bytes: Option<u64>,
    /// `--swap`.
    pub swap: SwapWish,
    /// `--swap-file`.
    pub swap_file: Option<String>,
    /// `--engine`.
    pub engine: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `--vm-shell`.
    pub vm_shell: Option<Prefix>,
    /// `--stop-timeout`.
    pub stop_timeout: Option<Duration>,
    /// `--restore-timeout`.
    pub restore_timeout: Duration,
    /// `--insist`.
    pub insist: bool,
    /// `--linger`: how long the room is kept after the build.
    pub linger: Option<Duration>,
    /// `--on-room-made` and its like.
    pub hooks: Commands,
    /// What is done for the services once they run again.
    pub afterwards: Afterwards,
    /// The build's memory is in steps of the engine's builder.
    pub builds_in_engine: bool,
    /// The lease that this run is inside of, and may simply use where that has all that is asked for.
    pub inside: Option<String>,
    /// `--timeout`, which the supervisor keeps to.
    pub timeout: Option<Duration>,
    /// What the host's memory is watched for while the build runs; `None`: nothing.
    pub guard: Option<guard::Wish>,
    /// This keeper replaces one that died after room had been made: nothing is to be taken anew.
    pub adopt: bool,
}

/// What is done for services that run again, beyond letting them run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Afterwards {
    /// `--wait-healthy`: what was healthy before is waited for.
    pub wait_healthy: Option<Duration>,
    /// `--warm`: what they have in swap is read back for so long.
    pub warm: Option<Duration>,
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
    /// The kind of lease that is asked for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.started.is_some() { Kind::Start } else { Kind::Run }
    }
}
