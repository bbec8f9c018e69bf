//! The guard in the VM: a build that needs more than the first targets give back, and one that
//! leaks for ever. The figures come over the connection that samples.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    builds::build,
    place::{Hogs, PATIENCE, Place},
    support::{makeroom::Done, schema},
};

#[track_caller]
fn report(place: &Place) -> Value {
    let told = serde_json::from_str(
        &fs::read_to_string(place.site.work().join("report.json")).expect("a report"),
    )
    .expect("JSON");
    schema::must_fit("report", &told);
    told
}

/// Nothing was killed but what the build itself is.
#[track_caller]
fn expect_unharmed(
    place: &Place,
    hogs: &[&Hogs],
    before: &[Vec<crate::place::State>],
    done: &Done,
) {
    let now: Vec<_> = hogs.iter().map(|hogs| hogs.states()).collect();
    assert_eq!(now, before, "{}", done.err);
    place.expect_nothing_left();
}

#[test]
fn a_build_that_needs_more_than_the_first_targets_give_gets_it_from_the_steps() {
    let place = Place::colima();
    // In use, and the need is above all that is available: the build comes to its end by the steps
    // alone.
    let (first, then) = (place.hogs(1, 90), place.hogs_in_use(2, 150));
    let before = [first.states(), then.states()];
    let options = ["--report", "report.json", "--pause", first.all(), "--then", then.all()];
    let done = build(&place, &options, "grower 1050 40").run();
    done.expect_code(0)
        .expect_said("1 container paused")
        .expect_said(": 2 more containers paused, ")
        .expect_said("3 containers running again");
    let told = report(&place);
    assert!(
        told["steps"][0]["given_back_bytes"].as_u64().is_some_and(|bytes| bytes > 200 << 20),
        "{told:#}"
    );
    assert_eq!(told["memory"]["oom_kills"], 0, "{told:#}");
    expect_unharmed(&place, &[&first, &then], &before, &done);
}

#[test]
fn a_build_that_leaks_for_ever_is_ended_before_the_machine_stops_answering() {
    let place = Place::colima();
    let then = place.hogs(1, 90);
    let before = [then.states()];
    let options = [
        "--report",
        "report.json",
        "--swap",
        "2GiB",
        "--then",
        then.all(),
        "--abort-on-thrash",
        "10s",
    ];
    let run = build(&place, &options, "grower 4000 40").limit(PATIENCE).spawn();
    crate::place::wait_until_said(&run, "no step is left: the build is ended");
    let asked = Instant::now();
    assert_eq!(place.vm.word("echo here"), "here");
    let answered = asked.elapsed();
    let done = run.wait();
    done.expect_code(124)
        .expect_said("1 more container paused")
        .expect_said("build ended by --abort-on-thrash")
        .expect_said("running again");
    let told = report(&place);
    assert_eq!(
        (&told["verdict"]["kind"], &told["memory"]["oom_kills"]),
        (&"thrash".into(), &0.into()),
        "{told:#}"
    );
    assert!(answered < Duration::from_secs(10), "ssh took {answered:?}");
    expect_unharmed(&place, &[&then], &before, &done);
}
