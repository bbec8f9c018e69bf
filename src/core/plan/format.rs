//! Owns the format of an audit: its fields are the keys of the JSON that `makeroom plan` prints, and
//! `schema/plan.json` describes it. Pure.

use serde::Serialize;

use crate::core::{
    machine::vm::VmDriver,
    plan::estimate::{Fit, Gives, Need, Role},
    target::{method::Method, state::State},
};

/// The version of the JSON. It grows when a key goes or changes its meaning, not when one is added.
pub(super) const VERSION: u32 = 1;

/// The audit. Its fields are the keys of the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Audit {
    /// The version of this format.
    #[schemars(extend("const" = VERSION))]
    pub version: u32,
    /// What a person calls the host; null is this machine.
    pub host: Option<String>,
    /// What runs the host, where that is a virtual machine on this one and its maker's files tell.
    pub vm_driver: Option<VmDriver>,
    /// Whether a build on this machine has the use of what is freed on the host; null where the
    /// host is this machine.
    pub here_profits: Option<bool>,
    /// The host's memory.
    pub memory: HostMemory,
    /// What the build is expected to need; null where nothing is known.
    pub need: Option<Need>,
    /// Whether it fits, as things are or with room made; null where the need is not known.
    pub fits: Option<bool>,
    /// How it fits, or what is missing; null where the need is not known.
    pub fit: Option<Fit>,
    /// What all targets together would make available.
    pub room_bytes: u64,
    /// The free swap that a run would work with.
    pub swap_to_have_bytes: u64,
    /// What a run would make room with, the largest first.
    pub targets: Vec<Planned>,
    /// Every container that has processes, the largest first.
    pub containers: Vec<Audited>,
    /// What others would feel of it.
    pub warnings: Vec<String>,
}

/// The host's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
    /// `SwapTotal`.
    pub swap_total_bytes: u64,
    /// `SwapFree`.
    pub swap_free_bytes: u64,
    /// What all containers hold, without the cache that is available anyway.
    pub containers_bytes: u64,
    /// That cache.
    pub cache_bytes: u64,
    /// The kernel and everything else.
    pub other_bytes: u64,
}

/// A target of the run that was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Planned {
    /// The container's name.
    pub name: String,
    /// Its full id.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub id: String,
    /// How it would make room.
    pub method: Method,
    /// What its cgroup holds; null where that cannot be read.
    pub memory_bytes: Option<u64>,
    /// What that method would make available.
    pub gives_bytes: u64,
    /// Whether the run would take it: not where others are enough.
    pub needed: bool,
}

/// A container that has processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Audited {
    /// Its name.
    pub name: String,
    /// Its full id.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub id: String,
    /// What it is to a run.
    pub role: Role,
    /// What it is doing.
    #[schemars(extend("enum" = State::WITH_PROCESSES))]
    pub activity: State,
    /// What its cgroup holds; null where that cannot be read.
    pub memory_bytes: Option<u64>,
    /// Of it, the cache of its files.
    pub cache_bytes: Option<u64>,
    /// Why a run would leave it alone, though it is a target; null where it would not.
    pub left_alone: Option<String>,
    /// What each method would make available.
    #[serde(flatten)]
    pub gives: Gives,
}
