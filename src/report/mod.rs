//! Owns what a person reads: the lines on stderr, the line of progress, and a run's report as text,
//! as a page and as a job's summary. stdout is the child's. Runs in the supervisor and in short
//! commands.

mod chart;
pub mod console;
pub mod foreign_change_lines;
pub mod health_lines;
pub mod job_summary;
pub mod page;
pub mod plan_table;
pub mod progress;
pub mod report_file;
pub mod report_text;
pub mod run_lines;
mod sink;
mod stderr;
pub mod step_lines;
pub mod vanished_lines;
