//! What can make room, how it is chosen, and what is known of each kind. Pure.

pub mod choice;
pub mod healthcheck;
pub mod kind;
pub mod log_driver;
pub mod selector;
pub mod swarm;
