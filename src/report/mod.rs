//! Owns what a person reads: lines on stderr, the live line, and the words of a run's summary.
//! stdout is the child's.

mod chart;
pub mod file;
pub mod github;
pub mod hands;
pub mod live;
pub mod page;
pub mod past_run;
pub mod plan_table;
pub mod say;
mod stderr;
pub mod steps;
pub mod summary;
mod way;
