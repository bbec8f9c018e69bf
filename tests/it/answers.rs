//! Each answer that the engine can give to a pause and to an unpause, and none at all: the build
//! runs, and all that ran before runs in the end.

use crate::support::{
    proxy::{Deed, Moment, Proxy},
    site::Site,
};

const MESSAGE: &str = "{\"message\":\"said the proxy\"}";
const NOT_PAUSED: &str = "{\"message\":\"Container 0123 is not paused\"}";

/// What can come back in place of "done".
const ANSWERS: [Deed; 5] = [
    Deed::Answer(409, MESSAGE),
    Deed::Answer(500, NOT_PAUSED),
    Deed::Answer(500, MESSAGE),
    Deed::Cut(Moment::Before),
    Deed::Cut(Moment::After),
];
/// What says "done" or "there is none" without being true.
const LIES: [Deed; 3] = [Deed::Answer(304, ""), Deed::Answer(404, MESSAGE), Deed::Answer(200, "this is no JSON")];

#[test]
fn whatever_the_engine_answers_to_a_pause_the_build_runs_and_all_run_in_the_end() {
    let services = Site::new().services(2);
    let before = services.states();
    for deed in ANSWERS.into_iter().chain(LIES) {
        eprintln!("{deed:?}");
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        proxy.on("pause", Some(1), deed);
        site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3);
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn whatever_the_engine_answers_to_an_unpause_all_run_in_the_end() {
    let services = Site::new().services(2);
    let before = services.states();
    for deed in ANSWERS {
        eprintln!("{deed:?}");
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        proxy.on("unpause", Some(1), deed);
        site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3);
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn a_container_that_vanishes_between_the_look_and_the_unpause_is_nothing_to_restore() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let held = [1, 2].map(|nth| proxy.hold("unpause", nth, Moment::Before));
    let run = site.makeroom(["--strict", "--pause", &services.all(), "true"]).spawn();
    for held in &held {
        held.wait();
    }
    services.remove(0);
    for held in &held {
        held.release();
    }
    run.wait().expect_code(0);
    assert_eq!(services.statuses(), ["gone", "running"]);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_container_that_somebody_thaws_between_the_look_and_the_unpause_is_as_it_should_be() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("unpause", 1, Moment::Before);
    let run = site.makeroom(["--strict", "--pause", &services.all(), "true"]).spawn();
    held.wait();
    services.tell(0, "unpause");
    held.release();
    run.wait().expect_code(0);
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn an_engine_that_does_not_answer_a_pause_holds_the_build_up_for_seconds_only() {
    for moment in [Moment::Before, Moment::After] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(1);
        proxy.on("pause", Some(1), Deed::Silence(moment));
        site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3).expect_said("cannot pause");
        assert!(services.are("running"), "{moment:?}: {:?}", services.statuses());
    }
}

#[test]
fn an_engine_that_does_not_answer_an_unpause_is_asked_again() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    proxy.on("unpause", Some(1), Deed::Silence(Moment::Before));
    site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3);
    assert!(services.are("running"), "{:?}", services.statuses());
}

#[test]
fn a_pause_that_is_refused_is_said_and_with_strict_the_build_is_not_run() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    proxy.on("pause", Some(1), Deed::Answer(409, MESSAGE));
    proxy.on("pause", Some(3), Deed::Answer(409, MESSAGE));
    site.makeroom(["--pause", &services.all(), "true"]).run().expect_code(0).expect_said("409: said the proxy");
    let done = site.makeroom(["--strict", "--pause", &services.all(), "touch", "started"]).run();
    done.expect_code(125).expect_said("409: said the proxy");
    assert!(!site.work().join("started").exists());
    assert!(services.are("running"));
}

#[test]
fn what_cannot_be_restored_is_the_loud_last_line_and_recover_mends_it_later() {
    let services = Site::new().services(2);
    let before = services.states();
    for (strict, script, code) in [(false, "exit 0", 0), (true, "exit 0", 125), (true, "exit 3", 3)] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        proxy.on("unpause", None, Deed::Answer(500, MESSAGE));
        let mut run = site.makeroom(["--restore-timeout", "700ms", "--pause", &services.all()]);
        let done = run.args(strict.then_some("--strict")).args(["sh", "-c", script]).run();
        done.expect_code(code).expect_said("500: said the proxy");
        let last: Vec<_> = done.err.lines().rev().take(2).collect();
        assert!(last.iter().any(|line| line.contains("makeroom recover")), "{last:?}");
        assert!(services.are("paused"));
        assert_eq!(site.journals().len(), 1);
        site.makeroom(["recover", "--restore-timeout", "300ms"]).run().expect_code(125);
        proxy.forget();
        site.makeroom(["recover"]).run().expect_code(0);
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}
