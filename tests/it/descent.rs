//! What leaves the build's process group (setsid, setpgid, a double fork) is ended with the build
//! where makeroom, or its keeper, ends it; and lives where the build ended by itself.

use std::{fs, path::PathBuf, time::Duration};

use crate::support::{
    crowd,
    makeroom::{Done, Run, Running, wait_until_gone},
    process,
    site::{Site, UNTIL_GO},
    wait_for_line, wait_until,
};

/// In place of SLEEP each one leaves a process that writes its pid to `stray`.
const LEAVING: [(&str, &str); 4] = [
    ("setsid", "setsid sh -c 'SLEEP' &"),
    ("setpgid", "set -m; sh -c 'SLEEP' & set +m;"),
    ("a double fork", "(setsid sh -c '(SLEEP) & exit' &);"),
    ("an empty environment", "(exec env -i PATH=\"$PATH\" setsid sh -c 'SLEEP' &);"),
];
/// The supervisor has looked by then at what there is, and told: while nothing comes it wakes for
/// that alone.
const LOOKS: u64 = 4;
/// A time limit by which a build has begun.
const SHORT: Duration = Duration::from_millis(600);
/// Also on SIGTERM it stays.
const OBSTINATE: &str =
    "trap \"\" TERM; cd \"WORK\"; sh -c \"echo \\$PPID\" >stray; while :; do sleep 0.05; done";
const MEEK: &str = "cd \"WORK\"; sh -c \"echo \\$PPID\" >stray; while :; do sleep 0.05; done";

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

/// A build that leaves a process behind, and then does this.
fn build(site: &Site, options: &[&str], leaving: &str, sleep: &str, then: &str) -> Run {
    let sleep = sleep.replace("WORK", &site.work().to_string_lossy());
    let script = format!(
        "{} while ! [ -s stray ]; do sleep 0.01; done; {then}",
        leaving.replace("SLEEP", &sleep)
    );
    let mut run = site.makeroom(options);
    run.args(["bash", "-c", &script]);
    run
}

fn stray(site: &Site) -> i32 {
    wait_for_line(&site.work().join("stray")).parse().expect("a pid")
}

/// Plays this with every way to leave the group.
fn each(options: &[&str], sleep: &str, then: &str, act: impl Fn(&str, Running, i32)) {
    for (name, leaving) in LEAVING {
        let site = site();
        let run = build(&site, options, leaving, sleep, then).spawn();
        let child = then.contains("child").then(|| site.child());
        let stray = stray(&site);
        assert_ne!(process::stat(stray).map(|stat| stat.group), child, "{name} left the group");
        act(name, run, stray);
        assert!(!process::runs(stray), "{name}: {stray} lives");
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn what_left_the_group_is_ended_with_a_build_that_takes_too_long() {
    let timeout = crowd::lately(SHORT);
    each(&["--timeout", &crowd::option(timeout)], MEEK, UNTIL_GO, |name, run, _| {
        let done = run.wait();
        eprintln!("{name}");
        done.expect_code(124).expect_within(Duration::from_secs(3) + timeout);
    });
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn what_left_the_group_and_ignores_term_is_killed_after_the_grace() {
    let timeout = crowd::lately(SHORT);
    let options = ["--timeout", &crowd::option(timeout), "--grace", "400ms"];
    each(&options, OBSTINATE, UNTIL_GO, |name, run, _| {
        let done = run.wait();
        eprintln!("{name}");
        done.expect_code(124).expect_within(Duration::from_secs(3) + timeout);
        assert!(done.took >= timeout + Duration::from_millis(400), "{:?}", done.took);
    });
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn what_left_the_group_is_ended_with_a_build_that_ends_on_a_signal_by_itself() {
    let then = "trap 'exit 9' TERM INT; echo $$ >child; while :; do sleep 0.02; done";
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        each(&[], MEEK, then, |_, run, _| {
            run.signal(signal);
            let done = run.wait();
            assert!(done.code() == Some(9) || done.signal() == Some(libc::SIGHUP), "{done:?}");
        });
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn a_second_interrupt_kills_what_left_the_group_at_once() {
    each(
        &[],
        OBSTINATE,
        "trap 'echo >>got' INT; echo $$ >child; while :; do sleep 0.02; done",
        |name, run, stray| {
            let work = process::link(stray, "cwd").expect("a directory");
            run.signal(libc::SIGINT);
            wait_until("the first arrived", || work.join("got").exists());
            run.signal(libc::SIGINT);
            let done = run.wait();
            assert_eq!(done.signal(), Some(libc::SIGKILL), "{name}");
            done.expect_within(Duration::from_secs(6));
        },
    );
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn what_forks_as_fast_as_it_can_is_killed_whole() {
    let site = site();
    // Each one starts the next and ends: no pid is there for long.
    fs::write(
        site.work().join("runner"),
        "trap '' TERM\necho $$ >>pids\n[ -e over ] || setsid sh runner &\n",
    )
    .expect("written");
    let script = format!("sh runner; {UNTIL_GO}");
    let timeout = crowd::lately(SHORT);
    let options = ["--timeout", &crowd::option(timeout), "--grace", "300ms"];
    let run = site.makeroom(options).args(["sh", "-c", &script]).spawn();
    let last = || fs::read_to_string(site.work().join("pids")).unwrap_or_default().lines().count();
    wait_until("it runs", || last() > 20);
    run.wait().expect_code(124).expect_within(Duration::from_secs(5) + timeout);
    let left = process::with_environment(&site.mark());
    fs::write(site.work().join("over"), "").expect("written");
    assert!(left.is_empty(), "{}", process::table(&left));
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn the_keeper_of_a_killed_supervisor_ends_what_left_the_group() {
    each(&[], MEEK, UNTIL_GO, |name, mut run, stray| {
        let keeper = run.keeper();
        if name == "an empty environment" {
            // Only the supervisor knows of it, which looks whenever it wakes, and tells.
            process::wait_for_turns(run.pid(), LOOKS);
        }
        run.kill();
        wait_until_gone(Duration::from_secs(6), "the stray", &[stray]);
        wait_until_gone(Duration::from_secs(6), "the keeper", &[keeper]);
    });
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "no other process's environment can be read there")]
fn the_keeper_kills_what_left_the_group_and_ignores_term() {
    each(&[], OBSTINATE, UNTIL_GO, |name, mut run, stray| {
        if name == "an empty environment" {
            process::wait_for_turns(run.pid(), LOOKS);
        }
        run.kill();
        wait_until_gone(Duration::from_secs(8), "the stray", &[stray]);
    });
}

fn daemon_lives_after(site: &Site, done: &Done, code: i32) {
    done.expect_code(code);
    let stray = stray(site);
    assert!(process::runs(stray), "{stray} was left on purpose");
    process::signal(stray, libc::SIGKILL);
}

#[test]
fn a_daemon_that_is_left_on_purpose_lives_after_a_build_that_ended_by_itself() {
    for (_, leaving) in LEAVING {
        let site = site();
        let done = build(&site, &["--timeout", "20s"], leaving, MEEK, "exit 3").run();
        daemon_lives_after(&site, &done, 3);
    }
}

#[test]
fn a_daemon_lives_though_the_supervisor_is_killed_after_a_build_that_ended_by_itself() {
    use crate::support::proxy::{Moment, Proxy};
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("unpause", 1, Moment::Before);
    let mut run =
        build(&site, &["--pause", &services.all()], "sh -c 'SLEEP' &", MEEK, "exit 3").spawn();
    held.wait();
    let keeper = run.keeper();
    run.kill();
    held.release();
    wait_until_gone(Duration::from_secs(10), "the keeper", &[keeper]);
    assert!(services.are("running"));
    let stray = stray(&site);
    assert!(process::runs(stray), "{stray} was left on purpose");
    process::signal(stray, libc::SIGKILL);
}

/// A makeroom inside of a makeroom, each with services of its own; the inner build does not end on
/// SIGTERM.
fn nested(outer: &[&str], act: impl Fn(&Site, Running)) {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let inner = [env!("CARGO_BIN_EXE_makeroom"), "--pause", services.name(1), "sh", "-c"];
    let script = "trap '' TERM; echo $$ >child; while :; do sleep 0.02; done";
    let run =
        site.makeroom(outer).args(["--pause", services.name(0)]).args(inner).args([script]).spawn();
    let child = site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    act(&site, run);
    wait_until_gone(Duration::from_secs(10), "the inner build", &[child]);
    wait_until("everything is back", || services.states() == before);
    wait_until("the inner keeper has ended", || {
        site.journals().is_empty() && site.keepers().is_empty()
    });
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn the_keeper_of_a_makeroom_inside_restores_though_all_else_of_the_build_is_killed() {
    let timeout = crowd::option(crowd::lately(Duration::from_secs(1)));
    nested(&["--timeout", &timeout, "--grace", "300ms"], |_, run| {
        run.wait().expect_code(124);
    });
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn the_keeper_of_a_makeroom_inside_restores_though_the_outer_keeper_ends_the_build() {
    nested(&[], |_, mut run| run.kill());
}

#[test]
fn a_build_that_somebody_stopped_is_ended_by_its_time_limit() {
    for script in [
        "echo $$ >child; kill -STOP $$; sleep 60",
        "sleep 60 & kill -STOP $!; echo $! >child; wait",
    ] {
        let site = site();
        let timeout = crowd::lately(SHORT);
        let done = site.makeroom(["--timeout", &crowd::option(timeout), "sh", "-c", script]).run();
        done.expect_code(124).expect_within(Duration::from_secs(3) + timeout);
        assert!(!process::runs(site.child()), "{script}");
    }
}

#[test]
fn a_build_that_somebody_stopped_and_continued_ends_as_ever() {
    let site = site();
    let run = site.makeroom(["sh", "-c", UNTIL_GO]).spawn();
    let child = site.child();
    process::signal(child, libc::SIGSTOP);
    wait_until("it is stopped", || process::stat(child).is_some_and(|stat| stat.state == 'T'));
    process::signal(child, libc::SIGCONT);
    site.go();
    run.wait().expect_code(7);
}
