//! One run, from its first message to its report. Pure.

pub mod build_site;
pub mod exit;
pub mod history;
pub mod hook;
pub mod keeper_restarts;
pub mod lifecycle;
pub mod oom_log;
pub mod report;
pub mod room_settings;
pub mod session;
pub mod timeline;
pub mod unsaid;
pub mod verdict;
pub mod wire;
