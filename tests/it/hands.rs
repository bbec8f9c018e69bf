//! Somebody else's hand: a target that is unpaused, started, removed or recreated by someone else
//! while a build runs is theirs from then on, said and reported; with `--insist` it is taken again,
//! a few times.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    api, dockerd,
    figures::Figures,
    makeroom::{Run, Running},
    process,
    proxy::{Deed, Moment, Proxy},
    schema,
    services::{Recipe, Services},
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
    run.wait().expect_code(7).expect_said("1 service running again");
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
fn what_happens_before_the_engine_is_listened_to_is_seen_all_the_same() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("events", 1, Moment::Before);
    let run = build(&site, &services, &["--method", "pause"]);
    held.wait();
    services.tell(0, "unpause");
    held.release();
    wait_until_said(&run, &unpaused(&services, 0));
    site.go();
    run.wait().expect_code(7);
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
    run.wait().expect_code(7).expect_said("1 service running again");
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
    run.wait().expect_code(7).expect_said("1 service running again");
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
        run.wait().expect_code(7).expect_said("2 services running again");
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
        done.expect_code(7).expect_said("2 services running again");
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

#[test]
fn the_next_keeper_goes_on_following_and_sees_what_was_done_before_it_came() {
    let site = Site::new();
    let services = site.services(3);
    let run = build(&site, &services, &["--method", "pause"]);
    let keeper = run.keeper();
    run.signal(libc::SIGSTOP);
    process::signal(keeper, libc::SIGKILL);
    wait_until("there is no keeper", || !process::runs(keeper));
    services.tell(0, "unpause");
    run.signal(libc::SIGCONT);
    wait_until_said(&run, &unpaused(&services, 0));
    services.tell(1, "unpause");
    wait_until_said(&run, &unpaused(&services, 1));
    site.go();
    run.wait().expect_code(7).expect_said("1 service running again");
    assert!(services.are("running"));
}

#[test]
fn a_connection_that_breaks_is_made_again_and_what_happened_meanwhile_is_seen() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(3);
    proxy.on("events", Some(1), Deed::Cut(Moment::Before));
    let again = proxy.hold("ping", 2, Moment::Before);
    let run = build(&site, &services, &["-v", "--method", "pause"]);
    again.wait();
    services.tell(0, "unpause");
    // As the restart policies of an engine that was away do.
    services.tell(1, "restart");
    again.release();
    wait_until_said(&run, &unpaused(&services, 0));
    wait_until_said(
        &run,
        &format!("`{}` was started while the engine was away: it is left alone", services.name(1)),
    );
    services.tell(2, "unpause");
    wait_until_said(&run, &unpaused(&services, 2));
    site.go();
    let done = run.wait();
    done.expect_code(7);
    assert_eq!(done.err.matches("somebody else").count(), 2, "{}", done.err);
    assert_eq!((services.are("running"), told(&site, &services)[1].0.clone()), (true, Value::Null));
}

#[test]
fn an_engine_that_tells_no_events_is_one_detail_and_the_end_finds_what_was_done() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    proxy.on("events", None, Deed::Answer(403, r#"{"message":"not for you"}"#));
    let run = build(&site, &services, &["-v", "--method", "pause"]);
    wait_until_said(&run, "the engine's events are not followed: the engine says 403: not for you");
    services.tell(0, "unpause");
    site.go();
    run.wait().expect_code(7).expect_said("1 service running again");
    assert_eq!(
        (services.are("running"), proxy.seen("events"), proxy.seen("unpause")),
        (true, 1, 1)
    );
}

#[test]
fn where_nothing_is_held_nothing_is_followed() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    site.makeroom(["--then", &services.all(), "sleep", "1"]).run().expect_code(0);
    assert_eq!(proxy.seen("events"), 0);
}

#[test]
fn a_run_that_shares_a_target_and_ends_is_nobody_else() {
    let site = Site::new();
    let services = site.services(2);
    let first = build(&site, &services, &["--method", "pause"]);
    let second = site.makeroom(["--method", "pause", "--pause", &services.all(), "true"]).run();
    second.expect_code(0).expect_said("2 services left to another run");
    let report = site.makeroom(["report"]).run().out;
    assert!(
        report.contains("left        to another run that needs them: ")
            && !report.contains("not back"),
        "{report}"
    );
    services.tell(0, "unpause");
    wait_until_said(&first, &unpaused(&services, 0));
    site.go();
    let done = first.wait();
    done.expect_code(7).expect_said("1 service running again");
    assert_eq!(done.err.matches("somebody else").count(), 1, "{}", done.err);
}

#[test]
fn a_started_lease_lets_go_as_well() {
    let site = Site::new();
    let services = site.services(2);
    site.makeroom(["start", "--name", "x", "--method", "pause", "--pause", &services.all()])
        .run()
        .expect_code(0);
    services.tell(0, "unpause");
    let journal = site.journals().pop().expect("a journal");
    wait_until("it is let go", || {
        fs::read_to_string(&journal).is_ok_and(|text| text.contains("theirs"))
    });
    services.tell(0, "pause");
    site.makeroom(["stop", "x"]).run().expect_code(0).expect_said("1 service running again");
    assert_eq!(services.statuses(), ["paused", "running"]);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_step_leaves_alone_what_is_theirs() {
    let (site, figures) = (Site::new(), Figures::new(9000));
    let services = site.services(2);
    let mut run = site.makeroom([
        "--method",
        "pause",
        "--floor",
        "500MiB",
        "--pause",
        services.name(0),
        "--then",
        &services.all(),
    ]);
    figures.over(&mut run);
    let run = begin(&site, &mut run);
    services.tell(0, "unpause");
    wait_until_said(&run, &unpaused(&services, 0));
    figures.available(400);
    wait_until_said(&run, "1 more service paused");
    assert_eq!(services.statuses(), ["running", "paused"]);
    site.go();
    run.wait().expect_code(7).expect_said("1 service running again");
    assert!(services.are("running"));
}
