//! The report of a run: its keys are the schema's, its figures those that were measured, and what
//! was not seen is null. The build's peak beside what others measure of it.

mod peak;
mod told;

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{makeroom::Done, schema, site::Site};

const MIB: u64 = 1 << 20;

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

#[track_caller]
fn read(site: &Site, name: &str) -> Value {
    let text = fs::read_to_string(site.work().join(name)).expect("a report");
    let told = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    schema::must_fit("report", &told);
    told
}

/// The report of a run with this command.
#[track_caller]
fn reported(site: &Site, words: &[&str]) -> (Done, Value) {
    let done = site.makeroom(["--report", "report.json"]).args(words).run();
    (done, read(site, "report.json"))
}
