//! The supervisor: the process the user started. Synchronous, one thread, no tokio, no engine.
//! It runs the child, passes signals on, watches memory, and leaves everything that was changed
//! to the keeper; only where no process can be started for one does it put everything back itself, at the end
//! (`keeper::alone`). The policy is `core::session`; here it is fed and performed.

pub mod child;
pub mod clocks;
mod closing;
pub mod drive;
pub mod ending;
pub mod inherited;
pub mod keeper_link;
mod keeper_side;
mod reap;
mod rest;
pub mod signals;
pub mod terminal;
pub mod watch;
