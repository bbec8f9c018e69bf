//! The supervisor: the process the user started. Synchronous, one thread, no tokio, no engine. It
//! runs the child, passes signals on, watches memory, and leaves everything that was changed to the
//! keeper; only where no process can be started for one does it put everything back itself, at the
//! end (`room::without_keeper`).
//!
//! What happens on which signal, timer or message is decided in `core::run::session`; what was
//! heard of the run is in `core::run::heard`. [`event_loop`] feeds the one and the other and
//! performs the acts: on the child and its descendants (`build`), on the keepers (`keepers`), on
//! the terminal, and in words (`announce`, `finish`).

mod announce;
mod build;
pub mod child;
mod descendants;
pub mod event_loop;
pub mod exit_like_child;
mod finish;
pub mod inherited;
mod keep_report;
pub mod keeper_link;
mod keepers;
pub mod memory_watch;
mod processor_time;
mod reap;
mod restore_alone;
pub mod run;
mod script_shell;
pub mod signals;
mod state;
pub mod terminal;
mod timers;
