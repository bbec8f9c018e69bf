//! The keeper, which nobody else may hold or end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    makeroom::{Running, wait_until_gone},
    process,
    site::{Site, UNTIL_GO},
    wait_within,
};

/// A run whose caller leaves things behind for its children: a descriptor, ignored and blocked
/// signals, a directory, and the variables by which CI runners find what they kill.
fn burdened(site: &Site) -> (Running, i32) {
    let mut run = site.makeroom(["sh", "-c", UNTIL_GO]);
    for name in [
        "RUNNER_TRACKING_ID",
        "JENKINS_NODE_COOKIE",
        "JENKINS_SERVER_COOKIE",
        "BUILD_ID",
        "CI_JOB_ID",
        "BUILDKITE_JOB_ID",
        "TOKEN",
    ] {
        run.env(name, "hunter2");
    }
    let run = run
        .before_exec(|| {
            // SAFETY: single system calls.
            let done = unsafe {
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                libc::setpgid(0, 0);
                libc::dup2(0, 17)
            };
            if done == 17 { Ok(()) } else { Err(io::Error::last_os_error()) }
        })
        .spawn();
    site.child();
    let keeper = run.keeper();
    (run, keeper)
}

fn nowhere() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

#[test]
fn the_keeper_has_its_socket_its_journal_and_its_state_directory_open_and_nothing_else_of_its_callers()
 {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    let open = process::descriptors(keeper);
    let leases = site.state().join("leases");
    for (number, what) in &open {
        let is_its_own = match number {
            0 => what.starts_with("socket:"),
            1 | 2 => what == "/dev/null",
            3 => what.starts_with(&format!("{}/", leases.display())),
            4 => Path::new(what) == site.state(),
            // tokio's: epoll, its waker, and the pair that signals arrive on.
            _ if Path::new(what) == leases => true,
            _ => what.starts_with("anon_inode:") || what.starts_with("socket:"),
        };
        assert!(is_its_own, "{number}: {what} in {open:?}");
    }
    assert!((0..5).all(|number| open.contains_key(&number)), "{open:?}");
    site.go();
    run.wait().expect_code(7);
}

#[test]
fn nobody_but_the_two_holds_the_lease() {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    let leases = site.state().join("leases").to_string_lossy().into_owned();
    let holders: Vec<i32> = process::with_environment(&site.mark())
        .into_iter()
        .filter(|&pid| process::descriptors(pid).values().any(|what| what.starts_with(&leases)))
        .collect();
    let mut expected = vec![run.pid(), keeper];
    expected.sort_unstable();
    assert_eq!(holders, expected);
    site.go();
    run.wait().expect_code(7);
}

#[test]
fn the_keeper_has_nothing_by_which_a_runner_finds_what_it_kills() {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    let environment = process::environment(keeper);
    assert!(
        !environment.iter().any(|entry| entry.to_string_lossy().contains("hunter2")),
        "{environment:?}"
    );
    let stat = process::stat(keeper).expect("a keeper");
    assert_eq!((stat.session, stat.group), (keeper, keeper), "its own session and group");
    assert_eq!(process::link(keeper, "cwd"), Some(PathBuf::from("/")));
    for field in ["SigBlk", "SigIgn"] {
        let mask = u64::from_str_radix(&process::status(keeper, field).expect(field), 16)
            .expect("hexadecimal");
        assert_eq!(
            mask & (1 << (libc::SIGINT - 1) | 1 << (libc::SIGTERM - 1) | 1 << (libc::SIGHUP - 1)),
            0,
            "{field}"
        );
    }
    site.go();
    run.wait().expect_code(7);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "oom_score_adj is Linux's own")]
fn the_keeper_is_the_last_that_the_kernel_kills() {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    // Lowering needs CAP_SYS_RESOURCE, which root in a container may lack: as far as this process
    // could.
    let lowest = site
        .command("sh")
        .args([
            "-c",
            "echo -1000 2>/dev/null >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj",
        ])
        .run()
        .out;
    assert_eq!(
        fs::read_to_string(format!("/proc/{keeper}/oom_score_adj")).expect("a score"),
        lowest
    );
    site.go();
    run.wait().expect_code(7);
}

#[test]
fn a_runner_that_kills_the_whole_group_leaves_the_keeper_which_restores() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]);
    let run = run.in_own_group().spawn();
    let child = site.child();
    let keeper = run.keeper();
    process::signal_group(run.pid(), libc::SIGKILL);
    wait_within(Duration::from_secs(2), "all run", || services.are("running"));
    assert!(!process::runs(child));
    assert_eq!(services.states(), before);
    wait_until_gone(Duration::from_secs(2), "the keeper", &[keeper]);
}
