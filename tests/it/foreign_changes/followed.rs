//! How it is seen: by events, and by a look where there were none.

use std::fs;

use serde_json::Value;

use crate::support::{
    figures::Figures,
    process,
    proxy::{Deed, Moment, Proxy},
    site::Site,
    wait_until,
};

use super::{begin, build, told, unpaused, wait_until_said};

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
    run.wait().expect_code(7).expect_said("1 container running again");
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
    run.wait().expect_code(7).expect_said("1 container running again");
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
    second.expect_code(0).expect_said("2 containers left to another run");
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
    done.expect_code(7).expect_said("1 container running again");
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
    site.makeroom(["stop", "x"]).run().expect_code(0).expect_said("1 container running again");
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
    wait_until_said(&run, "1 more container paused");
    assert_eq!(services.statuses(), ["running", "paused"]);
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert!(services.are("running"));
}
