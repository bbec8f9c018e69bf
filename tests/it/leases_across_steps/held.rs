//! `start`, names, `status`, and where the state directory may be.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::support::{makeroom::wait_until_gone, process, proxy::Proxy, site::Site, wait_until};

use super::{assert_nothing_held, id_of, start, status, stop};

#[test]
fn start_prints_only_the_id_and_its_targets_stay_paused_until_stop() {
    let site = Site::new();
    let services = site.services(3);
    let before = services.states();
    let id = start(&site, &services, &[]);
    assert!(services.are("paused"), "{:?}", services.statuses());
    assert_eq!(site.keepers().len(), 1);
    stop(&site, &[]).expect_code(0).expect_said("3 containers running again");
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
    stop(&site, &[]).expect_code(0).expect_said("4 containers running again");
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
fn a_process_that_is_not_there_is_refused_before_anything_is_changed() {
    let site = Site::new();
    let services = site.services(1);
    let mut gone = site.command("true").spawn();
    let pid = gone.pid().to_string();
    gone.kill();
    for (pid, said) in [
        (pid.as_str(), "--while-pid: there is no process"),
        ("0", "--while-pid"),
        ("-1", "`-1` is no option"),
        ("x", "--while-pid"),
    ] {
        let done = site.makeroom(["start", "--pause", &services.all(), "--while-pid", pid]).run();
        done.expect_code(125).expect_said(said);
        assert_eq!(done.out, "");
    }
    assert!(services.are("running") && site.keepers().is_empty() && site.journals().is_empty());
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
    done.expect_code(0).expect_said("1 container running again");
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
    with(&["stop"]).expect_code(0).expect_said("1 container running again");
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
