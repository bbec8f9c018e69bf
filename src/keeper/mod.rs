//! The keeper: the process that owns what was changed, and restores it. It runs in a session of
//! its own, with two descriptors, and ends when the supervisor says so or is gone.

mod acts;
pub mod control;
mod engine_watch;
mod events;
mod foreign_changes;
mod host_samples;
mod input;
pub mod lifecycle;
mod linger;
mod orphan;
mod output;
mod pressure_watch;
pub mod process;
