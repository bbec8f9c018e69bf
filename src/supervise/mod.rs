//! The supervisor: the process the user started. Synchronous, one thread, no tokio, no engine. It
//! runs the child, passes signals on, watches memory, and leaves everything that was changed to the
//! keeper; only where no process can be started for one does it put everything back itself, at the
//! end (`room::without_keeper`). The policy is `core::run::session`; here it is fed and performed.

pub mod child;
pub mod event_loop;
pub mod exit_like_child;
mod finish;
pub mod inherited;
pub mod keeper_link;
mod keeper_side;
mod outside_group;
mod reap;
pub mod signals;
pub mod terminal;
pub mod timers;
pub mod watch;
