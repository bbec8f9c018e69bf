//! An engine that takes calls and does not answer them, for one container or for all: before the
//! build, at its end, and under `start` and `stop`. The build runs and keeps its exit code,
//! restoring is tried to its time limit, and what is left is the last that is said, with the one
//! command to type.

use std::time::Duration;

use crate::support::{
    makeroom::{Done, Run},
    proxy::Proxy,
    services::{Services, State},
    site::{Site, UNTIL_GO},
    wait_until, wait_within,
};

/// `--restore-timeout`.
const RESTORE: &str = "2s";
/// Beyond the questions that are waited for (10 s each, one for a container's pid and one before it
/// is taken).
const LONG: Duration = Duration::from_mins(1);

/// What the engine hangs on.
#[derive(Clone, Copy, Debug)]
enum Hangs {
    /// The first of two services.
    OnOne,
    OnAll,
}

struct Scene {
    services: Services,
    before: Vec<Option<State>>,
    site: Site,
    proxy: Proxy,
}

fn scene() -> Scene {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    Scene { before: services.states(), services, site, proxy }
}

impl Scene {
    fn run(&self, restore_timeout: &str) -> Run {
        let mut run = self.site.makeroom([
            "--restore-timeout",
            restore_timeout,
            "--pause",
            &self.services.all(),
        ]);
        run.args(["sh", "-c", UNTIL_GO]).limit(LONG);
        run
    }

    fn hang(&self, what: Hangs) {
        match what {
            Hangs::OnOne => self.proxy.hang(&self.before[0].as_ref().expect("a service").id),
            Hangs::OnAll => self.proxy.hang("/"),
        }
    }

    /// The last that is said names what is left and the command to type, and nothing follows it.
    #[track_caller]
    fn expect_left(&self, done: &Done, what: Hangs) {
        let lines: Vec<_> = done.err.lines().collect();
        let [.., left, command] = lines[..] else { panic!("two lines: {}", done.err) };
        assert!(
            left.contains("NOT running again") && left.contains(self.services.name(0)),
            "{left}"
        );
        assert_eq!(left.contains(self.services.name(1)), matches!(what, Hangs::OnAll), "{left}");
        assert!(command.ends_with("makeroom recover"), "{command}");
        assert_eq!(self.site.journals().len(), 1);
    }

    /// The engine answers again, and the command is typed.
    #[track_caller]
    fn expect_mended(&self) {
        self.proxy.forget();
        self.site.makeroom(["recover"]).run().expect_code(0);
        assert_eq!(self.services.states(), self.before);
        assert!(self.site.journals().is_empty(), "{:?}", self.site.journals());
    }
}

#[test]
fn an_engine_that_hangs_on_one_container_before_the_build_holds_neither_the_build_nor_the_others_up_for_long()
 {
    let scene = scene();
    scene.hang(Hangs::OnOne);
    let run = scene.run(RESTORE).spawn();
    // Two questions about it are waited for, one after the other.
    wait_within(LONG, "the build runs", || scene.site.work().join("child").exists());
    assert_eq!(scene.services.statuses(), ["running", "paused"]);
    scene.site.go();
    run.wait().expect_code(7).expect_said("has not answered for 10 s");
    assert_eq!(scene.services.states(), scene.before);
    assert!(scene.site.journals().is_empty(), "{:?}", scene.site.journals());
}

#[test]
fn an_engine_that_hangs_as_a_whole_before_the_build_is_said_and_the_build_runs() {
    let scene = scene();
    scene.hang(Hangs::OnAll);
    let run = scene.run(RESTORE).spawn();
    scene.site.child();
    scene.site.go();
    run.wait()
        .expect_code(7)
        .expect_said("no answer within 5 s")
        .expect_said("no container is paused");
    let refused = scene
        .site
        .makeroom(["--strict", "--pause", &scene.services.all(), "touch", "started"])
        .run();
    refused.expect_code(125).expect_said("no answer within 5 s");
    assert!(!scene.site.work().join("started").exists());
    assert_eq!(scene.services.states(), scene.before);
    assert!(scene.site.journals().is_empty(), "{:?}", scene.site.journals());
}

#[test]
fn an_engine_that_hangs_when_the_build_ends_is_tried_to_the_time_limit_and_what_is_left_is_said_last()
 {
    for what in [Hangs::OnOne, Hangs::OnAll] {
        let scene = scene();
        let run = scene.run(RESTORE).spawn();
        scene.site.child();
        scene.hang(what);
        scene.site.go();
        let done = run.wait();
        done.expect_code(7);
        assert!(done.took >= Duration::from_secs(2), "{what:?}: tried for {:?} only", done.took);
        scene.expect_left(&done, what);
        let others = if matches!(what, Hangs::OnOne) { "running" } else { "paused" };
        assert_eq!(scene.services.statuses(), ["paused", others], "{what:?}");
        // Typed too early it says the same again.
        let early =
            scene.site.makeroom(["recover", "--restore-timeout", RESTORE]).limit(LONG).run();
        early.expect_code(125).expect_said(scene.services.name(0)).expect_said("makeroom recover");
        scene.expect_mended();
    }
}

#[test]
fn an_engine_that_answers_again_before_the_time_limit_has_everything_put_back_by_the_run() {
    let scene = scene();
    let run = scene.run("30s").spawn();
    scene.site.child();
    scene.hang(Hangs::OnAll);
    let seen = scene.proxy.seen("inspect");
    scene.site.go();
    wait_until("restoring has asked in vain", || scene.proxy.seen("inspect") > seen);
    scene.proxy.forget();
    // The question that hangs is given up after ten seconds, and asked again.
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert_eq!(scene.services.states(), scene.before);
    assert!(scene.site.journals().is_empty(), "{:?}", scene.site.journals());
}

#[test]
fn with_strict_what_is_left_is_an_exit_code_only_after_a_success() {
    for (script, code) in [("exit 0", 125), ("exit 3", 3)] {
        let scene = scene();
        let script = format!("echo $$ >child; while ! [ -e go ]; do sleep 0.02; done; {script}");
        let mut run = scene.site.makeroom([
            "--strict",
            "--restore-timeout",
            RESTORE,
            "--pause",
            &scene.services.all(),
        ]);
        let run = run.args(["sh", "-c", &script]).limit(LONG).spawn();
        scene.site.child();
        scene.hang(Hangs::OnAll);
        scene.site.go();
        let done = run.wait();
        done.expect_code(code);
        scene.expect_left(&done, Hangs::OnAll);
        scene.expect_mended();
    }
}

#[test]
fn an_engine_that_hangs_under_a_started_lease_leaves_stop_to_say_so_and_recover_to_mend_it() {
    for what in [Hangs::OnOne, Hangs::OnAll] {
        let scene = scene();
        let started = scene
            .site
            .makeroom(["start", "--restore-timeout", RESTORE, "--pause", &scene.services.all()])
            .run();
        started.expect_code(0);
        scene.hang(what);
        let done = scene.site.makeroom(["stop", "--restore-timeout", RESTORE]).limit(LONG).run();
        done.expect_code(125);
        scene.expect_left(&done, what);
        scene.expect_mended();
    }
}
