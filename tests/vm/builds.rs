//! Builds that run in the engine: the child is `docker build`, a client, and the memory is that of
//! BuildKit's steps in the VM.

use std::{fs, process::Command, sync::OnceLock};

use crate::{
    machine::script,
    place::{PATIENCE, Place, lines_with, mib_said, wait_until_said},
    support::wait_within,
};

/// A docker client that speaks to BuildKit.
fn docker() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = Command::new(script("client")).output().expect("bash");
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8_lossy(&found.stdout).trim().to_owned()
    })
}

/// A directory with a Dockerfile whose one step is this.
fn context(place: &Place, step: &str) -> String {
    let dir = place.site.work().join("context");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("Dockerfile"), format!("FROM makeroom-test\nRUN {step}\n"))
        .expect("written");
    dir.display().to_string()
}

pub fn build(place: &Place, options: &[&str], step: &str) -> crate::support::makeroom::Run {
    let context = context(place, step);
    let mut run = place.makeroom(options);
    run.args(["--", docker(), "build", "--no-cache", &context]).env("DOCKER_BUILDKIT", "1");
    // 20.10's client knows the context, but a socket named so is nobody's matter of taste.
    run.env(
        "DOCKER_HOST",
        format!("unix://{}", place.site.path("home/.colima/default/docker.sock").display()),
    );
    run
}

/// The scores of the step's processes.
fn scores(place: &Place) -> Vec<String> {
    let look =
        "for pid in $(pidof grower); do cat /proc/$pid/oom_score_adj; done 2>/dev/null || true";
    place.vm.sh(look).lines().map(str::to_owned).collect()
}

#[test]
fn a_steps_peak_is_reported_and_it_is_the_kernels_first_choice_while_it_runs() {
    let place = Place::colima();
    let hogs = place.hogs(2, 60);
    let before = hogs.states();
    let run = build(&place, &["--pause", hogs.all()], "grower 200 10").spawn();
    wait_within(PATIENCE, "the step's score is 1000", || {
        let scores = scores(&place);
        !scores.is_empty() && scores.iter().all(|score| score == "1000")
    });
    assert!(hogs.are("paused"), "{:?}", hogs.states());
    let done = run.wait();
    done.expect_code(0)
        .expect_said("build ok")
        .expect_said("2 containers running again")
        .expect_said("swap removed");
    assert!(!done.err.contains("runs on this machine"), "{}", done.err);
    let peak = mib_said(&done, "; peak ");
    assert!((180.0..260.0).contains(&peak), "{peak} MiB");
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
}

#[test]
fn cancelling_the_build_ends_its_step_in_the_vm() {
    let place = Place::colima();
    let run = build(&place, &[], "grower 50 300").spawn();
    wait_within(PATIENCE, "the step runs", || !scores(&place).is_empty());
    run.signal(libc::SIGINT);
    let done = run.wait();
    assert!(!done.status.success(), "{}", done.err);
    wait_within(PATIENCE, "the step has ended", || scores(&place).is_empty());
    place.wait_until_swap_is_gone();
    place.expect_nothing_left();
}

#[test]
fn a_step_that_the_kernel_kills_is_reported_and_nothing_else_is_killed() {
    let place = Place::colima();
    // Larger than the step is at first, so that only its score makes the step the choice.
    let hogs = place.hogs(1, 300);
    let before = hogs.states();
    let done = build(&place, &["--swap", "off"], "grower 1600 3").run();
    assert!(!done.status.success(), "{}", done.err);
    done.expect_said("1 OOM kill").expect_said("exit code: 137");
    done.expect_said(&format!("pausing `{}` would give ", hogs.all().replace('*', "0")));
    done.expect_said("the kernel killed `grower` (pid ")
        .expect_said("), a step of the engine's builder, for memory: it held ");
    assert_eq!(hogs.states(), before);
}

#[test]
fn the_exit_code_is_dockers() {
    let place = Place::colima();
    let context = context(&place, "exit 3");
    let socket = place.site.path("home/.colima/default/docker.sock");
    let bare = place
        .site
        .command(docker())
        .args(["build", "--no-cache", &context])
        .env("DOCKER_BUILDKIT", "1")
        .limit(PATIENCE)
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .run();
    let code = bare.code().expect("a code");
    assert_ne!(code, 0);
    build(&place, &["--swap", "off"], "exit 3")
        .run()
        .expect_code(code)
        .expect_said(&format!("build failed with {code}"));
}

#[test]
fn a_container_that_the_command_started_is_said_to_go_on_when_only_its_client_ends() {
    let place = Place::colima();
    let socket =
        format!("unix://{}", place.site.path("home/.colima/default/docker.sock").display());
    let args = [
        "--swap",
        "off",
        "--",
        docker(),
        "run",
        "--rm",
        "--network",
        "none",
        "makeroom-test",
        "hog",
        "10",
    ];
    let run = place.makeroom(args).env("DOCKER_HOST", &socket).spawn();
    wait_within(PATIENCE, "the container runs", || run.written("out").contains("sum "));
    run.signal(libc::SIGTERM);
    run.signal(libc::SIGTERM);
    wait_until_said(&run, "only the client was ended");
    let done = run.wait();
    assert_eq!(lines_with(&done, "warning:").len(), 1, "{}", done.err);
}
