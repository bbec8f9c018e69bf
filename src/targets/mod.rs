//! The seam between the operations on a lease and the kinds of targets: what can be done with a
//! target, whichever kind it is of. Nothing above it names a kind. Every call is bounded in time;
//! whether and when one is made is `room`'s. Runs in the keeper and in short commands.
//!
//! A new kind is a variant of `core::target::kind::Kind`, what its undoing takes in
//! `core::target::recorded::Undo`, a file here that implements `kind::TargetKind`, and a line in
//! [`all`].

pub mod all;
pub mod calls;
pub mod changes;
mod container;
pub mod error;
#[cfg(test)]
pub mod fake;
pub mod kind;
pub mod pace;
mod swarm_service;
pub mod wholes;
