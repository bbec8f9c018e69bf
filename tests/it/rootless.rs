//! Docker without root, against a real one, by makeroom without root. It has no cgroups here (that
//! takes systemd and cgroup v2), so it cannot pause: that is said, nothing is lost by it, and
//! stopping works.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::support::{
    dockerd::{USER, rootless},
    makeroom::Run,
    process, programs,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
};

/// Surroundings that the user can use, with a copy of the program that they can run.
struct Scene {
    site: Site,
    program: PathBuf,
    services: Services,
}

fn scene() -> Scene {
    let socket = rootless().socket();
    let site = Site::at(socket.clone());
    for dir in [site.path(""), site.work()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).expect("a mode");
    }
    let program = site.path("makeroom");
    programs::copy_for_others(&program);
    Scene { services: Services::start(socket, &Recipe::default(), 2), program, site }
}

impl Scene {
    fn makeroom(&self, words: &[&str]) -> Run {
        let mut run = self.site.command(&self.program.to_string_lossy());
        run.user(USER).args(words);
        run
    }

    fn building(&self, options: &[&str]) -> Run {
        let mut run = self.makeroom(options);
        run.args(["--pause", &self.services.all(), "sh", "-c", UNTIL_GO]);
        run
    }
}

#[test]
fn what_an_engine_without_cgroups_cannot_pause_is_said_and_runs_on() {
    let scene = scene();
    let before = scene.services.states();
    let run = scene.building(&["--method", "pause"]).spawn();
    scene.site.child();
    assert_eq!(scene.services.states(), before);
    scene.site.go();
    run.wait().expect_code(7).expect_said("cannot pause").expect_said("cgroups not configured");
    scene.site.again();
    // Whose size is not known, and gives nothing when paused, is not touched at all.
    let unasked = scene.building(&["--strict"]).run();
    unasked.expect_code(125).expect_said("is left alone: a pause would free nothing (");
    unasked.expect_said("and it is not stopped: how much it holds is not known");
    assert!(!scene.site.work().join("child").exists(), "the build was not to be started");
    assert_eq!(scene.services.states(), before);
    assert!(scene.site.journals().is_empty(), "{:?}", scene.site.journals());
}

#[test]
fn an_engine_without_root_is_found_by_its_usual_socket_and_its_containers_are_stopped_and_started_again()
 {
    let scene = scene();
    // Nothing of this machine's own below /run, where docker's own socket would come first.
    let script = format!(
        "mount -t tmpfs tmpfs /run && exec setpriv --reuid {USER} --regid {USER} --clear-groups \"$@\""
    );
    let mut run = scene.site.command("unshare");
    run.args(["--mount", "sh", "-c", &script, "sh"]).args([&scene.program]).args([
        "--method",
        "stop",
        "--pause",
        &scene.services.all(),
    ]);
    run.args(["sh", "-c", UNTIL_GO])
        .without_env("DOCKER_HOST")
        .env("XDG_RUNTIME_DIR", rootless().runtime_dir());
    let run = run.spawn();
    scene.site.child();
    assert!(scene.services.are("exited"), "{:?}", scene.services.statuses());
    scene.site.go();
    run.wait()
        .expect_code(7)
        .expect_said("2 containers stopped")
        .expect_said("2 containers running again");
    assert!(scene.services.are("running"), "{:?}", scene.services.statuses());
    assert!(scene.site.journals().is_empty(), "{:?}", scene.site.journals());
}

#[test]
fn a_started_lease_without_root_ends_by_stop_and_after_a_crash_by_recover() {
    let scene = scene();
    scene
        .makeroom(&["start", "--method", "stop", "--name", "ci", "--pause", &scene.services.all()])
        .run()
        .expect_code(0);
    assert!(scene.services.are("exited"), "{:?}", scene.services.statuses());
    scene.makeroom(&["stop", "ci"]).run().expect_code(0).expect_said("2 containers running again");
    assert!(scene.services.are("running"), "{:?}", scene.services.statuses());
    let mut run = scene.building(&["--method", "stop"]).spawn();
    let child = scene.site.child();
    run.kill_with_keeper();
    assert!(scene.services.are("exited"), "{:?}", scene.services.statuses());
    scene.makeroom(&["recover"]).run().expect_code(0).expect_said("2 containers running again");
    assert!(scene.services.are("running"), "{:?}", scene.services.statuses());
    assert!(scene.site.journals().is_empty(), "{:?}", scene.site.journals());
    process::signal(child, libc::SIGKILL);
}
