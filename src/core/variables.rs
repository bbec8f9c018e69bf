//! Owns the names of the environment variables that makeroom itself sets. Pure.

/// The variable in which a build's processes find its lease.
pub const LEASE: &str = "MAKEROOM_LEASE";
