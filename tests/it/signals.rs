//! Which signals reach the child, and how often: each once, whether it was sent to makeroom alone
//! or to its whole group, as a terminal and most CI runners do.

use std::{fs, path::PathBuf};

use crate::support::{makeroom::Running, process, programs, site::Site, wait_for_line, wait_until};

/// Runs the tally under makeroom in a group of its own.
fn tally() -> (Site, Running) {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let mut run = site.makeroom([programs::tally()]);
    // SAFETY: a single system call.
    let run = run.before_exec(|| if unsafe { libc::setpgid(0, 0) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }).spawn();
    site.child();
    (site, run)
}

fn got(site: &Site) -> Vec<String> {
    fs::read_to_string(site.work().join("got")).expect("got").lines().map(str::to_owned).collect()
}

/// Another signal that comes after shows that the first was not followed by a second of its kind.
fn once(signal: i32, name: &str, send: impl Fn(&Running, i32)) {
    let (site, run) = tally();
    send(&run, signal);
    assert_eq!(wait_for_line(&site.work().join("got")), name);
    let (after, after_name) = if name == "USR1" { (libc::SIGUSR2, "USR2") } else { (libc::SIGUSR1, "USR1") };
    run.signal(after);
    wait_until("the other signal", || got(&site).last().is_some_and(|last| last == after_name));
    site.go();
    run.wait().expect_code(9);
    assert_eq!(got(&site), [name, after_name]);
}

const PASSED_ON: [(i32, &str); 7] = [
    (libc::SIGTERM, "TERM"),
    (libc::SIGINT, "INT"),
    (libc::SIGHUP, "HUP"),
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGWINCH, "WINCH"),
];

#[test]
fn a_signal_sent_to_makeroom_reaches_the_child_once() {
    for (signal, name) in PASSED_ON {
        once(signal, name, Running::signal);
    }
}

#[test]
fn a_signal_sent_to_makerooms_whole_group_reaches_the_child_once() {
    for (signal, name) in PASSED_ON {
        once(signal, name, |run, signal| process::signal_group(run.pid(), signal));
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_does_not_reach_the_child() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let mut run = site.makeroom([programs::tally()]);
    let run = run
        .before_exec(|| {
            // SAFETY: SIG_IGN runs no code. The tally itself takes SIGHUP all the same.
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
            Ok(())
        })
        .spawn();
    site.child();
    run.signal(libc::SIGHUP);
    run.signal(libc::SIGUSR1);
    assert_eq!(wait_for_line(&site.work().join("got")), "USR1");
    site.go();
    run.wait().expect_code(9);
    assert_eq!(got(&site), ["USR1"]);
}
