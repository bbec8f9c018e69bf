//! The library behind the command, and the map of it. The design is `docs/design.md`, its words
//! `docs/glossary.md`.
//!
//! Two processes do a run. The *supervisor* ([`supervise`]) is what the user started: it runs the
//! child, passes signals on, and says how it ends. The *keeper* ([`keeper`]) owns what was changed and
//! puts it back, whatever dies. What each of them does when is a pure state machine of its own,
//! [`core::run::session`] and [`core::run::lifecycle`], which tests walk whole.
//!
//! Each layer imports only those below it (`scripts/lib/layering` refuses the rest):
//!
//! | layer | owns |
//! |---|---|
//! | [`cli`], [`config`], [`commands`] | what is typed, the settings it comes to, one file a subcommand |
//! | [`supervise`] | process 1: event loop, child, signals, terminal, what was heard of the run |
//! | [`keeper`] | process 2: the loop over its lifecycle, what it hears and says, what it watches |
//! | [`room`] | the operations on a lease: `make` and `release` own the order, each other file one act |
//! | [`targets`] | the seam: what can be done with a target, whichever kind it is of |
//! | [`engine`], [`host`], [`lease`], [`report`] | the engine's API, scripts on the host, what is on disk, what a person reads |
//! | [`core`] | the decisions, pure: `target`, `machine`, `lease`, `plan`, `run` |
//!
//! Where to look:
//!
//! | for | look at |
//! |---|---|
//! | what a signal does in which state, as the second Ctrl-C | [`core::run::session`]: `terminating` |
//! | what the keeper does when its supervisor dies | [`core::run::lifecycle`] |
//! | the order of making room, and of releasing it | [`room::make`], [`room::release`], `room/tests.rs` |
//! | what is written before a pause | `room/take.rs`: `intents`; [`core::lease::record`]; [`lease::journal`]: `intend` |
//! | what a journal says a lease still has | [`core::lease::state`] |
//! | how a target is brought back | `room/bring_back.rs`; then its kind's `start` or `resume` |
//! | how a Swarm service is stopped and brought back | `targets/swarm_service.rs`; what is kept of it: [`core::target::recorded`] |
//! | which targets a selector means | [`core::target::selector`], [`core::target::choice`] |
//! | pause or stop | [`core::target::method`] |
//! | what is run on the host, and how | `host/scripts`, [`host::shell`] |
//! | why a build failed | [`core::run::verdict`], from [`core::run::heard`] |
//! | a setting's default and who may set it | `config/layer.rs`, `config/settings.rs` |
//! | exit codes | [`core::run::exit`] |

pub mod cli;
pub mod commands;
pub mod config;
pub mod core;
pub mod engine;
pub mod host;
pub mod keeper;
pub mod lease;
pub mod report;
pub mod room;
pub mod supervise;
pub mod targets;
