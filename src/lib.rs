//! The library behind the command: the layers of the design.

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
