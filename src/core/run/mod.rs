//! One run, from its first message to its report. Pure.

pub mod briefing;
pub mod build_site;
pub mod ending;
pub mod exit;
pub mod heard;
pub mod history;
pub mod hook;
pub mod keeper_restarts;
pub mod lifecycle;
pub mod make_report;
pub mod meant;
pub mod memory_seen;
pub mod note;
pub mod oom_log;
pub mod report;
pub mod results;
pub mod room_settings;
pub mod search;
pub mod session;
pub mod steps;
pub mod timeline;
pub mod unsaid;
pub mod verdict;
pub mod wire;
