//! What somebody else changes is theirs, said at once, and with `--insist` taken again.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    api, dockerd,
    proxy::Proxy,
    services::{Recipe, Services},
    site::Site,
    wait_until,
};

use super::{begin, build, told, unpaused, wait_until_said};

#[test]
fn what_somebody_unpauses_is_theirs_said_at_once_and_not_touched_again() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(3);
    let run = build(&site, &services, &["--method", "pause"]);
    services.tell(0, "unpause");
    services.tell(1, "unpause");
    wait_until_said(&run, &(unpaused(&services, 0) + " and is theirs now"));
    wait_until_said(&run, &unpaused(&services, 1));
    // Theirs is also what they do with it from here on.
    services.tell(1, "pause");
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert_eq!(services.statuses(), ["running", "paused", "running"]);
    assert_eq!(
        (proxy.seen("pause"), proxy.seen("unpause"), site.journals().is_empty()),
        (3, 1, true)
    );
    let theirs = (Value::from("unpaused"), Value::from(false));
    assert_eq!(told(&site, &services), [theirs.clone(), theirs, (Value::Null, Value::from(true))]);
    let past = site.makeroom(["report"]).run();
    assert!(
        past.out
            .contains(&format!("theirs      `{}`, unpaused by somebody else", services.name(0))),
        "{}",
        past.out
    );
    assert!(!past.out.contains("not back"), "{}", past.out);
}

#[test]
fn what_somebody_removes_or_recreates_is_theirs() {
    let site = Site::new();
    let services = site.services(3);
    let run = build(&site, &services, &["--method", "pause"]);
    services.remove(0);
    services.replace(1);
    wait_until_said(
        &run,
        &format!(
            "`{}` was removed by somebody else: it will not be brought back",
            services.name(0)
        ),
    );
    wait_until_said(
        &run,
        &format!("`{}` was recreated by somebody else and is theirs now", services.name(1)),
    );
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert_eq!(services.statuses(), ["gone", "running", "running"]);
    let changes: Vec<_> = told(&site, &services).into_iter().map(|(theirs, _)| theirs).collect();
    assert_eq!(changes, [Value::from("removed"), Value::from("recreated"), Value::Null]);
}

#[test]
fn another_replica_of_the_removed_ones_service_that_restarts_is_no_replacement() {
    let site = Site::new();
    let web = |count: usize| Recipe::default().compose("hands-project", &vec!["web"; count]);
    let (services, replica) = (site.start(&web(2), 2), site.start(&web(1), 1));
    let run = build(&site, &services, &["--method", "pause"]);
    services.remove(0);
    wait_until_said(&run, "was removed by somebody else");
    replica.tell(0, "restart");
    // What comes after it on the same connection.
    services.tell(1, "unpause");
    wait_until_said(&run, &unpaused(&services, 1));
    site.go();
    let done = run.wait();
    done.expect_code(7);
    assert!(!done.err.contains("recreated"), "{}", done.err);
    assert!(replica.are("running"));
}

#[test]
fn a_stopped_target_that_somebody_starts_is_theirs() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let run = build(&site, &services, &["--method", "stop"]);
    services.tell(0, "start");
    wait_until_said(
        &run,
        &format!("`{}` was started by somebody else and is theirs now", services.name(0)),
    );
    // And is not started again, though they stop it.
    services.tell(0, "stop");
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert_eq!(
        (services.statuses(), proxy.seen("start")),
        (vec!["exited".to_owned(), "running".to_owned()], 1)
    );
    assert_eq!(told(&site, &services)[0], (Value::from("started"), Value::from(false)));
}

#[test]
fn with_insist_it_is_taken_again_and_brought_back_at_the_end() {
    for (method, verb, status) in [("pause", "unpause", "paused"), ("stop", "start", "exited")] {
        let site = Site::new();
        let services = site.services(2);
        let run = build(&site, &services, &["--insist", "--method", method]);
        services.tell(0, verb);
        wait_until_said(&run, "by somebody else: it is taken again (--insist)");
        wait_until_said(&run, if method == "pause" { "paused again" } else { "stopped again" });
        assert_eq!(services.statuses(), [status, status]);
        site.go();
        run.wait().expect_code(7).expect_said("2 containers running again");
        assert!(services.are("running") && site.journals().is_empty());
        assert_eq!(told(&site, &services)[0], (Value::Null, Value::from(true)), "{method}");
    }
}

#[test]
fn insisting_ends_after_three_times() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let mut run =
        site.makeroom(["--report", "report.json", "--method", "pause", "--pause", &services.all()]);
    let run = begin(&site, run.env("MAKEROOM_INSIST", "1"));
    for times in 1..=4 {
        wait_until("it is paused", || {
            services.are("paused")
                && run.written("err").matches("paused again").count() == times - 1
        });
        services.tell(0, "unpause");
    }
    wait_until_said(
        &run,
        &(unpaused(&services, 0) + " and is theirs now, after it was taken again 3 times"),
    );
    site.go();
    let done = run.wait();
    done.expect_code(7);
    assert_eq!(
        (services.are("running"), done.err.matches("paused again").count(), proxy.seen("unpause")),
        (true, 3, 0),
        "{}",
        done.err
    );
    assert_eq!(told(&site, &services)[0].0, "unpaused");
}

/// Starts every exited one of these services at each look, as health enforcers do; gives what `act`
/// gives.
fn enforced<T>(services: &Services, act: impl FnOnce(&AtomicUsize) -> T) -> T {
    let (looks, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let socket = dockerd::engine().socket();
    let filters = format!(
        "%7B%22status%22%3A%5B%22exited%22%5D%2C%22name%22%3A%5B%22{}%22%5D%7D",
        services.prefix()
    );
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let exited =
                    api::must(&socket, "GET", &format!("/containers/json?filters={filters}"), None)
                        .json();
                for container in exited.as_array().expect("a list") {
                    api::must(
                        &socket,
                        "POST",
                        &format!("/containers/{}/start", container["Id"].as_str().expect("an id")),
                        None,
                    );
                }
                looks.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(200));
            }
        });
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&looks)));
        is_over.store(true, Ordering::SeqCst);
        acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_health_enforcer_finds_nothing_to_do_with_pause_and_wins_with_stop() {
    let site = Site::new();
    let services = site.services(2);
    enforced(&services, |looks| {
        let before = services.states();
        let run = build(&site, &services, &["--method", "pause"]);
        let begun = looks.load(Ordering::SeqCst);
        wait_until("it has looked a few times", || looks.load(Ordering::SeqCst) >= begun + 5);
        assert!(services.are("paused"));
        site.go();
        let done = run.wait();
        done.expect_code(7).expect_said("2 containers running again");
        assert!(!done.err.contains("somebody else"), "{}", done.err);
        assert_eq!(services.states(), before);
        site.again();
        let run = build(&site, &services, &["--method", "stop"]);
        for index in 0..2 {
            wait_until_said(
                &run,
                &format!(
                    "`{}` was started by somebody else and is theirs now",
                    services.name(index)
                ),
            );
        }
        site.go();
        let done = run.wait();
        done.expect_code(7);
        assert!(!done.err.contains("running again"), "{}", done.err);
    });
    let theirs = (Value::from("started"), Value::from(false));
    assert_eq!(told(&site, &services), [theirs.clone(), theirs]);
    assert!(services.are("running") && site.journals().is_empty());
}
