//! `--linger`: the room of a build stays for the next one, which joins it; builds in a row have
//! their services paused once; the end of the time, `stop`, a signal or `recover` puts everything
//! back; and a build that was ended from outside leaves nothing.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    makeroom::{Done, wait_until_gone},
    process,
    proxy::{Moment, Proxy},
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

const STAYS: &str = "stay paused for 1h 0m more (--linger)";

/// A build whose room is kept for so long.
#[track_caller]
fn build(site: &Site, services: &Services, linger: &str, command: &[&str]) -> Done {
    site.makeroom(["--pause", &services.all(), "--linger", linger]).args(command).run()
}

#[track_caller]
fn leases(site: &Site) -> Vec<Value> {
    let done = site.makeroom(["status", "--json"]).run();
    let status: Value = serde_json::from_str(&done.expect_code(0).out).expect("JSON");
    status["leases"].as_array().cloned().expect("leases")
}

#[track_caller]
fn assert_nothing_held(site: &Site) {
    wait_until("no keeper is left", || site.keepers().is_empty());
    assert!(site.journals().is_empty(), "{:?}", site.journals());
    let left = fs::read_dir(site.state().join("leases")).into_iter().flatten().count();
    assert_eq!(left, 0, "something is left beside the journals");
}

#[test]
fn after_the_build_its_services_stay_paused_until_the_time_is_over() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let begun = Instant::now();
    build(&site, &services, "2s", &["true"])
        .expect_code(0)
        .expect_said("2 containers stay paused for 2.0 s more (--linger)");
    services.wait_until_all("running");
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_eq!(services.states(), before);
    assert_nothing_held(&site);
}

#[test]
fn a_failed_build_leaves_its_room_as_well_and_its_exit_code_is_makerooms() {
    let site = Site::new();
    let services = site.services(2);
    let done = build(&site, &services, "1h", &["sh", "-c", "exit 7"]);
    done.expect_code(7).expect_said(STAYS).expect_said("the build failed by itself with 7");
    assert!(services.are("paused") && !done.err.contains("error:"), "{}", done.err);
    site.makeroom(["stop"]).run().expect_code(0).expect_said("2 containers running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn status_shows_a_kept_room_with_its_end_and_stop_ends_it() {
    let site = Site::new();
    let services = site.services(2);
    build(&site, &services, "1h", &["true"]).expect_code(0);
    let leases = leases(&site);
    let lease = &leases[0];
    assert_eq!(
        (leases.len(), &lease["alive"], &lease["kind"], &lease["program"]),
        (1, &true.into(), &"start".into(), &"true".into())
    );
    let until = lease["lingers_until"].as_str().expect("a time").to_owned();
    let shown = site.makeroom(["status"]).run().out;
    assert!(
        shown.contains(&format!("kept after `true` until {until}"))
            && shown.contains(services.name(1)),
        "{shown}"
    );
    let id = lease["lease"].as_str().expect("an id").to_owned();
    site.makeroom(["stop", &id]).run().expect_code(0).expect_said("2 containers running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn a_next_run_joins_the_room_and_asks_the_engine_for_nothing() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(3);
    build(&site, &services, "1h", &["true"]).expect_code(0);
    let calls = || ["pause", "unpause", "stop", "start"].map(|call| proxy.seen(call));
    let before = calls();
    let done = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 7"]).run();
    done.expect_code(7)
        .expect_said("3 containers paused, 3 of them by another run already")
        .expect_said("left to another run");
    assert!(calls() == before && services.are("paused"));
    site.makeroom(["stop"]).run().expect_code(0).expect_said("3 containers running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn what_was_begun_in_the_ended_build_has_a_room_of_its_own() {
    let site = Site::new();
    let services = site.services(1);
    let lease = build(&site, &services, "1h", &["sh", "-c", "echo $MAKEROOM_LEASE"])
        .expect_code(0)
        .out
        .trim()
        .to_owned();
    let later = site
        .makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO])
        .env("MAKEROOM_LEASE", &lease)
        .spawn();
    site.child();
    site.makeroom(["stop", &lease]).run().expect_code(0);
    assert!(services.are("paused"), "{:?}", services.statuses());
    site.go();
    later.wait().expect_code(7).expect_said("1 container running again");
    assert_nothing_held(&site);
}

#[test]
fn ten_builds_in_a_row_pause_once_and_the_last_ones_time_counts() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    for _ in 0..9 {
        build(&site, &services, "1h", &["true"]).expect_code(0).expect_said(STAYS);
        assert!(services.are("paused"));
    }
    wait_until("one lease is left", || site.keepers().len() == 1 && site.journals().len() == 1);
    build(&site, &services, "1s", &["true"]).expect_code(0);
    services.wait_until_all("running");
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_eq!((proxy.seen("pause"), proxy.seen("unpause")), (2, 2));
    assert_eq!(services.states(), before);
    assert_nothing_held(&site);
}

#[test]
fn a_run_with_fewer_targets_leaves_the_kept_room_to_its_own_time() {
    let site = Site::new();
    let services = site.services(2);
    build(&site, &services, "1h", &["true"]).expect_code(0);
    let first = leases(&site)[0]["lease"].clone();
    site.makeroom(["--pause", services.name(0), "--linger", "1s", "true"])
        .run()
        .expect_code(0)
        .expect_said("1 container stays paused");
    wait_until("the second one's time is over", || site.journals().len() == 1);
    assert!(services.are("paused") && leases(&site)[0]["lease"] == first);
    site.makeroom(["stop"]).run().expect_code(0).expect_said("2 containers running again");
    assert_nothing_held(&site);
}

#[test]
fn a_build_that_was_ended_from_outside_leaves_nothing_paused() {
    for (signal, options) in
        [(Some(libc::SIGTERM), &[][..]), (Some(libc::SIGINT), &[]), (None, &["--timeout", "200ms"])]
    {
        let site = Site::new();
        let services = site.services(1);
        let run = site
            .makeroom(["--pause", &services.all(), "--linger", "1h"])
            .args(options)
            .args(["sh", "-c", UNTIL_GO])
            .spawn();
        site.child();
        if let Some(signal) = signal {
            run.signal(signal);
        }
        let done = run.wait();
        assert!(!done.status.success() && !done.err.contains("--linger)"), "{}", done.err);
        services.wait_until_all("running");
        assert_nothing_held(&site);
    }
}

#[test]
fn a_command_that_cannot_be_run_and_a_build_without_targets_leave_nothing() {
    let site = Site::new();
    let services = site.services(1);
    build(&site, &services, "1h", &["/nonexistent/program"]).expect_code(127);
    assert!(services.are("running"));
    let done = site.makeroom(["--linger", "1h", "true"]).run();
    assert!(!done.expect_code(0).err.contains("--linger)"), "{}", done.err);
    assert_nothing_held(&site);
}

#[test]
fn the_keeper_of_a_kept_room_that_is_told_to_end_restores_first() {
    let site = Site::new();
    let services = site.services(1);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        build(&site, &services, "1h", &["true"]).expect_code(0);
        let keepers = site.keepers();
        process::signal(keepers[0], signal);
        services.wait_until_all("running");
        wait_until_gone(crate::support::PATIENCE, "the keeper", &keepers);
        assert_nothing_held(&site);
    }
}

#[test]
fn what_a_killed_keeper_kept_is_put_back_by_recover_by_stop_and_by_the_next_run() {
    for command in [&["recover"][..], &["stop"], &["true"]] {
        let site = Site::new();
        let services = site.services(2);
        build(&site, &services, "1h", &["true"]).expect_code(0);
        process::signal(site.keepers()[0], libc::SIGKILL);
        wait_until("the keeper is gone", || site.keepers().is_empty());
        assert!(services.are("paused"));
        site.makeroom(command).run().expect_code(0).expect_said("2 containers running again");
        assert!(services.are("running"), "{command:?}");
        assert_nothing_held(&site);
    }
}

#[test]
fn a_next_run_that_is_killed_puts_back_what_it_carried_on() {
    let site = Site::new();
    let services = site.services(2);
    build(&site, &services, "1h", &["true"]).expect_code(0);
    let mut run =
        site.makeroom(["--pause", &services.all(), "--linger", "1h", "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    wait_until("the kept lease is carried on", || site.journals().len() == 1);
    assert!(services.are("paused"));
    run.kill();
    services.wait_until_all("running");
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_nothing_held(&site);
}

#[test]
fn an_engine_that_hangs_at_the_end_of_the_time_is_waited_for() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("unpause", 1, Moment::Before);
    build(&site, &services, "500ms", &["true"]).expect_code(0);
    held.wait();
    // A run that begins meanwhile waits for it, and takes what is given back.
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    held.release();
    site.child();
    assert!(services.are("paused"));
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn the_hook_tells_that_everything_is_back_when_the_time_is_over_and_not_before() {
    let site = Site::new();
    let services = site.services(1);
    let count = site.path("count");
    let hook = format!("echo $MAKEROOM_EXIT >>{}", count.display());
    for code in ["exit 3", "exit 4"] {
        site.makeroom([
            "--pause",
            &services.all(),
            "--linger",
            "1h",
            "--on-restored",
            &hook,
            "sh",
            "-c",
            code,
        ])
        .run();
    }
    wait_until("the first lease was carried on", || {
        site.journals().len() == 1 && site.keepers().len() == 1
    });
    assert!(!count.exists());
    site.makeroom(["stop"]).run().expect_code(0);
    assert_eq!(fs::read_to_string(count).expect("told"), "4\n");
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "swap and reclaim are the Linux host's")]
fn builds_in_a_row_share_one_swap_area_which_goes_with_the_last() {
    let turn = swap::turn();
    let site = Site::new();
    let services = site.hogs(&Recipe::hog(96), 2);
    let file = turn.dir().join("swapfile").display().to_string();
    // More than is free by chance, so that an area is made.
    let wish = format!("{}MiB", 256 + (free_swap_bytes() >> 20));
    let run = || {
        let run = build(&site, &services, "1h", &["--swap", &wish, "--swap-file", &file, "true"]);
        wait_until("the lease before is carried on", || site.journals().len() == 1);
        (run.expect_code(0).err.clone(), turn.new_areas())
    };
    let (said, areas) = run();
    assert!(said.contains("given back") && areas.len() == 1, "{areas:?}\n{said}");
    for _ in 0..3 {
        let (said, areas_now) = run();
        assert!(!said.contains("given back") && !said.contains("made for this run"), "{said}");
        assert_eq!(areas_now, areas);
    }
    site.makeroom(["stop"]).run().expect_code(0).expect_said("swap removed");
    assert!(services.are("running") && turn.new_areas().is_empty() && !Path::new(&file).exists());
    assert_nothing_held(&site);
}

fn free_swap_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").expect("figures");
    let kibibytes = meminfo.lines().find_map(|line| {
        line.strip_prefix("SwapFree:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kibibytes.expect("a figure") << 10
}
