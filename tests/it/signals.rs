//! Which signals reach the child, and how often: each once, whether it was sent to makeroom alone
//! or to its whole group, as a terminal and most CI runners do.

use std::{fs, path::PathBuf};

use crate::support::{
    makeroom::{Run, Running},
    process, programs,
    proxy::{Deed, Moment, Proxy},
    site::{Site, UNTIL_GO},
    wait_for_line, wait_until,
};

/// Runs the tally under makeroom in a group of its own.
fn tally() -> (Site, Running) {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let run = in_a_group_of_its_own(&mut site.makeroom([programs::tally()]));
    site.child();
    (site, run)
}

fn in_a_group_of_its_own(run: &mut Run) -> Running {
    run.in_own_group().spawn()
}

fn got(site: &Site) -> Vec<String> {
    fs::read_to_string(site.work().join("got")).expect("got").lines().map(str::to_owned).collect()
}

/// Another signal that comes after shows that the first was not followed by a second of its kind.
fn once(signal: i32, name: &str, send: impl Fn(&Running, i32)) {
    let (site, run) = tally();
    send(&run, signal);
    assert_eq!(wait_for_line(&site.work().join("got")), name);
    let (after, after_name) =
        if name == "USR1" { (libc::SIGUSR2, "USR2") } else { (libc::SIGUSR1, "USR1") };
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

#[test]
fn what_an_attempt_lacked_that_was_stopped_half_way_does_not_refuse_the_next_one() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    proxy.on("pause", Some(1), Deed::Answer(500, "{\"message\":\"not now\"}"));
    let held = proxy.hold("pause", 2, Moment::Before);
    let run = in_a_group_of_its_own(&mut site.makeroom([
        "--strict",
        "--pause",
        &services.all(),
        "sh",
        "-c",
        UNTIL_GO,
    ]));
    held.wait();
    wait_until("the first is refused", || run.written("err").contains("not now"));
    run.signal(libc::SIGTSTP);
    let is_stopped = || process::stat(run.pid()).is_some_and(|stat| stat.state == 'T');
    wait_until("makeroom is stopped", is_stopped);
    held.release();
    services.wait_until_all("running");
    run.signal(libc::SIGCONT);
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    site.go();
    run.wait().expect_code(7);
    assert!(services.are("running") && site.journals().is_empty());
}
