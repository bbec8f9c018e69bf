//! `makeroom report`: what a past run was like.

use std::{fs, path::Path, process::ExitCode};

use crate::{
    cli::{ReportArgs, RoomArgs},
    commands::unseen::{self, Opened},
    config,
    core::{run::report::RunReport, text},
    lease::{reports::Reports, state_dir::StateDir},
    report::{page, report_text},
};

/// What helps where there is none.
const WHERE: &str = "a run keeps its report in the state directory; `makeroom -- COMMAND` is one";

/// Shows it.
#[must_use]
pub fn report(args: &ReportArgs) -> ExitCode {
    let settings = match config::settle_apart(&RoomArgs::default(), &args.common) {
        Ok(settings) => settings,
        Err(error) => return crate::commands::refuse(&error),
    };
    let mut say = crate::commands::voice(&settings);
    let state = match unseen::open(&settings, true, &mut say) {
        Ok(state) => {
            if let Opened::State(state) = state {
                Some(state)
            } else {
                None
            }
        }
        Err(code) => return code,
    };
    let shown =
        find(args, state.as_ref()).map_err(|error| (error, Some(WHERE))).and_then(
            |json| match &args.html {
                Some(path) => {
                    write_page(path, &json).map(|()| String::new()).map_err(|error| (error, None))
                }
                None if args.json => Ok(json),
                None => read(&json)
                    .map(|report| report_text::describe(&report))
                    .map_err(|error| (error, Some(WHERE))),
            },
        );
    match shown {
        Ok(shown) => crate::commands::print(&shown, ExitCode::SUCCESS),
        Err((error, hint)) => {
            say.error(text::printable(&error), None, hint);
            crate::commands::failed()
        }
    }
}

fn find(args: &ReportArgs, state: Option<&StateDir>) -> Result<String, String> {
    let none = || {
        args.lease.as_ref().map_or_else(
            || "there is no run yet".to_owned(),
            |lease| format!("there is no report of {lease}"),
        )
    };
    let found = Reports::of(state.ok_or_else(none)?)
        .find(args.lease.as_deref())
        .map_err(|error| format!("cannot read the report: {error}"))?;
    found.ok_or_else(none)
}

fn read(json: &str) -> Result<RunReport, String> {
    serde_json::from_str(json)
        .map_err(|error| format!("the report is not of this version: {error}"))
}

fn write_page(path: &Path, json: &str) -> Result<(), String> {
    let page = page::html(&read(json)?);
    fs::write(path, page)
        .map_err(|error| format!("the page cannot be written to {}: {error}", path.display()))
}
