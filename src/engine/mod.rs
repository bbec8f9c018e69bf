//! Owns everything about the engine: finding it, asking it, telling it. The only place that knows
//! bollard or the engine's API. Runs in the keeper and in short commands, never in the supervisor.

pub mod client;
mod docker_config;
pub mod endpoint;
pub mod events;
pub mod healthcheck;
mod no_engine;
pub mod ping;
mod raw;
mod read;
pub mod stats;
pub mod swarm;
mod transport;
