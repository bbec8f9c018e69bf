//! The targets of `--then`, paused one step at a time when memory gets short, and given back.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    figures::Figures,
    makeroom::wait_until_gone,
    process, programs,
    proxy::{Moment, Proxy},
    services::Recipe,
    site::{Site, UNTIL_GO},
    swap, wait_for, wait_until, wait_within,
};

use super::{LOW_MIB, PLENTY_MIB, guarded, report, status, wait_until_paused};

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn steps_are_taken_in_order_each_only_when_memory_is_short_and_undone_at_the_end() {
    let proxy = Proxy::start();
    let (site, figures) = (Site::behind(&proxy), Figures::new(PLENTY_MIB));
    let services = site.services(2);
    let before = services.states();
    let first = proxy.hold("pause", 1, Moment::After);
    let options =
        ["--report", "report.json", "--then", services.name(1), "--then", services.name(0)];
    let run = guarded(&site, &figures, &options).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert_eq!((services.are("running"), proxy.seen("pause")), (true, 0));
    figures.available(LOW_MIB);
    first.wait();
    figures.available(PLENTY_MIB);
    first.release();
    wait_until("the first step is said", || run.written("err").contains("1 more container paused"));
    assert_eq!(services.statuses(), ["running", "paused"]);
    figures.available(LOW_MIB);
    wait_until_paused(&services, 0);
    wait_until("the second step is said", || {
        run.written("err").matches("400 MiB available: 1 more container paused").count() == 2
    });
    site.go();
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert_eq!(services.states(), before);
    assert_eq!((proxy.seen("pause"), site.journals().is_empty()), (2, true));
    let told = report(&site);
    let selectors: Vec<_> = told["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["selector"].clone())
        .collect();
    assert_eq!(selectors, [services.name(1), services.name(0)], "{told:#}");
    assert_eq!(
        (&told["steps"][0]["cause"], &told["steps"][0]["undone_at_s"]),
        (&"floor".into(), &Value::Null),
        "{told:#}"
    );
    let restored: Vec<_> = told["targets"]
        .as_array()
        .expect("targets")
        .iter()
        .map(|target| target["restored"].clone())
        .collect();
    assert_eq!(restored, [true, true], "{told:#}");
    let past = site.makeroom(["report"]).run();
    assert!(
        past.out.contains(&format!("step        `{}` after", services.name(1))),
        "{}",
        past.out
    );
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_hook_is_told_of_each_step_that_took_something() {
    let (site, figures) = (Site::new(), Figures::new(PLENTY_MIB));
    let services = site.services(1);
    let told = site.path("told");
    let hook =
        format!("env | grep ^MAKEROOM_ | sort >{0}.new; mv {0}.new {0}; exit 3", told.display());
    let run = guarded(&site, &figures, &["--then", services.name(0), "--on-pressure", &hook])
        .args(["sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert!(!told.exists(), "memory is not short yet");
    figures.available(LOW_MIB);
    let facts = wait_for("the hook was run", || fs::read_to_string(&told).ok());
    let name = format!("MAKEROOM_SERVICES={}\n", services.name(0));
    for fact in ["MAKEROOM_EVENT=pressure\n", "MAKEROOM_AVAILABLE_BYTES=419430400\n", &name] {
        assert!(facts.contains(fact), "`{fact}` is not in {facts}");
    }
    site.go();
    run.wait().expect_code(7).expect_said("on_pressure failed: exit status: 3");
}

#[test]
fn with_memory_to_spare_or_without_then_nothing_is_paused() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let plenty = Figures::new(PLENTY_MIB);
    guarded(&site, &plenty, &["--then", &services.all(), "sleep", "1"]).run().expect_code(0);
    let none = Figures::new(1);
    none.stalled(100);
    guarded(&site, &none, &["sleep", "1"]).run().expect_code(0);
    assert_eq!((proxy.seen("pause"), services.are("running")), (0, true));
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn pressure_is_a_reason_for_a_step_with_all_memory_available() {
    let (site, figures) = (Site::new(), Figures::new(PLENTY_MIB));
    let services = site.services(1);
    let run = guarded(
        &site,
        &figures,
        &["--pressure", "20%", "--then", &services.all(), "sh", "-c", UNTIL_GO],
    )
    .spawn();
    site.child();
    figures.stalled(90);
    services.wait_until_all("paused");
    wait_until("it is said", || {
        run.written("err").contains(" %, 8.8 GiB available: 1 more container paused in")
    });
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_fall_towards_the_floor_is_a_reason_before_it_is_reached() {
    let (site, figures) = (Site::new(), Figures::new(PLENTY_MIB));
    let services = site.services(1);
    let run = guarded(&site, &figures, &["--then", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    // By 1500 MiB a second, and never below 1000 MiB.
    let begun = Instant::now();
    wait_until("a step is taken", || {
        let fallen_mib = u64::try_from(begun.elapsed().as_millis() * 3 / 2).expect("a moment");
        figures.available(PLENTY_MIB.saturating_sub(fallen_mib).max(1000));
        services.are("paused")
    });
    site.go();
    run.wait().expect_code(7).expect_said("less each second: 1 more container paused");
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn what_is_kept_or_held_already_is_no_part_of_a_step() {
    let (site, figures) = (Site::new(), Figures::new(LOW_MIB));
    let services = site.services(3);
    let options = [
        "--pause",
        services.name(0),
        "--then",
        &services.all(),
        "--keep",
        services.name(1),
        "sh",
        "-c",
        UNTIL_GO,
    ];
    let run = guarded(&site, &figures, &options).spawn();
    site.child();
    wait_until_paused(&services, 2);
    wait_until("it is said", || run.written("err").contains("1 more container paused"));
    assert_eq!(services.statuses(), ["paused", "running", "paused"]);
    site.go();
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert!(services.are("running"));
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_step_is_undone_when_the_pressure_has_been_gone_for_a_while_and_what_was_there_first_stays() {
    let (site, figures) = (Site::new(), Figures::new(LOW_MIB));
    let services = site.services(2);
    let options = [
        "--report",
        "report.json",
        "--pause",
        services.name(0),
        "--then",
        services.name(1),
        "sh",
        "-c",
        UNTIL_GO,
    ];
    let run = guarded(&site, &figures, &options).limit(Duration::from_secs(90)).spawn();
    site.child();
    wait_until_paused(&services, 1);
    figures.available(PLENTY_MIB);
    let took =
        wait_within(Duration::from_mins(1), "it runs again", || status(&services, 1) == "running");
    assert!(took >= Duration::from_secs(9), "{took:?}");
    wait_until("it is said", || {
        run.written("err").contains("the pressure is gone: 1 container running again")
    });
    assert_eq!(status(&services, 0), "paused");
    site.go();
    run.wait().expect_code(7).expect_said("makeroom: 1 container running again");
    let told = report(&site);
    assert!(told["steps"][0]["undone_at_s"].as_f64().is_some_and(|at| at >= 9.0), "{told:#}");
    assert!(
        told["targets"]
            .as_array()
            .expect("targets")
            .iter()
            .all(|target| target["restored"] == true),
        "{told:#}"
    );
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_step_is_in_the_journal_before_it_is_taken_and_recovered_wherever_both_processes_are_killed() {
    for moment in [Moment::Before, Moment::After] {
        let proxy = Proxy::start();
        let (site, figures) = (Site::behind(&proxy), Figures::new(LOW_MIB));
        let services = site.services(2);
        let before = services.states();
        let held = proxy.hold("pause", 2, moment);
        let mut run = guarded(
            &site,
            &figures,
            &["--then", services.name(0), "--then", services.name(1), "sh", "-c", UNTIL_GO],
        )
        .spawn();
        site.child();
        held.wait();
        let journal = fs::read_to_string(&site.journals()[0]).expect("a journal");
        let taking =
            |index: usize| journal.contains("\"taking\"") && journal.contains(services.name(index));
        assert!(taking(0) && taking(1), "{moment:?}: {journal}");
        run.kill_with_keeper();
        held.release();
        site.makeroom(["recover"]).run().expect_code(0).expect_said("a lease of `sh`");
        assert_eq!(services.states(), before, "{moment:?}");
        assert!(site.journals().is_empty());
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_signal_in_the_middle_of_a_step_is_heard_at_once() {
    let proxy = Proxy::start();
    let (site, figures) = (Site::behind(&proxy), Figures::new(LOW_MIB));
    let services = site.services(1);
    let before = services.states();
    // The engine never answers the pause.
    let held = proxy.hold("pause", 1, Moment::After);
    let run = guarded(&site, &figures, &["--then", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    held.wait();
    run.signal(libc::SIGTERM);
    let done = run.wait();
    assert_eq!(done.signal(), Some(libc::SIGTERM), "{}", done.err);
    done.expect_within(Duration::from_secs(10));
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_eq!(services.states(), before, "{}", done.err);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn the_next_keeper_goes_on_guarding_and_gives_back_what_the_one_before_took() {
    for moment in [Moment::Before, Moment::After] {
        let proxy = Proxy::start();
        let (site, figures) = (Site::behind(&proxy), Figures::new(LOW_MIB));
        let services = site.services(3);
        let before = services.states();
        // Killed in the middle of the second step, with a third one to come.
        let held = proxy.hold("pause", 2, moment);
        let steps = [0, 1, 2].map(|index| ["--then", services.name(index)]).concat();
        let run = guarded(&site, &figures, &steps).args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        held.wait();
        let keeper = run.keeper();
        process::signal(keeper, libc::SIGKILL);
        held.release();
        wait_until_gone(Duration::from_secs(10), "the keeper", &[keeper]);
        services.wait_until_all("paused");
        site.go();
        run.wait().expect_code(7).expect_said("3 containers running again");
        assert_eq!(services.states(), before, "{moment:?}");
        assert!(site.journals().is_empty());
    }
}

#[test]
fn a_selector_that_matches_nothing_is_named_before_the_build() {
    let site = Site::new();
    let done = site.makeroom(["--then", "no-such-service", "true"]).run();
    done.expect_code(0).expect_said("no container matches `no-such-service`");
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_build_that_grows_below_the_floor_gets_the_memory_of_the_step() {
    let turn = swap::turn();
    let site = Site::new();
    let services = site.hogs(&Recipe::hog(120), 2);
    let before = services.states();
    let meminfo = fs::read_to_string("/proc/meminfo").expect("meminfo");
    let available_kib = wait_for("what is available", || {
        meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    let floor = format!("{}KiB", available_kib - (300 << 10));
    let area = turn.dir().join("area");
    let options =
        ["--swap", &swap::more(512), "--swap-file", &area.display().to_string(), "--floor", &floor];
    let mut run = site.makeroom(options);
    run.args(["--report", "report.json", "--then", &services.all()])
        .args([programs::grower()])
        .args(["3000", "6"]);
    let done = run.limit(Duration::from_mins(2)).run();
    done.expect_code(0)
        .expect_said("2 more containers paused, ")
        .expect_said("2 containers running again")
        .expect_said("swap removed");
    assert_eq!(services.states(), before);
    let given_back = report(&site)["steps"][0]["given_back_bytes"].as_u64().expect("bytes");
    assert!(given_back >= 200 << 20, "{given_back}");
}
