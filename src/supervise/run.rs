//! Owns what the supervisor is given, and how it ends: plain data. Runs in the supervisor.

use std::{ffi::OsString, time::Duration};

use crate::{
    core::run::{build_site::BuildSite, exit::Exit, wire::Request},
    host::program::Program,
    lease::journal::Journal,
    report::report_file::ReportFile,
};

/// What a run is made of.
#[derive(Debug)]
pub struct Run {
    /// The command, program first.
    pub command: Vec<OsString>,
    /// Its program, as it was found.
    pub program: Program,
    /// Where it builds.
    pub site: BuildSite,
    /// What the keeper is to do; the journal's lease. `None`: nothing may be changed.
    pub lease: Option<(Request, Journal)>,
    /// `--strict`.
    pub strict: bool,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--grace`.
    pub grace: Duration,
    /// `--restore-timeout`.
    pub restore_timeout: Duration,
    /// The command as the report has it: the program, with its arguments only where that was asked
    /// for.
    pub command_shown: String,
    /// The history's key of it.
    pub history_key: String,
    /// `--report`.
    pub report: Option<ReportFile>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// makeroom is to end like this.
    Exit(Exit),
    /// The lease around this run covers it: makeroom is to become the program, once the signals that it handles are given back.
    Become(Program, Vec<i32>),
}
