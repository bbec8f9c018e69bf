//! Owns where a run's report goes: the file of `--report`, the CI job's summary, and the state
//! directory with its history. Runs in the supervisor.

use std::{env, io, path::Path, time::Duration};

use jiff::Timestamp;

use crate::{
    core::run::{history::Past, report::RunReport, verdict::Kind, wire::Request},
    host::within::write_within,
    lease::{history::History, journal::Journal, reports::Reports},
    report::{
        console::Say,
        job_summary,
        report_file::{ReportFile, open_now},
    },
};

/// For so long a program that is to read the report may do something else.
const READER: Duration = Duration::from_secs(5);
/// The same after a signal.
const HASTY_READER: Duration = Duration::from_secs(1);

/// Where it goes beside the state directory.
#[derive(Debug)]
pub(super) struct Places {
    /// `--report`.
    pub(super) file: Option<ReportFile>,
    /// The history's key of the command.
    pub(super) history_key: String,
}

/// Writes the report to where it was asked for, and to the state directory; says what could not be
/// written.
pub(super) fn keep_report(
    say: &mut Say,
    report: &RunReport,
    places: Places,
    lease: Option<&(Request, Journal)>,
    is_hasty: bool,
) {
    let patience = if is_hasty { HASTY_READER } else { READER };
    let mut check = |what: &str, written: io::Result<()>| {
        if let Err(error) = written {
            say.warning(format!("{what} cannot be written: {error}"), None);
        }
    };
    let json = match serde_json::to_string_pretty(report) {
        Ok(json) => json + "\n",
        Err(error) => return check("the report", Err(error.into())),
    };
    if let Some(file) = places.file {
        check("the report", file.write(&json, patience));
    }
    if let Some(path) = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        let file = open_now(Path::new(&path));
        let summary = job_summary::markdown(report);
        check(
            "the job's summary",
            file.and_then(|mut file| write_within(patience, &mut file, summary.as_bytes())),
        );
    }
    let Some((request, journal)) = lease else { return };
    let state_dir = journal.state_dir();
    // A build that was ended from outside tells nothing of what it would have needed.
    let is_cut = matches!(report.verdict.kind, Kind::Cancelled | Kind::Timeout | Kind::Thrash);
    if !is_cut && !report.interrupted {
        let past = Past::new(
            places.history_key,
            request.program.clone().unwrap_or_default(),
            Timestamp::now(),
            report.elapsed_s,
            report.memory.build_peak_bytes.unwrap_or(0),
            report.verdict.kind,
        );
        check("the history", History::of(state_dir).add(&past));
    }
    check("the report for `makeroom report`", Reports::of(state_dir).keep(&request.lease, &json));
}
