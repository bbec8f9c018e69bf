//! The keeper: the process that owns what was changed, and restores it. It runs in a session of
//! its own and ends when the supervisor says so or is gone.
//!
//! `process` starts it, `lifecycle` runs a lease by the policy of `core::run::lifecycle`, `release`
//! ends it, and `operations` is the one door to what is done to it.

mod build;
mod changes;
pub mod control;
mod engine_watch;
mod events;
mod foreign_changes;
mod host_samples;
mod input;
mod last_look;
mod lifecycle;
mod linger;
mod operations;
mod orphan;
mod output;
mod own_cgroup;
mod pressure_watch;
pub mod process;
mod release;
