//! How a lease ends: by `stop`, its time, a process, a kill; and beside runs.

use std::time::{Duration, Instant};

use crate::support::{
    makeroom::wait_until_gone,
    process,
    proxy::{Moment, Proxy},
    site::{Site, UNTIL_GO},
    wait_until,
};

use super::{assert_nothing_held, start, status, stop};

#[test]
fn stop_with_nothing_held_is_no_error() {
    let site = Site::new();
    for words in [&[][..], &["--all"], &["ci"], &["0123456789ab"]] {
        let done = stop(&site, words);
        done.expect_code(0);
        assert_eq!(done.out, "");
    }
    assert!(!site.state().exists(), "there was nothing to make");
    site.makeroom(["true"]).run().expect_code(0);
    stop(&site, &[]).expect_code(0);
}

#[test]
fn stop_alone_with_two_held_names_both_and_ends_none() {
    let site = Site::new();
    let (one, two) = (site.services(1), site.services(1));
    let (first, second) = (start(&site, &one, &["--name", "first"]), start(&site, &two, &[]));
    let done = stop(&site, &[]);
    done.expect_code(125).expect_said("first").expect_said(&second).expect_said("--all");
    assert!(one.are("paused") && two.are("paused"));
    stop(&site, &[&first, &second]).expect_code(0);
    assert!(one.are("running") && two.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn stop_never_ends_the_lease_of_a_run() {
    let site = Site::new();
    let (ran, started) = (site.services(1), site.services(1));
    let run = site.makeroom(["--pause", &ran.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let id = site.journals()[0].file_stem().expect("a name").to_string_lossy().into_owned();
    stop(&site, &[&id]).expect_code(125).expect_said(&id).expect_said("run");
    start(&site, &started, &[]);
    for words in [&[][..], &["--all"]] {
        stop(&site, words).expect_code(0);
        assert!(ran.are("paused") && started.are("running"), "{words:?}");
    }
    assert_eq!(status(&site)["leases"][0]["kind"], "run");
    site.go();
    run.wait().expect_code(7);
    assert!(ran.are("running"));
}

#[test]
fn after_its_ttl_a_lease_ends_by_itself() {
    let site = Site::new();
    let services = site.services(2);
    let begun = Instant::now();
    start(&site, &services, &["--ttl", "1s"]);
    services.wait_until_all("running");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_nothing_held(&site);
}

#[test]
fn a_lease_ends_with_the_process_that_it_was_made_for_though_nobody_reaps_it() {
    let site = Site::new();
    let services = site.services(2);
    let step = site.command("sleep").args(["600"]).spawn();
    start(&site, &services, &["--while-pid", &step.pid().to_string()]);
    assert!(services.are("paused"));
    step.signal(libc::SIGKILL);
    services.wait_until_all("running");
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_nothing_held(&site);
}

#[test]
fn stop_restores_by_itself_where_the_keeper_was_killed() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    start(&site, &services, &["--name", "ci"]);
    process::signal(site.keepers()[0], libc::SIGKILL);
    wait_until("the keeper is gone", || site.keepers().is_empty());
    assert!(services.are("paused"));
    stop(&site, &["ci"]).expect_code(0).expect_said("2 containers running again");
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty());
}

#[test]
fn a_keeper_that_is_told_to_end_restores_first() {
    let site = Site::new();
    let services = site.services(2);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        start(&site, &services, &[]);
        let keepers = site.keepers();
        process::signal(keepers[0], signal);
        services.wait_until_all("running");
        wait_until_gone(crate::support::PATIENCE, "the keeper", &keepers);
        assert_nothing_held(&site);
    }
}

#[test]
fn a_start_that_is_killed_half_way_leaves_nothing_paused() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(3);
    let held = proxy.hold("pause", 2, Moment::After);
    let mut run = site.makeroom(["start", "--pause", &services.all()]).spawn();
    held.wait();
    run.kill();
    held.release();
    services.wait_until_all("running");
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_nothing_held(&site);
}

#[test]
fn a_run_beside_a_started_lease_leaves_its_targets_paused() {
    let site = Site::new();
    let (both, ran_only) = (site.services(2), site.services(1));
    let before = both.states();
    start(&site, &both, &["--name", "ci"]);
    let mut run =
        site.makeroom(["--pause", &both.all(), "--pause", &ran_only.all(), "sh", "-c", UNTIL_GO]);
    let run = run.spawn();
    site.child();
    assert!(both.are("paused") && ran_only.are("paused"));
    site.go();
    run.wait().expect_code(7).expect_said("2 of them by another run already");
    assert!(
        both.are("paused") && ran_only.are("running"),
        "{:?} {:?}",
        both.statuses(),
        ran_only.statuses()
    );
    stop(&site, &[]).expect_code(0);
    assert_eq!(both.states(), before);
    assert_nothing_held(&site);
}

#[test]
fn a_lease_that_ends_beside_a_run_leaves_the_runs_targets_paused() {
    let site = Site::new();
    let services = site.services(2);
    start(&site, &services, &["--name", "ci"]);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    stop(&site, &["ci"]).expect_code(0).expect_said("left to another run");
    assert!(services.are("paused"));
    site.go();
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn stop_ends_a_lease_from_a_directory_that_was_deleted() {
    let site = Site::new();
    let services = site.services(1);
    start(&site, &services, &["--name", "ci"]);
    let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" stop ci";
    let done = site.command("sh").args(["-c", script, env!("CARGO_BIN_EXE_makeroom")]).run();
    done.expect_code(0).expect_said("1 container running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}
