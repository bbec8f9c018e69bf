//! `makeroom report`: what a past run was like.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    cli::{ChildArgs, ReportArgs, RoomArgs},
    commands::{
        error::CommandError,
        invocation::{Ended, Invocation, enter, print},
        unseen,
    },
    config::{Layer, Purpose},
    core::run::{exit::DONE, report::RunReport},
    lease::{reports::Reports, state_dir::StateDir},
    report::{page, report_text},
};

/// What helps where there is none.
const WHERE: &str = "a run keeps its report in the state directory; `makeroom -- COMMAND` is one";

/// Shows it.
#[must_use]
pub fn report(args: ReportArgs) -> ExitCode {
    let ReportArgs { lease, json, html, common } = args;
    let flags = Layer::of_flags(RoomArgs::default(), ChildArgs::default(), common);
    let shown = match html {
        Some(path) => Shown::Page(path),
        None if json => Shown::Json,
        None => Shown::Text,
    };
    enter(flags, Purpose::Upkeep, |invocation| show(invocation, lease.as_deref(), &shown))
}

/// As what it is shown.
enum Shown {
    Text,
    Json,
    Page(PathBuf),
}

fn show(
    Invocation { settings, say, .. }: &mut Invocation,
    lease: Option<&str>,
    how: &Shown,
) -> Ended {
    let opened = unseen::open(settings, true, say)?;
    let none = |error: String| CommandError::new(error).with_hint(WHERE.to_owned());
    let json = find(lease, opened.state()).map_err(none)?;
    match how {
        Shown::Text => print(&report_text::describe(&read(&json).map_err(none)?))?,
        Shown::Json => print(&json)?,
        Shown::Page(path) => write_page(path, &json).map_err(CommandError::new)?,
    }
    Ok(DONE.into())
}

fn find(lease: Option<&str>, state: Option<&StateDir>) -> Result<String, String> {
    let none = || {
        lease.map_or_else(
            || "there is no run yet".to_owned(),
            |lease| format!("there is no report of {lease}"),
        )
    };
    let found = Reports::of(state.ok_or_else(none)?)
        .find(lease)
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
