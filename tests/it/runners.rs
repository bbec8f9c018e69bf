//! What CI runners do when a job is cancelled, played back to a real run: GitHub's signals to the
//! step's shell, GitLab's and Buildkite's to its group, Jenkins's to all whose environment has the
//! job's cookie. Services run again within 5 s of the first signal, each time, also where the build
//! ignores it.

use std::time::Duration;

use crate::support::{
    makeroom::{Running, wait_until_gone},
    process,
    services::Services,
    site::{STUBBORN, Site, UNTIL_GO},
    wait_within,
};

/// The promise: from the first signal that reaches makeroom.
const PROMISE: Duration = Duration::from_secs(5);
const COOKIE: &str = "JENKINS_NODE_COOKIE";

/// A step as a runner starts it: a shell with a group of its own that becomes makeroom.
fn step(site: &Site, services: &Services, build: &str) -> Running {
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let mut shell = site.command("bash");
    shell.args([
        "-e",
        "-c",
        "exec \"$@\"",
        "step",
        makeroom,
        "--grace",
        "2s",
        "--pause",
        &services.all(),
        "sh",
        "-c",
        build,
    ]);
    // Of the two cookies each job has its own value.
    shell.env(COOKIE, site.mark()).env("RUNNER_TRACKING_ID", site.mark());
    shell.in_own_group();
    let run = shell.spawn();
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    run
}

/// Cancels a step like this runner does, with a build that listens and with one that does not.
fn cancelled(first: impl Fn(&Site, &Running), then: impl Fn(&Site, &Running)) {
    for build in [UNTIL_GO, STUBBORN] {
        let site = Site::new();
        let services = site.services(2);
        let before = services.states();
        let run = step(&site, &services, build);
        let (pid, child) = (run.pid(), site.child());
        first(&site, &run);
        wait_within(PROMISE, "the services run again", || services.are("running"));
        then(&site, &run);
        // The grace, and SIGKILL for what is left.
        wait_until_gone(Duration::from_secs(10), "makeroom and the build", &[pid, child]);
        drop(run);
        wait_within(Duration::from_secs(10), "the keeper is gone", || site.keepers().is_empty());
        assert_eq!(services.states(), before, "{build}");
        assert!(site.journals().is_empty(), "{build}");
    }
}

/// To all processes whose environment has the job's cookie, as Jenkins' ProcessTree finds them.
fn to_all_with(cookie: &str, site: &Site, signal: i32) {
    for pid in process::with_environment(&format!("{cookie}={}", site.mark())) {
        process::signal(pid, signal);
    }
}

#[test]
fn github_actions_interrupts_terminates_and_kills_the_steps_shell() {
    cancelled(
        |_, run| run.signal(libc::SIGINT),
        |site, run| {
            // After 7.5 s, and 2.5 s more; nothing is left to wait for here that takes so long.
            run.signal(libc::SIGTERM);
            run.signal(libc::SIGKILL);
            // At the job's end.
            to_all_with("RUNNER_TRACKING_ID", site, libc::SIGKILL);
        },
    );
}

#[test]
fn gitlab_terminates_the_group_and_kills_it_much_later() {
    cancelled(|_, run| process::signal_group(run.pid(), libc::SIGTERM), |_, _| {});
}

#[test]
fn buildkite_terminates_the_group_and_kills_it_after_ten_seconds() {
    cancelled(
        |_, run| process::signal_group(run.pid(), libc::SIGTERM),
        |_, run| process::signal_group(run.pid(), libc::SIGKILL),
    );
}

#[test]
fn jenkins_terminates_all_that_have_its_cookie_and_kills_them_after_five_seconds() {
    cancelled(
        |site, _| to_all_with(COOKIE, site, libc::SIGTERM),
        |site, _| to_all_with(COOKIE, site, libc::SIGKILL),
    );
}

#[test]
fn a_runner_that_kills_at_once_leaves_the_keeper_which_restores() {
    cancelled(|site, _| to_all_with(COOKIE, site, libc::SIGKILL), |_, _| {});
}
