//! The engine dies under a run, or hangs: the build's exit code is makeroom's all the same, what
//! could not be put back is named with the command to type, and that command puts it back.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    api,
    dockerd::engine,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_until,
};

const MANY: usize = 100;

/// How many of the engine's containers are in this state.
fn number(services: &Services, status: &str) -> usize {
    let listed = api::must(&engine().socket(), "GET", "/containers/json?all=1", None).json();
    let is_one = |container: &&Value| {
        let name = container["Names"][0].as_str().unwrap_or_default();
        name.trim_start_matches('/').starts_with(services.prefix()) && container["State"] == status
    };
    listed.as_array().into_iter().flatten().filter(is_one).count()
}

/// A run of many services whose engine is killed when some of them run again, and does not come
/// back until the run has given up.
fn killed_in_mid_restore(policy: &str, live_restore: bool) {
    engine().end("TERM");
    engine().start_again(live_restore);
    let site = Site::new();
    let services = site.start(&Recipe::default().restart(policy), MANY);
    let run = site
        .makeroom(["--restore-timeout", "2s", "--pause", &services.all(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert_eq!(number(&services, "paused"), MANY);
    site.go();
    wait_until("some of them run again", || number(&services, "paused") < MANY);
    engine().end("KILL");
    let done = run.wait();
    done.expect_code(7).expect_said("NOT running again").expect_said("makeroom recover");
    assert_eq!(site.journals().len(), 1);
    engine().start_again(live_restore);
    site.makeroom(["recover"])
        .limit(Duration::from_mins(1))
        .run()
        .expect_code(0)
        .expect_said("containers running again");
    assert_eq!(number(&services, "paused"), 0);
    assert!(site.journals().is_empty());
    // What ran again before the engine died is the engine's own to restart, where it took that with
    // it.
    if live_restore {
        assert_eq!(number(&services, "running"), MANY);
    }
}

#[test]
fn all_of_a_hundred_services_run_after_recover_where_the_engine_was_killed_in_mid_restore() {
    killed_in_mid_restore("no", true);
}

#[test]
fn none_stays_held_also_where_the_engine_takes_its_containers_with_it() {
    killed_in_mid_restore("unless-stopped", false);
}

#[test]
fn an_engine_that_is_away_when_the_build_ends_and_comes_back_in_time_is_waited_for() {
    engine().end("TERM");
    engine().start_again(true);
    let site = Site::new();
    let services = site.services(5);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    engine().end("KILL");
    site.go();
    // By now it has been tried in vain.
    wait_until("the build's end is said", || run.written("err").contains("build failed with 7"));
    engine().start_again(true);
    run.wait().expect_code(7).expect_said("5 containers running again");
    assert!(services.are("running"), "{:?}", services.statuses());
    assert!(site.journals().is_empty());
}

#[test]
fn an_engine_that_ends_in_mid_build_is_nobody_who_stops_a_service() {
    for signal in ["TERM", "KILL"] {
        engine().end("TERM");
        engine().start_again(false);
        let site = Site::new();
        let services = site.services(3);
        let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
        let run = run.args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        engine().end(signal);
        engine().start_again(false);
        wait_until("they have ended with it", || services.are("exited"));
        site.go();
        let done = run.wait();
        done.expect_code(7)
            .expect_said("3 containers running again")
            .expect_said("had ended, and nobody can tell whether somebody stopped them");
        assert!(services.are("running") && !done.err.contains("somebody else"), "{}", done.err);
    }
}
