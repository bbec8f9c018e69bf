//! How makeroom ends: as its child did, or with the codes that say why there was none.

use std::{fs, os::unix::process::ExitStatusExt as _, path::PathBuf, thread, time::Duration};

use nix::sys::resource::{RLIM_INFINITY, Resource};

use crate::support::{
    crowd, process,
    site::{STUBBORN, Site},
};

/// No test here needs an engine.
fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

/// Splits work over a few threads: each run waits more than it works.
fn each(numbers: impl Iterator<Item = i32>, act: impl Fn(&Site, i32) + Sync) {
    let all: Vec<i32> = numbers.collect();
    thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(4)) {
            let act = &act;
            scope.spawn(move || {
                let site = site();
                for &number in part {
                    act(&site, number);
                }
            });
        }
    });
}

#[test]
fn every_exit_code_of_the_child_is_makerooms() {
    each(0..=255, |site, code| {
        site.makeroom(["sh", "-c", &format!("exit {code}")]).run().expect_code(code);
    });
}

#[test]
fn of_every_signal_that_ends_the_child_makeroom_dies_too_and_leaves_no_core() {
    // What stops a process or does nothing by default (signal(7)) ends nothing.
    let harmless = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGURG,
        libc::SIGWINCH,
    ];
    let ending = (1..=64).filter(|signal| !harmless.contains(signal));
    each(ending, |site, signal| {
        // Without a limit of its own the child would leave a core as well.
        let mut run =
            site.makeroom(["sh", "-c", &format!("ulimit -c 0; kill -{signal} $$; sleep 10")]);
        let done = run.limit_resource(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY).run();
        assert_eq!(done.signal(), Some(signal), "{}", done.status);
        assert!(!done.status.core_dumped(), "signal {signal}: a core");
        let cores: Vec<_> = fs::read_dir(site.work())
            .expect("work")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert!(cores.is_empty(), "signal {signal}: {cores:?}");
    });
}

#[test]
fn a_program_that_is_not_there_gives_127() {
    let site = site();
    for program in ["no-such-program-anywhere", "./none", "/nonexistent/x"] {
        site.makeroom([program]).run().expect_code(127).expect_said(program);
    }
}

#[test]
fn a_program_that_cannot_be_executed_gives_126() {
    let site = site();
    fs::write(site.work().join("plain"), "#!/bin/sh\n").expect("written");
    for program in ["./plain", "./plain/x", "/tmp"] {
        site.makeroom([program]).run().expect_code(126).expect_said(program);
    }
}

/// A time limit by which a build has begun.
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_build_that_takes_too_long_gives_124() {
    let site = site();
    let timeout = crowd::lately(SHORT);
    let mut run = site.makeroom(["--timeout", &crowd::option(timeout)]);
    let done = run.args(["sh", "-c", "echo $$ >child; exec sleep 60"]).run();
    done.expect_code(124).expect_within(Duration::from_secs(3) + timeout);
    assert!(done.took >= timeout, "{:?}", done.took);
    assert!(!process::runs(site.child()));
}

#[test]
fn a_build_that_takes_too_long_and_then_succeeds_gives_124_all_the_same() {
    let site = site();
    site.makeroom(["--timeout", &crowd::option(crowd::lately(SHORT))])
        .args(["sh", "-c", "trap 'exit 0' TERM; sleep 60 & wait"])
        .run()
        .expect_code(124);
}

#[test]
fn a_build_that_takes_too_long_and_ignores_term_is_killed_after_the_grace() {
    let site = site();
    let timeout = crowd::lately(SHORT);
    let options = ["--timeout", &crowd::option(timeout), "--grace", "300ms"];
    let done = site.makeroom(options).args(["sh", "-c", STUBBORN]).run();
    done.expect_code(124).expect_within(Duration::from_secs(4) + timeout);
    assert!(done.took >= timeout + Duration::from_millis(300), "{:?}", done.took);
    assert!(!process::runs(site.child()));
}

#[test]
fn a_build_within_its_time_gives_its_own_code() {
    site().makeroom(["--timeout", "10s", "sh", "-c", "exit 3"]).run().expect_code(3);
}

#[test]
fn without_a_command_makeroom_gives_125_and_says_what_is_missing() {
    let site = site();
    for args in [&[][..], &["run"], &["--swap", "off", "--"]] {
        let done = site.makeroom(args).run();
        done.expect_code(125).expect_said("command");
        assert_eq!(done.out, "");
    }
}

#[test]
fn help_and_version_go_to_stdout_and_are_no_failure() {
    let site = site();
    for flag in ["--help", "--version"] {
        let done = site.makeroom([flag]).run();
        done.expect_code(0);
        assert!(done.out.contains("makeroom") && done.err.is_empty(), "{flag}: {done:?}");
    }
}

#[test]
fn stdout_belongs_to_the_child() {
    let site = site();
    let done = site.makeroom(["-v", "printf", "a\\nb"]).run();
    done.expect_code(0);
    assert_eq!(done.out, "a\nb");
}
