//! Owns the names of the environment variables that are no options: what makeroom sets for builds
//! and hooks, and what its tests and scripts set. A new one is listed here, or makeroom would call
//! it unknown. Pure.

/// How the name of each variable of makeroom's begins.
pub const PREFIX: &str = "MAKEROOM_";

/// The variable in which a build's processes find its lease.
pub const LEASE: &str = "MAKEROOM_LEASE";
/// The option's variable that builds and hooks find, so that a makeroom inside finds the same
/// leases.
pub const STATE_DIR: &str = "MAKEROOM_STATE_DIR";
/// The option's variable that a build does not find: it asks for the report of one run.
pub const REPORT: &str = "MAKEROOM_REPORT";

/// What happened, for a hook.
pub const EVENT: &str = "MAKEROOM_EVENT";
/// The build's program, for a hook.
pub const PROGRAM: &str = "MAKEROOM_PROGRAM";
/// What it is about, for a hook.
pub const SERVICES: &str = "MAKEROOM_SERVICES";
/// What could not be brought back, for a hook.
pub const NOT_RESTORED: &str = "MAKEROOM_NOT_RESTORED";
/// What was given back, for a hook.
pub const GIVEN_BACK_BYTES: &str = "MAKEROOM_GIVEN_BACK_BYTES";
/// What is available, for a hook.
pub const AVAILABLE_BYTES: &str = "MAKEROOM_AVAILABLE_BYTES";
/// How much was stalled, for a hook.
pub const PRESSURE_PERCENT: &str = "MAKEROOM_PRESSURE_PERCENT";
/// How the build ended, for a hook.
pub const EXIT: &str = "MAKEROOM_EXIT";

/// What ended the build, where it was not the build itself, for a hook.
pub const ENDED_BY: &str = "MAKEROOM_ENDED_BY";

/// All that are known and are no options.
pub const OTHERS: [&str; 20] = [
    LEASE,
    EVENT,
    PROGRAM,
    SERVICES,
    NOT_RESTORED,
    GIVEN_BACK_BYTES,
    AVAILABLE_BYTES,
    PRESSURE_PERCENT,
    EXIT,
    ENDED_BY,
    // `scripts/chaos`, `scripts/test`, `scripts/bench`, and the tests themselves.
    "MAKEROOM_CHAOS_JOBS",
    "MAKEROOM_CHAOS_LOG",
    "MAKEROOM_CHAOS_PART",
    "MAKEROOM_CHAOS_ROUNDS",
    "MAKEROOM_CHAOS_SEED",
    "MAKEROOM_RACE_SECONDS",
    "MAKEROOM_TEST_VM",
    "MAKEROOM_VM_CACHE",
    "MAKEROOM_VM_DIR",
    "MAKEROOM_VM_DRIVER",
];
