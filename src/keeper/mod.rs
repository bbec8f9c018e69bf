//! The keeper: the process that owns what was changed, and restores it. It runs in a session of
//! its own, with two descriptors, and ends when the supervisor says so or is gone.
//! `acquire` and `restore` also serve the short commands.

pub mod acquire;
mod acts;
mod afterwards;
pub mod alone;
mod bring_back;
mod calls;
pub mod cancel;
pub mod control;
pub mod ears;
mod ensure_swap;
mod guard;
mod hands;
pub mod hooks;
pub mod late_calls;
pub mod life;
mod linger;
mod look_around;
pub mod mark;
mod mouth;
mod only_enough;
pub mod orphan;
pub mod process;
pub mod reach;
pub mod recover;
pub mod restore;
mod senses;
pub mod services;
mod step;
mod take;
mod theirs;
mod watch_host;

/// How a keeper's or a command's code says what happens.
pub type Tell<'a> = &'a dyn Fn(crate::core::wire::FromKeeper);
