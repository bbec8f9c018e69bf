//! What pausing is worth: the paused services' memory goes to swap, the figures that are said are
//! the ones measured here, and every process and byte is there again afterwards. And where swap
//! cannot hold it: services are stopped, and started again in order. Each test has the machine's
//! swap to itself.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    cgroup::{held_bytes, is_v1},
    disk::Disk,
    makeroom::Done,
    process,
    proxy::{Moment, Proxy},
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

const MIB: u64 = 1 << 20;

fn all_held_bytes(services: &Services) -> u64 {
    services.states().into_iter().map(|state| held_bytes(&state.expect("there"))).sum()
}

/// Each service's sums so far; another one is asked for first.
fn sums(services: &Services) -> Vec<Vec<String>> {
    let before: Vec<usize> =
        (0..services.count()).map(|index| services.log(index).lines().count()).collect();
    for index in 0..services.count() {
        services.tell(index, "kill?signal=USR1");
    }
    wait_until("each has summed up again", || {
        (0..services.count()).all(|index| services.log(index).lines().count() > before[index])
    });
    (0..services.count())
        .map(|index| services.log(index).lines().map(str::to_owned).collect())
        .collect()
}

/// What is said to be given back, in bytes.
#[track_caller]
fn said_given_back(done: &Done) -> f64 {
    let pattern = regex::Regex::new(r"([0-9.]+) (KiB|MiB|GiB) given back").expect("a pattern");
    let found =
        pattern.captures(&done.err).unwrap_or_else(|| panic!("no figure in:\n{}", done.err));
    let unit = match &found[2] {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        _ => 1024.0 * 1024.0 * 1024.0,
    };
    found[1].parse::<f64>().expect("a number") * unit
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance of one twentieth")]
fn half_a_gibibyte_of_services_goes_to_swap_and_comes_back_whole() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 1400), Site::new());
    let services = site.hogs(&Recipe::hog(100), 5);
    let (states, sums_before) = (services.states(), sums(&services));
    let path = disk.folder("swap").join("area");
    let before = all_held_bytes(&services);
    assert!(before > 500 * MIB, "{before}");
    let mut run = site.makeroom(["--pause", &services.all(), "--swap", "1GiB", "--swap-file"]);
    let run = run.args([&path]).args(["sh", "-c", UNTIL_GO]).limit(Duration::from_mins(2)).spawn();
    // A reclaim under load takes longer than most conditions.
    crate::support::wait_within(Duration::from_mins(1), "the build", || {
        site.work().join("child").exists()
    });
    assert!(services.are("paused"), "{:?}", services.statuses());
    let during = all_held_bytes(&services);
    assert!(during <= 25 * MIB, "{} MiB of {} are left", during / MIB, before / MIB);
    site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("5 containers paused")
        .expect_said("5 containers running again")
        .expect_said("swap removed");
    let (said, measured) = (said_given_back(&done), (before - during) as f64);
    assert!((said - measured).abs() <= measured / 20.0, "said {said}, measured {measured}");
    assert!(!done.err.contains("under half"), "{}", done.err);
    // The same processes, started when they were, with the same bytes.
    assert_eq!(services.states(), states);
    for (now, before) in sums(&services).iter().zip(&sums_before) {
        assert!(now.len() > before.len() && now.iter().all(|sum| *sum == before[0]), "{now:?}");
    }
    assert!(disk.areas().is_empty() && !path.exists());
}

#[test]
fn with_no_reclaim_services_are_paused_and_keep_their_memory() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), Site::new());
    let services = site.hogs(&Recipe::hog(50), 2);
    let before = all_held_bytes(&services);
    let mut run = site.makeroom([
        "--pause",
        &services.all(),
        "--no-reclaim",
        "--swap",
        "200MiB",
        "--swap-file",
    ]);
    let run = run.args([disk.folder("swap").join("area")]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("paused"));
    let during = all_held_bytes(&services);
    site.go();
    let done = run.wait();
    assert!(during >= before / 20 * 19, "{before} before, {during} during the build");
    done.expect_code(7).expect_said("2 containers paused");
    assert!(!done.err.contains("given back"), "{}", done.err);
}

#[test]
fn a_service_that_may_not_swap_is_named_with_the_reason() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), Site::new());
    let (may_not, reason) = if is_v1() {
        (Recipe::hog(50).host("MemorySwappiness", json!(0)), "its swappiness is 0")
    } else {
        (
            Recipe::hog(50).host("Memory", json!(200 * MIB)).host("MemorySwap", json!(200 * MIB)),
            "it may not use swap",
        )
    };
    let (willing, may_not) = (site.hogs(&Recipe::hog(50), 1), site.hogs(&may_not, 1));
    let before = (all_held_bytes(&willing), all_held_bytes(&may_not));
    let mut run = site.makeroom([
        "--method",
        "pause",
        "--pause",
        &willing.all(),
        "--pause",
        &may_not.all(),
        "--swap",
        "200MiB",
        "--swap-file",
    ]);
    let run = run.args([disk.folder("swap").join("area")]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let during = (all_held_bytes(&willing), all_held_bytes(&may_not));
    site.go();
    let done = run.wait();
    assert!(
        during.0 < before.0 / 10 && during.1 > before.1 / 2,
        "{before:?} before, {during:?} during the build"
    );
    done.expect_code(7).expect_said(&format!(
        "`{}` gave back under half of its memory: {reason}",
        may_not.name(0)
    ));
    assert!(!done.err.contains(&format!("`{}` gave back", willing.name(0))), "{}", done.err);
}

#[test]
fn memory_that_is_locked_is_named_with_the_reason() {
    let _turn = swap::turn();
    // Pages of a ramfs cannot be reclaimed at all, and are charged to who wrote them.
    let (disk, ramfs, site) = (Disk::new("ext4", 512), Disk::ramfs(), Site::new());
    let binds = json!([format!("{}:/ram", ramfs.folder("ram").display())]);
    let fill = "cat /dev/zero | head -c 52428800 >/ram/file; echo sum; exec sleep 1000000";
    let service = site.hogs(&Recipe::default().script(fill).host("Binds", binds), 1);
    let before = all_held_bytes(&service);
    assert!(before > 50 * MIB, "{before}");
    let mut run = site.makeroom(["--method", "pause", "--swap", "200MiB", "--swap-file"]);
    run.args([disk.folder("swap").join("area")]).args(["--pause", &service.all()]);
    let done = run.args(["true"]).run();
    done.expect_code(0)
        .expect_said(&format!("`{}` gave back nothing: its memory is locked", service.name(0)));
}

/// Whether there is no swap on this machine, which some tests are about; said where there is.
fn machine_has_no_swap() -> bool {
    let areas = swap::areas();
    if !areas.is_empty() {
        eprintln!("SKIPPED: this test needs a machine without active swap, and there is {areas:?}");
    }
    areas.is_empty()
}

#[test]
fn without_swap_a_service_worth_it_is_stopped_and_started_again() {
    let _turn = swap::turn();
    if !machine_has_no_swap() {
        return;
    }
    let site = Site::new();
    let (large, small) = (site.hogs(&Recipe::hog(50), 1), site.services(1));
    let before = (large.state(0).expect("there"), small.state(0).expect("there"));
    let mut run =
        site.makeroom(["--pause", &large.all(), "--pause", &small.all(), "--swap", "off"]);
    let run = run.args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert_eq!((large.statuses()[0].as_str(), small.statuses()[0].as_str()), ("exited", "paused"));
    site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("1 container paused, 1 container stopped")
        .expect_said("2 containers running again");
    let after = (large.state(0).expect("there"), small.state(0).expect("there"));
    assert_eq!(
        (after.0.status.as_str(), &after.1),
        ("running", &before.1),
        "what has nothing to give is not stopped"
    );
    assert_ne!(after.0.started_at, before.0.started_at);
}

#[test]
fn without_swap_what_would_not_come_back_is_left_alone_with_both_reasons() {
    let _turn = swap::turn();
    if !machine_has_no_swap() {
        return;
    }
    let site = Site::new();
    let services = site.hogs(&Recipe::hog(50).auto_remove(), 1);
    let before = services.states();
    for method in ["auto", "stop"] {
        site.again();
        let mut run = site.makeroom([
            "--pause",
            &services.all(),
            "--swap",
            "off",
            "--method",
            method,
            "sh",
            "-c",
            UNTIL_GO,
        ]);
        let run = run.spawn();
        site.child();
        assert!(services.are("running"), "{method}: {:?}", services.statuses());
        site.go();
        run.wait().expect_code(7).expect_said("is left alone: a pause would free nothing (there is no free swap), and it is not stopped: the engine removes it when it ends (--rm)");
        assert_eq!(services.states(), before, "{method}");
    }
}

#[test]
fn with_method_pause_nothing_is_stopped_though_there_is_no_swap() {
    let _turn = swap::turn();
    let site = Site::new();
    let services = site.hogs(&Recipe::hog(50), 1);
    let before = services.states();
    let run = site
        .makeroom([
            "--pause",
            &services.all(),
            "--swap",
            "off",
            "--method",
            "pause",
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    site.child();
    assert!(services.are("paused"));
    site.go();
    run.wait().expect_code(7);
    assert_eq!(services.states(), before);
}

#[test]
fn stopped_services_start_in_the_order_of_their_dependencies() {
    let site = Site::new();
    let chain = ["db", "cache", "api", "web", "proxy", "check"];
    let services = site.start(&Recipe::default().compose("shop", &chain), chain.len());
    let before = services.states();
    let run = site
        .makeroom(["--pause", "compose:shop", "--method", "stop", "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert!(services.are("exited"), "{:?}", services.statuses());
    site.go();
    run.wait()
        .expect_code(7)
        .expect_said("6 containers stopped")
        .expect_said("6 containers running again");
    let started: Vec<String> =
        services.states().into_iter().map(|state| state.expect("there").started_at).collect();
    assert!(services.are("running"));
    assert!(
        started
            .iter()
            .zip(&before)
            .all(|(after, before)| *after != before.as_ref().expect("there").started_at)
    );
    // The engine writes as many digits of a second as it needs.
    let times: Vec<jiff::Timestamp> =
        started.iter().map(|time| time.parse().expect("a time")).collect();
    assert!(times.is_sorted(), "{chain:?} started at {started:?}");
}

#[test]
fn a_service_starts_only_once_what_it_depends_on_has_started() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.start(&Recipe::default().compose("pair", &["db", "web"]), 2);
    let run = site
        .makeroom(["--pause", "compose:pair", "--method", "stop", "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    let first = proxy.hold("start", 1, Moment::Before);
    let second = proxy.hold("start", 2, Moment::Before);
    site.go();
    first.wait();
    assert!(services.are("exited"));
    first.release();
    second.wait();
    assert_eq!(services.statuses(), ["running", "exited"]);
    second.release();
    run.wait().expect_code(7);
    assert!(services.are("running"));
}

#[test]
fn stop_timeout_is_how_long_a_service_has_before_it_is_killed() {
    let site = Site::new();
    let services =
        site.start(&Recipe::default().script("trap '' TERM; while :; do sleep 1; done"), 1);
    let begun = Instant::now();
    let run = site
        .makeroom([
            "--pause",
            &services.all(),
            "--method",
            "stop",
            "--stop-timeout",
            "1s",
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    site.child();
    let took = begun.elapsed();
    // The engine's own patience is 10 s.
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "{took:?}");
    assert!(services.are("exited"));
    site.go();
    run.wait().expect_code(7);
    assert!(services.are("running"));
}

#[test]
fn a_stopped_service_starts_again_though_supervisor_and_keeper_were_killed() {
    let site = Site::new();
    let services = site.services(2);
    let mut run = site
        .makeroom(["--pause", &services.all(), "--method", "stop", "sh", "-c", UNTIL_GO])
        .spawn();
    let child = site.child();
    run.kill_with_keeper();
    assert!(services.are("exited"));
    site.makeroom(["recover"]).run().expect_code(0).expect_said("2 containers running again");
    assert!(services.are("running") && site.journals().is_empty());
    process::signal(child, libc::SIGKILL);
}

#[test]
fn a_stop_that_nobody_saw_the_end_of_is_undone_by_recover() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("stop", 1, Moment::After);
    let mut run = site
        .makeroom(["--pause", &services.all(), "--method", "stop", "sh", "-c", UNTIL_GO])
        .spawn();
    held.wait();
    assert!(services.are("exited"));
    run.kill_with_keeper();
    site.makeroom(["recover"]).run().expect_code(0).expect_said("1 container running again");
    assert!(services.are("running") && !site.work().join("child").exists());
}
