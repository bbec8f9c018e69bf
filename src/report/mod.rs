//! Owns what a person reads: lines on stderr, the live line, and the words of a run's summary.
//! stdout is the child's.

mod chart;
pub mod console;
pub mod file;
pub mod foreign_changes;
pub mod github;
pub mod page;
pub mod past_run;
pub mod plan_table;
pub mod progress;
mod sink;
mod stderr;
pub mod steps;
pub mod summary;
