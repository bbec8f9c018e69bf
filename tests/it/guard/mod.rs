//! The guard while the build runs: targets of `--then` that are paused only when memory gets short,
//! one step at a time, recorded, said, and given back; and the end of a build that thrashes. The
//! figures of memory are the test's own but for one test with a build that really grows.
#![cfg_attr(
    makeroom_portable,
    allow(dead_code, reason = "the portable path cannot see this machine's memory")
)]

mod steps;
mod thrash;

use std::fs;

use serde_json::Value;

use crate::support::{
    figures::Figures, makeroom::Run, schema, services::Services, site::Site, wait_until,
};

/// The floor of these tests, and what is below and above it.
const FLOOR: &str = "500MiB";

const LOW_MIB: u64 = 400;

const PLENTY_MIB: u64 = 9000;

/// makeroom over these figures, with this floor.
fn guarded(site: &Site, figures: &Figures, options: &[&str]) -> Run {
    let mut run = site.makeroom(["--method", "pause", "--floor", FLOOR]);
    run.args(options);
    figures.over(&mut run);
    run
}

#[track_caller]
fn report(site: &Site) -> Value {
    let told = serde_json::from_str(
        &fs::read_to_string(site.work().join("report.json")).expect("a report"),
    )
    .expect("JSON");
    schema::must_fit("report", &told);
    told
}

#[track_caller]
fn wait_until_paused(services: &Services, index: usize) {
    wait_until(&format!("{} is paused", services.name(index)), || {
        status(services, index) == "paused"
    });
}

fn status(services: &Services, index: usize) -> String {
    services.statuses().swap_remove(index)
}
