//! Somebody else's hand: a target that is unpaused, started, removed or recreated by someone else
//! while a build runs is theirs from then on, said and reported; with `--insist` it is taken again,
//! a few times.

mod followed;
mod stopped;
mod theirs;

use std::fs;

use serde_json::Value;

use crate::support::{
    makeroom::{Run, Running},
    schema,
    services::Services,
    site::{Site, UNTIL_GO},
    wait_until,
};

/// makeroom with these options, over all of these services; its build runs until it may end.
#[track_caller]
fn build(site: &Site, services: &Services, options: &[&str]) -> Running {
    let mut run = site.makeroom(["--report", "report.json", "--pause", &services.all()]);
    begin(site, run.args(options))
}

#[track_caller]
fn begin(site: &Site, run: &mut Run) -> Running {
    let run = run.args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run
}

#[track_caller]
fn wait_until_said(run: &Running, words: &str) {
    wait_until(&format!("`{words}` is said"), || run.written("err").contains(words));
}

fn unpaused(services: &Services, index: usize) -> String {
    format!("`{}` was unpaused by somebody else", services.name(index))
}

/// What the report says of these services: what somebody else did to each, and whether it was
/// restored.
#[track_caller]
fn told(site: &Site, services: &Services) -> Vec<(Value, Value)> {
    let report: Value = serde_json::from_str(
        &fs::read_to_string(site.work().join("report.json")).expect("a report"),
    )
    .expect("JSON");
    schema::must_fit("report", &report);
    let targets = report["targets"].as_array().expect("targets");
    let of = |index| {
        targets.iter().find(|target| target["name"] == services.name(index)).expect("a target")
    };
    (0..services.count())
        .map(|index| (of(index)["theirs"].clone(), of(index)["restored"].clone()))
        .collect()
}
