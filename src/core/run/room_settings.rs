//! Owns the settings of a run's room: what the command line, the environment and the files come to,
//! and what the keeper is asked for. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::{
    machine::{pressure, way::Prefix},
    run::hook::Commands,
    target::selector::Selector,
    values::{MethodWish, SwapWish},
};

/// What room is made of, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSettings {
    /// `--pause`.
    pub pause: Vec<Selector>,
    /// `--keep`.
    pub keep: Vec<Selector>,
    /// So many of them, the first ones, were typed for this run.
    #[serde(default)]
    pub keep_typed: usize,
    /// `--method`.
    pub method: MethodWish,
    /// `--no-reclaim`.
    pub no_reclaim: bool,
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
    /// What is done for the targets once they run again.
    pub afterwards: Afterwards,
    /// What the host's memory is watched for while the build runs; `None`: nothing.
    pub guard: Option<pressure::Wish>,
}

/// What is done for targets that run again, beyond letting them run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Afterwards {
    /// `--wait-healthy`: what was healthy before is waited for.
    pub wait_healthy: Option<Duration>,
    /// `--warm`: what they have in swap is read back for so long.
    pub warm: Option<Duration>,
}
