//! Room across CI steps: `start` makes it and goes, `stop` puts it back; a lease ends also by its
//! time, with a process, or when its keeper is killed; and `status` shows what is held.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    makeroom::{Done, wait_until_gone},
    process,
    proxy::{Moment, Proxy},
    schema,
    services::Services,
    site::{Site, UNTIL_GO},
    wait_until,
};

/// Starts a lease of all these services; gives its id.
#[track_caller]
fn start(site: &Site, services: &Services, options: &[&str]) -> String {
    let done = site.makeroom(["start", "--pause", &services.all()]).args(options).run();
    done.expect_code(0);
    id_of(&done)
}

/// The id is all that stdout holds: `LEASE=$(makeroom start)`.
#[track_caller]
fn id_of(done: &Done) -> String {
    let id = done.out.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {:?}", done.out));
    assert!(id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{:?}", done.out);
    id.to_owned()
}

#[track_caller]
fn stop(site: &Site, words: &[&str]) -> Done {
    site.makeroom(["stop"]).args(words).run()
}

#[track_caller]
fn status(site: &Site) -> Value {
    let done = site.makeroom(["status", "--json"]).run();
    done.expect_code(0);
    let told = serde_json::from_str(&done.out);
    let told = told.unwrap_or_else(|error| panic!("{error}: {}", done.out));
    schema::must_fit("status", &told);
    told
}

#[track_caller]
fn assert_nothing_held(site: &Site) {
    assert_eq!(site.journals(), Vec::<PathBuf>::new());
    wait_until("no keeper is left", || site.keepers().is_empty());
    let left = std::fs::read_dir(site.state().join("leases")).into_iter().flatten().count();
    assert_eq!(left, 0, "something is left beside the journals");
    assert_eq!(status(site)["leases"], Value::Array(vec![]));
}

#[test]
fn start_prints_only_the_id_and_its_targets_stay_paused_until_stop() {
    let site = Site::new();
    let services = site.services(3);
    let before = services.states();
    let id = start(&site, &services, &[]);
    assert!(services.are("paused"), "{:?}", services.statuses());
    assert_eq!(site.keepers().len(), 1);
    stop(&site, &[]).expect_code(0).expect_said("3 services running again");
    assert_eq!(services.states(), before);
    assert_nothing_held(&site);
    stop(&site, &[&id]).expect_code(0);
}

#[test]
fn the_keeper_of_a_lease_is_no_part_of_the_step_that_started_it() {
    let site = Site::new();
    let services = site.services(1);
    start(&site, &services, &[]);
    let keepers = site.keepers();
    let stat = process::stat(keepers[0]).expect("a keeper");
    assert_eq!((stat.session, stat.group), (keepers[0], keepers[0]));
    assert_eq!(process::link(keepers[0], "cwd"), Some(PathBuf::from("/")));
    stop(&site, &[]).expect_code(0);
}

#[test]
fn a_name_that_is_held_already_is_a_no_op_that_prints_the_same_id() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let (services, others) = (site.services(2), site.services(1));
    let id = start(&site, &services, &["--name", "ci"]);
    let (keepers, journals, pauses) = (site.keepers(), site.journals(), proxy.seen("pause"));
    assert_eq!(start(&site, &services, &["--name", "ci"]), id);
    // Whatever it asks for: a name is a lease.
    assert_eq!(start(&site, &others, &["--name", "ci"]), id);
    assert_eq!((proxy.seen("pause"), others.are("running")), (pauses, true));
    wait_until("only the first keeper and its journal are left", || {
        site.keepers() == keepers && site.journals() == journals
    });
    let other = start(&site, &others, &["--name", "other"]);
    assert_ne!(other, id);
    assert!(others.are("paused"));
    stop(&site, &["ci"]).expect_code(0);
    assert!(services.are("running") && others.are("paused"));
    assert_ne!(
        start(&site, &services, &["--name", "ci"]),
        id,
        "a lease that ended is no longer held"
    );
    stop(&site, &["--all"]).expect_code(0);
    assert!(services.are("running") && others.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn two_starts_of_one_name_at_once_make_one_lease() {
    let site = Site::new();
    let services = site.services(4);
    let begin = || site.makeroom(["start", "--name", "ci", "--pause", &services.all()]).spawn();
    let runs = [begin(), begin(), begin()];
    let ids = runs.map(|run| id_of(run.wait().expect_code(0)));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    wait_until("one keeper is left", || site.keepers().len() == 1);
    assert!(services.are("paused"));
    stop(&site, &[]).expect_code(0).expect_said("4 services running again");
    assert_nothing_held(&site);
}

#[test]
fn status_shows_what_is_held_to_people_and_as_json() {
    let site = Site::new();
    let services = site.services(2);
    let id = start(&site, &services, &["--name", "night build"]);
    let done = site.makeroom(["status"]).run();
    done.expect_code(0);
    for words in
        [&id, "night build", services.name(0), services.name(1), "paused", "memory", "swap"]
    {
        assert!(done.out.contains(words), "`{words}` is not in:\n{}", done.out);
    }
    let status = status(&site);
    let lease = &status["leases"][0];
    assert_eq!(status["leases"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&lease["lease"], &lease["name"], &lease["kind"]),
        (&id.into(), &"night build".into(), &"start".into())
    );
    assert_eq!(lease["alive"], true);
    let mut named: Vec<_> = lease["targets"]
        .as_array()
        .expect("targets")
        .iter()
        .map(|target| (target["name"].as_str(), target["method"].as_str()))
        .collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [(Some(services.name(0)), Some("pause")), (Some(services.name(1)), Some("pause"))]
    );
    assert!(status["memory"]["available_bytes"].as_u64().expect("a number") > 1 << 20);
    assert!(services.are("paused"), "looking changes nothing");
    stop(&site, &["night build"]).expect_code(0);
}

#[test]
fn status_tells_a_lease_whose_keeper_is_dead() {
    let site = Site::new();
    let services = site.services(1);
    start(&site, &services, &[]);
    process::signal(site.keepers()[0], libc::SIGKILL);
    wait_until("the keeper is gone", || site.keepers().is_empty());
    assert_eq!(status(&site)["leases"][0]["alive"], false);
    let done = site.makeroom(["status"]).run();
    assert!(done.out.contains("makeroom recover"), "{}", done.out);
    assert!(services.are("paused"));
    site.makeroom(["recover"]).run().expect_code(0).expect_said(services.name(0));
    assert!(services.are("running"));
}

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
fn a_process_that_is_not_there_is_refused_before_anything_is_changed() {
    let site = Site::new();
    let services = site.services(1);
    let mut gone = site.command("true").spawn();
    let pid = gone.pid().to_string();
    gone.kill();
    for pid in [&pid, "0", "-1", "x"] {
        let done = site.makeroom(["start", "--pause", &services.all(), "--while-pid", pid]).run();
        done.expect_code(125).expect_said("--while-pid");
        assert_eq!(done.out, "");
    }
    assert!(services.are("running") && site.keepers().is_empty() && site.journals().is_empty());
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
    stop(&site, &["ci"]).expect_code(0).expect_said("2 services running again");
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
    run.wait().expect_code(7).expect_said("2 services running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}

#[test]
fn without_an_engine_a_strict_start_is_an_error_and_nothing_is_held() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let done = site.makeroom(["start", "--strict", "--name", "ci", "--pause", "*"]).run();
    done.expect_code(125).expect_said("/nonexistent/docker.sock");
    assert_eq!(done.out, "");
    wait_until("no keeper is left", || site.keepers().is_empty());
    assert_nothing_held(&site);
}

#[test]
fn a_strict_start_that_cannot_pause_one_service_puts_the_others_back() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(3);
    proxy.on(
        "pause",
        Some(2),
        crate::support::proxy::Deed::Answer(409, r#"{"message":"container is restarting"}"#),
    );
    let done = site.makeroom(["start", "--strict", "--pause", &services.all()]).run();
    done.expect_code(125).expect_said("container is restarting");
    assert_eq!(done.out, "");
    services.wait_until_all("running");
    wait_until("the journal is gone", || site.journals().is_empty());
    assert_nothing_held(&site);
}

#[test]
fn a_state_directory_may_have_a_path_longer_than_a_sockets_address() {
    let site = Site::new();
    let services = site.services(1);
    let long = site.path(&"long/".repeat(40)).join("state");
    assert!(long.as_os_str().len() > 200);
    let with = |command: &[&str]| site.makeroom(command).env("MAKEROOM_STATE_DIR", &long).run();
    let id = id_of(with(&["start", "--pause", &services.all()]).expect_code(0));
    assert!(services.are("paused"));
    let keepers = site.keepers();
    let done = with(&["stop", &id]);
    done.expect_code(0).expect_said("1 service running again");
    // Its keeper did it, and is done: whoever restored by itself would have left it waiting.
    wait_until_gone(crate::support::PATIENCE, "the keeper", &keepers);
    assert!(services.are("running"));
}

#[test]
fn a_state_directory_may_be_named_from_where_one_is() {
    let site = Site::new();
    let services = site.services(1);
    let with = |command: &[&str]| site.makeroom(command).args(["--state-dir", "here/state"]).run();
    with(&["start", "--pause", &services.all()]).expect_code(0);
    assert!(services.are("paused") && site.work().join("here/state/leases").is_dir());
    with(&["stop"]).expect_code(0).expect_said("1 service running again");
    assert!(services.are("running"));
}

#[test]
fn the_control_socket_and_the_journals_are_for_their_owner_alone() {
    let site = Site::new();
    let services = site.services(1);
    start(&site, &services, &[]);
    for path in [site.state(), site.state().join("leases")] {
        assert_eq!(
            std::fs::metadata(&path).expect("made").permissions().mode() & 0o777,
            0o700,
            "{}",
            path.display()
        );
    }
    stop(&site, &[]).expect_code(0);
}

#[test]
fn stop_ends_a_lease_from_a_directory_that_was_deleted() {
    let site = Site::new();
    let services = site.services(1);
    start(&site, &services, &["--name", "ci"]);
    let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" stop ci";
    let done = site.command("sh").args(["-c", script, env!("CARGO_BIN_EXE_makeroom")]).run();
    done.expect_code(0).expect_said("1 service running again");
    assert!(services.are("running"));
    assert_nothing_held(&site);
}
