//! Podman: the same contract as with docker's engine, against a real `podman system service`; what
//! it replies where docker's engine replies otherwise; its states and labels; and the sockets where
//! it is found by itself.

use std::{fs, os::unix::fs::DirBuilderExt as _};

use serde_json::json;

use crate::support::{
    api, podman, process,
    proxy::{Deed, Proxy},
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_until,
};

fn start(recipe: &Recipe, count: usize) -> (Site, Services) {
    let socket = podman::engine().socket();
    (Site::at(socket.clone()), Services::start(socket, recipe, count))
}

#[test]
fn a_run_pauses_podmans_containers_and_they_are_as_before_afterwards() {
    let (site, services) = start(&Recipe::default(), 3);
    services.tell(2, "pause");
    let before = services.states();
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    site.go();
    run.wait()
        .expect_code(7)
        .expect_said("2 containers paused")
        .expect_said("2 containers running again");
    assert_eq!(services.states(), before, "the third was paused by somebody else");
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn with_method_stop_podmans_containers_are_stopped_and_started_again() {
    let (site, services) = start(&Recipe::default(), 2);
    let run = site
        .makeroom(["--method", "stop", "--pause", &services.all(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert!(services.are("exited"), "{:?}", services.statuses());
    site.go();
    run.wait()
        .expect_code(7)
        .expect_said("2 containers stopped")
        .expect_said("2 containers running again");
    assert!(services.are("running"), "{:?}", services.statuses());
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn what_would_not_come_back_as_the_same_container_is_paused_though_stop_is_asked_for() {
    for recipe in [
        Recipe::default().auto_remove(),
        Recipe::default().label("PODMAN_SYSTEMD_UNIT", "web.service"),
    ] {
        let (site, services) = start(&recipe, 1);
        let before = services.states();
        let run = site
            .makeroom(["--method", "stop", "--pause", &services.all(), "sh", "-c", UNTIL_GO])
            .spawn();
        site.child();
        assert!(services.are("paused"), "{:?}", services.statuses());
        site.go();
        run.wait().expect_code(7);
        assert_eq!(services.states(), before);
    }
}

#[test]
fn a_started_lease_on_podman_ends_by_stop_and_by_recover_where_its_keeper_was_killed() {
    let (site, services) = start(&Recipe::default(), 2);
    let before = services.states();
    for is_killed in [false, true] {
        site.makeroom(["start", "--name", "ci", "--pause", &services.all()]).run().expect_code(0);
        assert!(services.are("paused"), "{:?}", services.statuses());
        if is_killed {
            let keepers = site.keepers();
            process::signal(keepers[0], libc::SIGKILL);
            wait_until("the keeper is gone", || site.keepers().is_empty());
        }
        let words = if is_killed { &["recover"][..] } else { &["stop", "ci"] };
        site.makeroom(words).run().expect_code(0).expect_said("2 containers running again");
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn after_sigkill_of_both_recover_brings_podmans_containers_back() {
    for method in ["pause", "stop"] {
        let (site, services) = start(&Recipe::default(), 2);
        let mut run = site
            .makeroom(["--method", method, "--pause", &services.all(), "sh", "-c", UNTIL_GO])
            .spawn();
        let child = site.child();
        run.kill_with_keeper();
        site.makeroom(["recover"]).run().expect_code(0).expect_said("2 containers running again");
        assert!(services.are("running"), "{method}: {:?}", services.statuses());
        assert!(site.journals().is_empty(), "{:?}", site.journals());
        process::signal(child, libc::SIGKILL);
    }
}

#[test]
fn a_container_removed_or_thawed_in_mid_build_is_no_failure() {
    let (site, services) = start(&Recipe::default(), 3);
    let run = site.makeroom(["--strict", "--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    services.tell(0, "unpause");
    services.remove(0);
    services.tell(1, "unpause");
    site.go();
    run.wait().expect_code(7);
    assert_eq!(services.statuses(), ["gone", "running", "running"]);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

/// Where docker's engine and Podman differ in their replies, as the README has it.
#[test]
fn podman_replies_500_where_docker_replies_409_and_does_not_stop_what_is_paused() {
    let (_site, services) = start(&Recipe::default(), 1);
    let socket = podman::engine().socket();
    let reply = |verb: &str| {
        let path = format!("/containers/{}/{verb}", services.name(0));
        api::ask(&socket, "POST", &path, "text/plain", b"").expect("podman").status
    };
    assert_eq!((reply("start"), reply("unpause")), (304, 500), "as docker's engine");
    assert_eq!(
        (reply("pause"), reply("pause"), reply("start")),
        (204, 500, 500),
        "docker's engine: 409 to the last two"
    );
    assert_eq!(
        (reply("unpause"), reply("stop"), reply("stop")),
        (204, 204, 304),
        "as docker's engine"
    );
    assert_eq!(reply("pause"), 500, "docker's engine: 409");
}

#[test]
fn a_list_with_states_that_only_podman_has_is_read_all_the_same() {
    let listed = |id: &str, state: &str| json!({ "Id": id.repeat(64), "Names": [format!("/mon-{id}")], "State": state, "Labels": {} });
    let states = ["stopped", "initialized", "configured", "unknown", "stopping", "running"];
    let list = json!(
        ["0", "1", "2", "3", "4", "5"]
            .into_iter()
            .zip(states)
            .map(|(id, state)| listed(id, state))
            .collect::<Vec<_>>()
    );
    let inspected = json!({
        "Id": "5".repeat(64), "Name": "/mon-5", "HostConfig": {}, "Config": {},
        "State": { "Status": "stopped", "Running": false, "Pid": 0, "StartedAt": "2026-01-01T00:00:00Z" },
    });
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    proxy.on("list", None, Deed::Answer(200, list.to_string().leak()));
    proxy.on("inspect", None, Deed::Answer(200, inspected.to_string().leak()));
    let done = site.makeroom(["--strict", "-v", "--pause", "mon-5", "sh", "-c", "exit 3"]).run();
    done.expect_code(3).expect_said("`mon-5` does not run");
}

#[test]
fn engines_without_root_and_podman_are_found_by_their_usual_sockets() {
    let (site, services) = start(&Recipe::default(), 1);
    let runtime = site.path("runtime");
    for (variable, socket) in [
        (Some(&runtime), runtime.join("docker.sock")),
        (Some(&runtime), runtime.join("podman/podman.sock")),
        (None, "/run/podman/podman.sock".into()),
    ] {
        let before = services.states();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(runtime.join("podman"))
            .expect("a directory");
        // In a mount namespace of its own, in which /run has nothing but this socket.
        let script = r#"mount -t tmpfs tmpfs /run && mkdir -p "${1%/*}" && : >"$1" && mount --bind "$2" "$1" && shift 2 && exec "$@""#;
        let mut run = site.command("unshare");
        run.args(["--mount", "sh", "-c", script, "sh"]).args([&socket, &podman::engine().socket()]);
        run.args([
            env!("CARGO_BIN_EXE_makeroom"),
            "--pause",
            &services.all(),
            "sh",
            "-c",
            UNTIL_GO,
        ]);
        run.without_env("DOCKER_HOST").without_env("XDG_RUNTIME_DIR");
        if let Some(dir) = variable {
            run.env("XDG_RUNTIME_DIR", dir);
        }
        let run = run.spawn();
        site.child();
        assert!(services.are("paused"), "{}: {:?}", socket.display(), services.statuses());
        site.go();
        run.wait().expect_code(7).expect_said("1 container running again");
        assert_eq!(services.states(), before);
        fs::remove_dir_all(&runtime).expect("only the namespace had it mounted");
        site.again();
    }
}
