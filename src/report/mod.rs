//! Owns what a person reads: the lines on stderr, the line of progress, and a run's report as text,
//! as a page and as a job's summary. stdout is the child's. Runs in the supervisor and in short
//! commands.

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
