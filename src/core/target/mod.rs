//! What can make room, how it is chosen, and what is known of each kind. Pure.

pub mod candidate;
pub mod cgroup_of;
pub mod choice;
pub mod container;
pub mod event;
pub mod healthcheck;
pub mod kind;
pub mod log_driver;
pub mod method;
pub mod recorded;
#[cfg(test)]
pub mod samples;
pub mod seen;
pub mod selector;
pub mod start_order;
pub mod state;
pub mod swarm_service;
