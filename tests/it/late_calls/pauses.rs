//! A pause that is held back on its way.

use std::{fs, time::Duration};

use serde_json::json;

use crate::support::{
    journal::line,
    makeroom::{Running, wait_until_gone},
    process,
    proxy::{Held, Moment, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
    wait_until,
};

use super::{Slow, expect_waiting};

#[test]
fn a_pause_that_is_held_back_on_its_way_is_brought_back_whenever_it_comes() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    let held = [proxy.hold("pause", 1, Moment::Before), proxy.hold("pause", 2, Moment::Before)];
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", "touch started"]).spawn();
    for held in &held {
        held.wait();
    }
    let keeper = run.keeper();
    run.signal(libc::SIGTERM);
    run.wait().expect_said("may still pause them until ").expect_within(Duration::from_secs(10));
    assert!(services.are("running"));
    expect_waiting(&site, keeper);
    for held in &held {
        held.release();
    }
    wait_until("nothing is recorded", || site.journals().is_empty());
    assert_eq!(services.states(), before);
    assert!(!site.work().join("started").exists());
}

#[test]
fn a_pause_that_is_held_back_when_both_processes_are_killed_is_waited_for_by_recover() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let before = services.states();
    let held = proxy.hold("pause", 1, Moment::Before);
    let mut run = site.makeroom(["--pause", &services.all(), "true"]).spawn();
    held.wait();
    run.kill_with_keeper();
    let recover = site.makeroom(["recover"]).limit(Duration::from_mins(1)).spawn();
    wait_until("it says until when", || {
        recover.written("err").contains("may still pause it until ")
    });
    held.release();
    recover.wait().expect_code(0).expect_said("it came: 1 container running again");
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

/// A build whose first keeper was killed over a pause that is held; the second one's own is not.
fn taken_over(proxy: &Proxy, site: &Site, services: &Services) -> (Held, Running, i32) {
    let held = proxy.hold("pause", 1, Moment::Before);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    held.wait();
    let first = run.keeper();
    process::signal(first, libc::SIGKILL);
    let second = run.keeper_other_than(first);
    site.child();
    assert!(services.are("paused"));
    (held, run, second)
}

#[test]
fn a_keeper_that_took_over_does_not_forget_the_pause_that_the_one_before_it_had_sent() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let before = services.states();
    let (held, run, second) = taken_over(&proxy, &site, &services);
    run.signal(libc::SIGTERM);
    let done = run.wait();
    done.expect_said("may still pause it until ");
    held.release();
    services.wait_until_all("running");
    // Nobody knows how many calls were under way: the time is waited out.
    wait_until_gone(Duration::from_secs(40), "the keeper", &[second]);
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_run_that_shares_a_service_waits_for_the_pause_that_a_killed_keeper_of_the_other_had_sent() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let before = services.states();
    let (held, first, _) = taken_over(&proxy, &site, &services);
    let second = site.makeroom(["--pause", &services.all(), "sleep", "300"]).spawn();
    wait_until("it shares the service", || {
        second.written("err").contains("by another run already")
    });
    let keeper = second.keeper();
    first.signal(libc::SIGTERM);
    first.wait().expect_said("1 container left to another run that needs them");
    second.signal(libc::SIGTERM);
    second.wait().expect_said("may still pause it until ");
    held.release();
    services.wait_until_all("running");
    wait_until_gone(Duration::from_secs(40), "the keeper", &[keeper]);
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_clock_that_is_moved_ends_no_waiting() {
    let slow = Slow::new(60);
    let before = slow.services.states();
    let mut run = slow.run();
    slow.wait_until_told();
    run.kill_with_keeper();
    // As if it had been announced two hours ago by the clock on the wall.
    let journal = slow.site.journals().remove(0);
    let moved: Vec<String> = fs::read_to_string(&journal)
        .expect("a journal")
        .lines()
        .map(|before| {
            let mut record: serde_json::Value =
                serde_json::from_str(&before[9..]).expect("a record");
            if record["record"] == "taking" {
                record["call"]["at"] = json!("2026-01-01T00:00:00Z");
            }
            line(&record)
        })
        .collect();
    fs::write(&journal, moved.concat()).expect("written");
    let recover = slow.site.makeroom(["recover"]).limit(Duration::from_mins(1)).spawn();
    wait_until("it waits", || recover.written("err").contains("may still stop it until "));
    let second = slow.site.makeroom(["recover"]).run();
    second
        .expect_code(0)
        .expect_said("may still stop it until ")
        .expect_said("another process waits for that");
    slow.open();
    recover.wait().expect_code(0).expect_said("1 container running again");
    slow.expect_back(&before);
}
