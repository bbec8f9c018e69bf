//! The audit before a build: its figures are the kernel's, its verdict an exit code, and it changes
//! nothing. And a run with a need takes no more than it has to.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::support::{
    cgroup::held_bytes,
    makeroom::{Done, Running},
    proxy::{Moment, Proxy},
    schema,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    swap,
};

const MIB: u64 = 1 << 20;
/// How often it is played for memory that others leave alone meanwhile.
const TRIES: usize = 10;

fn available_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").expect("a file");
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// The JSON that it printed, which is as `schema/plan.json` says.
#[track_caller]
fn json(done: &Done) -> Value {
    let told =
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}:\n{}", done.out));
    schema::must_fit("plan", &told);
    told
}

/// The container of this name in a list of the JSON.
#[track_caller]
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let all = list.as_array().expect("a list");
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {list}"))
}

fn bytes(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// How many MiB a run said that it missed; none where it missed nothing, or a GiB.
fn missed(run: &Running) -> Option<u64> {
    run.written("err").split_once(" MiB are missing")?.0.rsplit(' ').next()?.parse().ok()
}

/// Services of these sizes, each in a group of its own: the audit has them beside those of other
/// tests.
fn of_sizes(site: &Site, sizes: &[usize]) -> Vec<Services> {
    sizes.iter().map(|mebibytes| site.hogs(&Recipe::hog(*mebibytes), 1)).collect()
}

#[test]
fn the_audit_has_the_kernels_own_figures_the_largest_first_and_changes_nothing() {
    let site = Site::new();
    let services = of_sizes(&site, &[60, 5, 110]);
    let before: Vec<_> = services.iter().map(Services::states).collect();
    let mut plan = site.makeroom([
        "plan",
        "--json",
        "--need",
        "1MiB",
        "--swap",
        "1GiB",
        "--keep",
        &services[1].all(),
    ]);
    let done = plan.args(["--pause", &services[0].all(), "--pause", &services[1].all()]).run();
    let told = json(done.expect_code(0));
    let total = fs::read_to_string("/proc/meminfo").expect("a file");
    let total_kib = format!("{} kB", bytes(&told["memory"]["total_bytes"]) / 1024);
    assert!(total.lines().next().is_some_and(|line| line.ends_with(&total_kib)), "{total_kib}");
    for (services, role) in services.iter().zip(["target", "kept", "other"]) {
        let seen = named(&told["containers"], services.name(0));
        assert_eq!(seen["role"], role, "{seen}");
        let (said, held) =
            (bytes(&seen["memory_bytes"]), held_bytes(&services.state(0).expect("there")));
        assert!(said.abs_diff(held) * 20 <= held, "{said} said, {held} held");
        let gives = bytes(&seen["pause_bytes"]) + bytes(&seen["cache_bytes"]);
        assert!(gives <= said && gives * 10 >= said * 9, "{seen}");
    }
    let sizes: Vec<u64> = told["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["memory_bytes"].as_u64().unwrap_or(0))
        .collect();
    assert!(sizes.is_sorted_by(|one, other| one >= other), "{sizes:?}");
    let targets = told["targets"].as_array().expect("a list");
    assert_eq!(
        (targets.len(), &targets[0]["needed"], &told["fits"]),
        (1, &Value::Bool(false), &Value::Bool(true)),
        "{told}"
    );
    assert_eq!(services.iter().map(Services::states).collect::<Vec<_>>(), before);
    assert_eq!((site.state().exists(), site.keepers()), (false, vec![]));
}

#[test]
fn a_build_that_does_not_fit_is_an_exit_code_of_one_and_said_with_what_is_missing() {
    let site = Site::new();
    let services = of_sizes(&site, &[20]);
    let plan = |need: &str| {
        site.makeroom(["plan", "--swap", "1GiB", "--need", need, "--pause", &services[0].all()])
            .run()
    };
    let fits = plan("10MiB");
    assert!(fits.expect_code(0).out.contains("→ fits as it is"), "{}", fits.out);
    let short = plan("100TiB");
    assert!(
        short.expect_code(1).out.contains("→ does not fit: 100.0 TiB are missing with room made"),
        "{}",
        short.out
    );
    assert!(
        short.out.contains("of it can make room") && short.out.contains("pause, + 2"),
        "{}",
        short.out
    );
}

#[test]
fn without_a_need_node_options_tell_one_and_without_those_nothing_is_judged() {
    let site = Site::new();
    let unknown = site.makeroom(["plan", "--json"]).run();
    let told = json(unknown.expect_code(0));
    assert_eq!((&told["need"], &told["fits"]), (&Value::Null, &Value::Null));
    let mut heap = site.makeroom(["plan", "--json"]);
    let told = json(heap.env("NODE_OPTIONS", "--max-old-space-size=100").run().expect_code(0));
    assert_eq!(
        (bytes(&told["need"]["bytes"]), &told["need"]["source"]),
        (150 * MIB, &Value::from("heap"))
    );
}

#[test]
fn an_engine_that_is_not_there_costs_the_containers_and_not_the_sum() {
    let site = Site::at("/nonexistent/docker.sock".into());
    let done = site.makeroom(["plan", "--need", "1MiB"]).run();
    done.expect_code(0).expect_said("no container is seen");
    assert!(
        done.out.contains("→ fits as it is") && done.out.contains("0 containers"),
        "{}",
        done.out
    );
}

#[test]
fn who_depends_on_a_target_is_warned_of() {
    let site = Site::new();
    let shop = site.start(&Recipe::default().compose("plan-shop", &["db", "web"]), 2);
    let done = site.makeroom(["plan", "--pause", shop.name(0)]).run();
    let warning =
        format!("warning: `{}` depends on `{}`, which would be paused", shop.name(1), shop.name(0));
    assert!(done.expect_code(0).out.contains(&warning), "{}", done.out);
}

#[test]
fn where_enough_is_available_nothing_is_touched_and_that_is_said() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = of_sizes(&site, &[20]);
    let mut run = site.makeroom([
        "--pause",
        &services[0].all(),
        "--need",
        "10MiB",
        "--swap",
        &swap::more(100),
        "--swap-file",
    ]);
    let run = run.args([turn.dir().join("area")]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services[0].are("running"), "{:?}", services[0].statuses());
    assert!(turn.new_areas().is_empty());
    site.go();
    run.wait().expect_code(7).expect_said("nothing paused for a build of 10 MiB; ");
}

#[test]
fn only_the_largest_targets_that_cover_the_gap_are_paused() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = of_sizes(&site, &[30, 900, 40]);
    // Others come and go meanwhile: it is played again where the gap was not what it was to be.
    let played = (0..TRIES).find_map(|_| {
        site.again();
        let need = available_bytes() + 450 * MIB;
        let mut run = site.makeroom(["--need", &format!("{need}B")]);
        run.args(["--swap", &swap::more(1200), "--swap-file"]).args([turn.dir().join("area")]);
        for services in &services {
            run.args(["--pause", &services.all()]);
        }
        // A GiB is read back when its swap is removed.
        let run = run.args(["sh", "-c", UNTIL_GO]).limit(Duration::from_mins(2)).spawn();
        site.child();
        if let Some(gap @ 100..800) = missed(&run) {
            return Some((run, gap));
        }
        site.go();
        run.wait().expect_code(7);
        None
    });
    let (run, gap) = played.expect("a gap that the largest covers and no other");
    let statuses: Vec<_> = services.iter().map(|services| services.statuses()[0].clone()).collect();
    assert_eq!(statuses, ["running", "paused", "running"], "the gap is {gap} MiB");
    site.go();
    run.wait()
        .expect_code(7)
        .expect_said("1 of 3 targets are enough")
        .expect_said("1 container paused");
    assert!(services.iter().all(|services| services.are("running")));
}

#[test]
fn what_another_run_has_paused_is_shared_even_where_enough_is_available() {
    let site = Site::new();
    let services = of_sizes(&site, &[20]);
    let first = site
        .makeroom(["--method", "pause", "--pause", &services[0].all(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    let other = Site::new();
    let mut second = other.makeroom([
        "--method",
        "pause",
        "--pause",
        &services[0].all(),
        "--need",
        "10MiB",
        "sh",
        "-c",
        UNTIL_GO,
    ]);
    let second = second.env("MAKEROOM_STATE_DIR", site.state()).spawn();
    other.child();
    site.go();
    first.wait().expect_code(7);
    assert!(
        services[0].are("paused"),
        "the second one needs it paused: {:?}",
        services[0].statuses()
    );
    other.go();
    second
        .wait()
        .expect_code(7)
        .expect_said("1 container paused, 1 of them by another run already");
    assert!(services[0].are("running"));
}

#[test]
fn a_need_that_cannot_be_met_is_said_and_with_strict_the_build_is_not_run() {
    let site = Site::new();
    let lax = site.makeroom(["--need", "100TiB", "sh", "-c", "exit 3"]).run();
    lax.expect_code(3).expect_said("the build needs 100 TiB and is short by 100 TiB");
    let strict = site.makeroom(["--need", "100TiB", "--strict", "touch", "ran"]).run();
    strict.expect_code(125).expect_said("the command was not started");
    assert!(!site.work().join("ran").exists());
}

#[test]
fn a_container_that_vanishes_between_listing_and_measuring_is_left_out() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = of_sizes(&site, &[20, 30]);
    let id = services[0].state(0).expect("there").id;
    let listed = proxy.hold("list", 1, Moment::After);
    let plan = site.makeroom(["plan", "--json"]).spawn();
    listed.wait();
    services[0].remove(0);
    listed.release();
    let done = plan.wait();
    let told = json(done.expect_code(0));
    named(&told["containers"], services[1].name(0));
    assert!(!done.out.contains(&id), "{}", done.out);
}

#[test]
fn what_was_made_of_an_image_is_meant_by_its_repository() {
    let site = Site::new();
    let (busybox, hog) = (site.services(1), site.hogs(&Recipe::hog(5), 1));
    for (selector, roles) in [
        ("image:busybox", ["target", "other"]),
        ("image:docker.io/library/busy*:latest", ["target", "other"]),
        ("image:hog:lat*", ["other", "target"]),
        ("image:hog:2", ["other", "other"]),
    ] {
        let done = site.makeroom(["plan", "--json", "--pause", selector]).run();
        let told = json(done.expect_code(0));
        for (services, role) in [&busybox, &hog].into_iter().zip(roles) {
            let seen = named(&told["containers"], services.name(0));
            assert_eq!(seen["role"], role, "{selector}: {seen}");
        }
    }
}
