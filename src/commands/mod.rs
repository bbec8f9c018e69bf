//! The subcommands, one file each: composition only, through the one door in `invocation`.

mod begin;
mod command_use;
pub mod doctor;
pub mod error;
mod forget;
mod idle;
pub mod invocation;
pub mod man;
mod need;
pub mod plan;
pub mod recover;
pub mod report;
pub mod run;
pub mod schemas;
pub mod start;
pub mod status;
pub mod stop;
pub mod swap;
mod unrunnable;
mod unseen;
mod wait;
mod wanted;
