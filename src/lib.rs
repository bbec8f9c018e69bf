//! The library behind the command: the layers of the design, bottom up.

pub mod core;
pub mod engine;
pub mod host;
pub mod keeper;
pub mod lease;
