//! A target that somebody stops in mid-build is theirs: it stays stopped, and is said. What ends in
//! another way runs again.

use std::fs;

use serde_json::Value;

use crate::support::{
    makeroom::Running,
    process,
    proxy::{Deed, Proxy},
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_for_line, wait_until,
};

use super::{build, told, wait_until_said};

fn stopped(services: &Services, index: usize) -> String {
    format!("`{}` was stopped by somebody else and stays stopped", services.name(index))
}

#[track_caller]
fn wait_until_recorded(site: &Site, services: &Services) {
    let journal = site.journals().pop().expect("a journal");
    wait_until("it is recorded", || {
        let text = fs::read_to_string(&journal).expect("a journal");
        text.matches(r#""how":"stopped""#).count() == services.count()
    });
}

#[test]
fn what_somebody_stops_or_kills_stays_stopped_and_is_said_and_reported() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(4);
    let run = build(&site, &services, &["--method", "pause"]);
    services.tell(0, "stop");
    services.tell(1, "unpause");
    services.tell(1, "stop?t=1");
    services.tell(2, "kill");
    for index in 0..3 {
        wait_until_said(&run, &stopped(&services, index));
    }
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert_eq!(services.statuses(), ["exited", "exited", "exited", "running"]);
    assert_eq!((proxy.seen("start"), site.journals().is_empty()), (0, true));
    let theirs = (Value::from("stopped"), Value::from(false));
    let untouched = (Value::Null, Value::from(true));
    assert_eq!(told(&site, &services), [theirs.clone(), theirs.clone(), theirs, untouched]);
}

#[test]
fn what_takes_its_time_to_stop_was_stopped_and_not_unpaused() {
    let site = Site::new();
    let services =
        site.start(&Recipe::default().script("trap '' TERM; while :; do sleep 1; done"), 1);
    let run = build(&site, &services, &["--method", "pause"]);
    services.tell(0, "stop?t=3");
    wait_until_said(&run, &stopped(&services, 0));
    site.go();
    let done = run.wait();
    done.expect_code(7);
    assert!(services.are("exited") && !done.err.contains("unpaused"), "{}", done.err);
}

#[test]
fn what_is_stopped_at_the_last_moment_stays_stopped_as_well() {
    for is_told in [true, false] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(2);
        if !is_told {
            proxy.on("events", Some(1), Deed::Answer(403, r#"{"message":"not for you"}"#));
        }
        let run = build(&site, &services, &["--method", "pause"]);
        services.tell(0, "stop");
        site.go();
        let done = run.wait();
        done.expect_code(7).expect_said(&stopped(&services, 0));
        assert_eq!(services.statuses(), ["exited", "running"], "{}", done.err);
        assert_eq!(told(&site, &services)[0], (Value::from("stopped"), Value::from(false)));
    }
}

/// All run when the build has ended, and nobody is said to have stopped any.
#[track_caller]
fn expect_nobody_blamed(site: &Site, services: &Services, run: Running, said: &str) {
    site.go();
    let done = run.wait();
    done.expect_code(7).expect_said(said);
    assert!(services.are("running") && !done.err.contains("stopped by"), "{}", done.err);
}

#[test]
fn what_ends_by_itself_runs_again_and_nobody_is_blamed() {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, &["--method", "pause"]);
    // As the kernel's OOM killer does. Where a frozen process does not die, somebody thaws it.
    let pid = services.state(0).expect("a container").pid;
    process::signal(i32::try_from(pid).expect("a pid"), libc::SIGKILL);
    if services.statuses()[0] == "paused" {
        services.tell(0, "unpause");
    }
    wait_until("it has ended", || services.statuses()[0] == "exited");
    expect_nobody_blamed(&site, &services, run, "2 containers running again");
}

#[test]
fn what_somebody_restarts_is_started_by_them_and_not_stopped() {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, &["--method", "pause"]);
    services.tell(0, "restart");
    wait_until_said(
        &run,
        &format!("`{}` was started by somebody else and is theirs now", services.name(0)),
    );
    expect_nobody_blamed(&site, &services, run, "1 container running again");
}

#[test]
fn a_stop_is_not_forgotten_with_the_processes_that_saw_it() {
    let site = Site::new();
    let services = site.services(1);
    let run = build(&site, &services, &["--method", "pause"]);
    services.tell(0, "stop");
    wait_until_recorded(&site, &services);
    let keeper = run.keeper();
    run.signal(libc::SIGKILL);
    process::signal(keeper, libc::SIGKILL);
    wait_until("there is no keeper", || !process::runs(keeper));
    let recovered = site.makeroom(["recover"]).run();
    recovered.expect_said("had been stopped by somebody else, and stays stopped");
    assert!(services.are("exited") && site.journals().is_empty(), "{}", recovered.err);
}

#[test]
fn the_engine_remembers_a_stop_that_no_process_has_seen() {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, &["--method", "pause"]);
    let keeper = run.keeper();
    run.signal(libc::SIGKILL);
    process::signal(keeper, libc::SIGKILL);
    wait_until("there is no keeper", || !process::runs(keeper));
    services.tell(0, "stop");
    let recovered = site.makeroom(["recover"]).run();
    recovered.expect_code(0).expect_said(&stopped(&services, 0));
    assert_eq!(services.statuses(), ["exited", "running"]);
}

#[test]
fn where_nobody_can_tell_it_is_started_and_said() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let run = build(&site, &services, &["--method", "pause"]);
    let keeper = run.keeper();
    run.signal(libc::SIGKILL);
    process::signal(keeper, libc::SIGKILL);
    wait_until("there is no keeper", || !process::runs(keeper));
    services.tell(0, "stop");
    // As the next engine, which knows nothing of what was.
    proxy.on("events", None, Deed::Answer(200, ""));
    let recovered = site.makeroom(["recover"]).run();
    recovered.expect_code(0).expect_said(&format!(
        "`{}` had ended, and nobody can tell whether somebody stopped it: it is started",
        services.name(0)
    ));
    assert!(services.are("running"));
}

#[test]
fn a_keeper_that_takes_over_finds_what_was_stopped_before_it_came() {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, &["--method", "pause"]);
    let keeper = run.keeper();
    run.signal(libc::SIGSTOP);
    process::signal(keeper, libc::SIGKILL);
    wait_until("there is no keeper", || !process::runs(keeper));
    services.tell(0, "stop");
    run.signal(libc::SIGCONT);
    wait_until_said(&run, &stopped(&services, 0));
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert_eq!(services.statuses(), ["exited", "running"]);
}

#[test]
fn of_two_runs_that_share_it_neither_starts_what_somebody_stopped() {
    let site = Site::new();
    let services = site.services(2);
    let first = build(&site, &services, &["--method", "pause"]);
    let elsewhere = site.path("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    let mut second = site.makeroom(["--method", "pause", "--pause", &services.all()]);
    let second = second.dir(&elsewhere).args(["sh", "-c", UNTIL_GO]).spawn();
    wait_for_line(&elsewhere.join("child"));
    services.tell(0, "stop");
    wait_until_said(&first, &stopped(&services, 0));
    wait_until_said(&second, &stopped(&services, 0));
    site.go();
    first.wait().expect_code(7);
    assert_eq!(services.statuses(), ["exited", "paused"]);
    fs::write(elsewhere.join("go"), "").expect("written");
    second.wait().expect_code(7).expect_said("1 container running again");
    assert_eq!(services.statuses(), ["exited", "running"]);
}

#[test]
fn a_started_lease_says_at_its_end_what_was_stopped() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["start", "--name", "x", "--method", "pause", "--pause", &services.all()])
        .run()
        .expect_code(0);
    services.tell(0, "stop");
    wait_until_recorded(&site, &services);
    site.makeroom(["stop", "x"]).run().expect_code(0).expect_said(&stopped(&services, 0));
    assert!(services.are("exited"));
}

#[test]
fn what_somebody_pauses_again_after_they_unpaused_it_stays_paused() {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, &["--method", "pause"]);
    services.tell(0, "unpause");
    let journal = site.journals().pop().expect("a journal");
    wait_until("it is theirs", || {
        fs::read_to_string(&journal).expect("a journal").contains("theirs")
    });
    services.tell(0, "pause");
    site.go();
    run.wait().expect_code(7);
    assert_eq!(services.statuses(), ["paused", "running"]);
}
