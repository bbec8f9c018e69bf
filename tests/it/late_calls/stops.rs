//! A stop that takes its time.

use std::{fs, time::Duration};

use serde_json::json;

use crate::support::{
    makeroom::wait_until_gone,
    process,
    proxy::{Moment, Proxy},
    services::Recipe,
    site::{Site, UNTIL_GO},
    wait_until,
};

use super::{Slow, expect_waiting};

#[test]
fn a_stop_that_is_slow_is_waited_for_by_the_keeper_and_the_service_runs_again_though_makeroom_has_returned()
 {
    let slow = Slow::new(60);
    let before = slow.services.states();
    let run = slow.run();
    slow.wait_until_told();
    let keeper = run.keeper();
    run.signal(libc::SIGINT);
    let done = run.wait();
    assert_eq!(done.signal(), Some(libc::SIGINT), "{}", done.status);
    done.expect_said(&format!(
        "`{}` runs, and the engine may still stop it until ",
        slow.services.name(0)
    ))
    .expect_said("the keeper waits");
    assert!(slow.services.are("running"));
    expect_waiting(&slow.site, keeper);
    // Nobody is kept from working meanwhile, and the service is left to the one that waits for it.
    let other = slow.site.makeroom(["--pause", &slow.services.all(), "sh", "-c", "exit 3"]).run();
    other
        .expect_code(3)
        .expect_said("by another run: it is left to that one")
        .expect_within(Duration::from_secs(5));
    let status = slow.site.makeroom(["status"]).run();
    status.expect_code(0).expect_within(Duration::from_secs(5));
    let line = format!("awaited  {}, which may still be stopped until ", slow.services.name(0));
    assert!(
        status.out.contains(&line) && status.out.contains("being given back"),
        "{}",
        status.out
    );
    slow.open();
    slow.expect_back(&before);
    wait_until_gone(Duration::from_secs(5), "the keeper", &[keeper]);
}

#[test]
fn recover_waits_for_a_stop_whose_keeper_was_killed_and_says_until_when() {
    let slow = Slow::new(60);
    let before = slow.services.states();
    let mut run = slow.run();
    slow.wait_until_told();
    run.kill_with_keeper();
    let recover = slow.site.makeroom(["recover"]).limit(Duration::from_mins(1)).spawn();
    wait_until("it says until when", || {
        recover.written("err").contains("may still stop it until ")
    });
    // A run that comes by does not wait, and touches nothing.
    let other = slow.site.makeroom(["--pause", &slow.services.all(), "sh", "-c", "exit 3"]).run();
    other
        .expect_code(3)
        .expect_said("it is left to that one")
        .expect_within(Duration::from_secs(8));
    slow.open();
    recover.wait().expect_code(0).expect_said("1 container running again");
    slow.expect_back(&before);
}

#[test]
fn a_run_that_comes_by_leaves_a_slow_stop_of_a_dead_lease_recorded_for_recover() {
    let slow = Slow::new(60);
    let mut run = slow.run();
    slow.wait_until_told();
    run.kill_with_keeper();
    let other = slow.site.makeroom(["--pause", &slow.services.all(), "sh", "-c", "exit 3"]).run();
    other
        .expect_code(3)
        .expect_said("may still stop it until ")
        .expect_said("`makeroom recover` waits for it");
    other.expect_within(Duration::from_secs(8));
    assert_eq!(slow.site.journals().len(), 1);
    slow.open();
    slow.services.wait_until_all("exited");
    slow.site.makeroom(["recover"]).run().expect_code(0).expect_said("1 container running again");
    assert!(slow.services.are("running") && slow.site.journals().is_empty());
}

#[test]
fn a_stop_without_a_limit_is_waited_for_until_it_happens() {
    let slow = Slow::new(-1);
    let before = slow.services.states();
    let run = slow.run();
    slow.wait_until_told();
    let keeper = run.keeper();
    run.signal(libc::SIGTERM);
    run.wait().expect_said("may still stop it at any time");
    assert!(process::runs(keeper));
    slow.open();
    slow.expect_back(&before);
}

#[test]
fn a_stop_that_start_was_interrupted_in_is_waited_for_as_well() {
    let slow = Slow::new(60);
    let before = slow.services.states();
    let run =
        slow.site.makeroom(["start", "--method", "stop", "--pause", &slow.services.all()]).spawn();
    slow.wait_until_told();
    let keeper = run.keeper();
    run.signal(libc::SIGTERM);
    run.wait();
    expect_waiting(&slow.site, keeper);
    slow.open();
    slow.expect_back(&before);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_slow_stop_under_memory_pressure_is_waited_for_when_the_build_is_over() {
    let slow = Slow::new(60);
    let before = slow.services.states();
    // Less than this is always available.
    let run = slow
        .site
        .makeroom([
            "--method",
            "stop",
            "--then",
            &slow.services.all(),
            "--floor",
            "1000GiB",
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    slow.site.child();
    slow.wait_until_told();
    let keeper = run.keeper();
    slow.site.go();
    run.wait()
        .expect_code(7)
        .expect_said("may still stop it until ")
        .expect_within(Duration::from_secs(15));
    expect_waiting(&slow.site, keeper);
    slow.open();
    slow.expect_back(&before);
}

#[test]
fn where_the_keeper_that_waits_is_told_to_end_the_lease_stays_for_recover() {
    let slow = Slow::new(60);
    let before = slow.services.states();
    let run = slow.run();
    slow.wait_until_told();
    let keeper = run.keeper();
    run.signal(libc::SIGTERM);
    run.wait();
    process::signal(keeper, libc::SIGTERM);
    wait_until_gone(Duration::from_secs(40), "the keeper", &[keeper]);
    assert_eq!(slow.site.journals().len(), 1);
    slow.open();
    slow.site.makeroom(["recover"]).limit(Duration::from_mins(1)).run().expect_code(0);
    slow.expect_back(&before);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn with_strict_a_service_that_may_still_be_stopped_is_not_a_success() {
    let slow = Slow::new(60);
    let before = slow.services.states();
    // A build that ends by itself while the stop under pressure is under way; nothing is waited
    // for.
    let script = "echo $$ >child; while ! [ -e go ]; do sleep 0.02; done; exit 0";
    let mut run = slow.site.makeroom([
        "--strict",
        "--restore-timeout",
        "1s",
        "--method",
        "stop",
        "--then",
        &slow.services.all(),
    ]);
    let run = run.args(["--floor", "1000GiB", "sh", "-c", script]).spawn();
    slow.site.child();
    slow.wait_until_told();
    slow.site.go();
    run.wait().expect_code(125).expect_said("may still stop it until ");
    slow.open();
    slow.expect_back(&before);
}

#[test]
fn a_service_that_was_started_again_though_a_dead_keepers_stop_may_still_come_is_said_to_run() {
    let slow = Slow::new(2);
    let before = slow.services.states();
    let run = slow.run();
    slow.wait_until_told();
    let first = run.keeper();
    process::signal(first, libc::SIGKILL);
    let second = run.keeper_other_than(first);
    slow.open();
    slow.site.child();
    assert!(slow.services.are("exited"), "{:?}", slow.services.statuses());
    slow.site.go();
    let done = run.wait();
    done.expect_code(7).expect_said("1 container running again");
    let now = slow.services.states();
    assert!(slow.services.are("running") && now != before);
    // Nothing comes, and what makeroom itself has started is no stranger's.
    wait_until_gone(Duration::from_secs(50), "the keeper", &[second]);
    assert_eq!(slow.services.states(), now);
    assert!(slow.site.journals().is_empty(), "{:?}", slow.site.journals());
}

#[test]
fn a_stop_without_a_limit_that_was_never_sent_is_not_waited_for() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.start(&Recipe::default().field("StopTimeout", json!(-1)), 1);
    let before = services.states();
    // The last look before it is stopped.
    let held = proxy.hold("inspect", 2, Moment::Before);
    let run = site
        .makeroom([
            "--method",
            "stop",
            "--restore-timeout",
            "1s",
            "--pause",
            &services.all(),
            "sh",
            "-c",
            "exit 7",
        ])
        .spawn();
    held.wait();
    let keeper = run.keeper();
    fs::remove_file(proxy.socket()).expect("a socket");
    held.release();
    run.wait()
        .expect_code(7)
        .expect_said(&format!("cannot stop `{}`: the engine cannot be reached", services.name(0)));
    wait_until_gone(Duration::from_secs(10), "the keeper", &[keeper]);
    assert_eq!((services.states(), site.journals().len()), (before, 0));
}
