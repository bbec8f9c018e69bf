//! `--wait`: a build waits for the ones beside which it does not fit, says for whom, holds nothing
//! meanwhile and ends at once when it is told to; when the time is over it builds all the same.

use std::{fs, path::PathBuf, time::Duration};

use crate::support::{
    makeroom::{Run, Running},
    process,
    site::{Site, UNTIL_GO},
    wait_until,
};

/// More than any machine has: beside such a build no other one fits.
const ALL: &str = "900TiB";

/// No test that pauses nothing needs an engine.
fn nowhere() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

/// A build that holds the machine until [`Site::go`].
#[track_caller]
fn holder(site: &Site) -> Running {
    let run = site.makeroom(["--need", ALL, "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run
}

/// A build that waits for so long.
fn waiting(site: &Site, limit: &str) -> Run {
    site.makeroom(["--need", "1MiB", "--wait", limit])
}

#[track_caller]
fn wait_until_it_waits(run: &Running) {
    wait_until("it says for whom it waits", || {
        run.written("err").contains("waiting for `sh` (since ")
    });
}

#[test]
fn a_build_waits_for_the_one_beside_which_it_does_not_fit_and_holds_nothing_meanwhile() {
    let site = Site::new();
    let services = site.services(1);
    let holder = holder(&site);
    let journals = site.journals();
    let mut run = site
        .makeroom(["--need", ALL, "--wait", "1h", "--pause", &services.all(), "touch", "ran"])
        .spawn();
    wait_until_it_waits(&run);
    assert!(services.are("running") && run.is_running() && !site.work().join("ran").exists());
    assert_eq!(site.journals(), journals, "no lease of its own");
    // Nor the lock: others come and go.
    site.makeroom(["--pause", &services.all(), "true"])
        .run()
        .expect_code(0)
        .expect_said("1 container paused");
    site.go();
    holder.wait().expect_code(7);
    let done = run.wait();
    done.expect_code(0)
        .expect_said("both together need 1.8 PiB of")
        .expect_said("waited ")
        .expect_said("1 container paused");
    assert_eq!(
        done.err.matches("waiting for").count(),
        1,
        "one plain line without a terminal: {}",
        done.err
    );
    assert!(
        site.work().join("ran").exists() && services.are("running") && site.journals().is_empty()
    );
}

#[test]
fn a_build_that_fits_beside_the_others_starts_at_once() {
    let site = nowhere();
    let holder = site.makeroom(["--need", "1MiB", "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let done = waiting(&site, "1h").args(["true"]).run();
    assert!(!done.expect_code(0).err.contains("wait"), "{}", done.err);
    site.go();
    holder.wait().expect_code(7);
}

#[test]
fn what_the_last_runs_took_tells_as_much_as_need_does() {
    let site = nowhere();
    // A shell has a few hundred KiB of its own, which is seen when it lives for a moment.
    let command = ["sh", "-c", "while ! [ -e off ]; do sleep 0.02; done"];
    fs::write(site.work().join("off"), "").expect("written");
    let unknown = site.makeroom(["--wait", "1h"]).args(command).run();
    unknown.expect_code(0).expect_said("what this build needs is not known");
    let holder = holder(&site);
    let run = site.makeroom(["--wait", "1h"]).args(command).spawn();
    wait_until_it_waits(&run);
    site.go();
    holder.wait().expect_code(7);
    run.wait().expect_code(0);
    // And so does that of the one that is waited for: nothing is known of this one.
    site.again();
    let unknown = site
        .makeroom([
            "sh",
            "-c",
            "cat /dev/null; echo $$ >child; while ! [ -e go ]; do sleep 0.02; done",
        ])
        .spawn();
    site.child();
    site.makeroom(["--wait", "1h", "--need", ALL, "true"]).run().expect_code(0);
    site.go();
    unknown.wait().expect_code(0);
}

#[test]
fn when_the_time_is_over_it_builds_all_the_same_and_with_strict_it_does_not() {
    let site = nowhere();
    let holder = holder(&site);
    let done = waiting(&site, "300ms").args(["touch", "ran"]).run();
    done.expect_code(0)
        .expect_said("warning: waited 0.3 s for `sh` in vain (--wait): the build runs beside it");
    assert!(site.work().join("ran").exists());
    let done = waiting(&site, "0s").args(["--strict", "touch", "ran-strictly"]).run();
    done.expect_code(125)
        .expect_said("error: waited 0.0 s for `sh` in vain")
        .expect_said("the command was not started");
    assert!(!site.work().join("ran-strictly").exists());
    site.go();
    holder.wait().expect_code(7);
}

#[test]
fn a_signal_ends_the_waiting_at_once_and_nothing_was_changed() {
    let site = Site::new();
    let services = site.services(1);
    let before = services.states();
    let holder = holder(&site);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        let run = waiting(&site, "1h").args(["--pause", &services.all(), "touch", "ran"]).spawn();
        wait_until_it_waits(&run);
        run.signal(libc::SIGUSR1);
        run.signal(signal);
        assert_eq!(run.wait().signal(), Some(signal));
        assert!(
            services.states() == before
                && site.journals().len() == 1
                && !site.work().join("ran").exists()
        );
    }
    site.go();
    holder.wait().expect_code(7);
}

#[test]
fn of_two_that_wait_for_the_same_build_the_second_waits_for_the_first() {
    let site = nowhere();
    let holder = holder(&site);
    let alone = "mkdir alone && sleep 0.3 && rmdir alone";
    let runs = [0, 1, 2]
        .map(|_| site.makeroom(["--need", ALL, "--wait", "1h", "sh", "-c", alone]).spawn());
    runs.iter().for_each(wait_until_it_waits);
    site.go();
    holder.wait().expect_code(7);
    for run in runs {
        run.wait().expect_code(0);
    }
}

#[test]
fn a_build_whose_makeroom_was_killed_is_waited_for_no_longer() {
    let site = nowhere();
    let mut holder = holder(&site);
    let run = waiting(&site, "1h").args(["true"]).spawn();
    wait_until_it_waits(&run);
    holder.kill_with_keeper();
    run.wait().expect_code(0);
}

#[test]
fn a_makeroom_inside_the_build_does_not_wait_for_it() {
    let site = nowhere();
    let inner = [env!("CARGO_BIN_EXE_makeroom"), "--timeout", "1h", "--need", "1MiB", "true"];
    let done = site.makeroom(["--need", ALL]).args(inner).env("MAKEROOM_WAIT", "1h").run();
    assert!(!done.expect_code(0).err.contains("waiting for"), "{}", done.err);
}

#[test]
fn what_is_left_of_an_ended_lease_in_the_environment_does_not_keep_a_build_from_waiting() {
    let site = nowhere();
    let holder = holder(&site);
    let run = waiting(&site, "1h").args(["true"]).env("MAKEROOM_LEASE", "0123456789ab").spawn();
    wait_until_it_waits(&run);
    site.go();
    holder.wait().expect_code(7);
    run.wait().expect_code(0);
}

#[test]
fn a_room_that_is_kept_after_its_build_is_not_waited_for() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["--pause", &services.all(), "--need", ALL, "--linger", "1h", "true"])
        .run()
        .expect_said("1 container stays paused");
    let done = waiting(&site, "1h").args(["--pause", &services.all(), "true"]).run();
    assert!(!done.expect_code(0).err.contains("waiting for"), "{}", done.err);
    site.makeroom(["stop"]).run().expect_code(0);
    assert!(services.are("running"));
}

#[test]
fn a_waiting_that_is_stopped_and_continued_goes_on() {
    let site = nowhere();
    let holder = holder(&site);
    let mut run = waiting(&site, "1h");
    // Its own group is what it stops.
    let run = run.in_own_group();
    let run = run.args(["true"]).spawn();
    wait_until_it_waits(&run);
    run.signal(libc::SIGTSTP);
    wait_until("it is stopped", || process::stat(run.pid()).is_some_and(|stat| stat.state == 'T'));
    run.signal(libc::SIGCONT);
    site.go();
    holder.wait().expect_code(7);
    run.wait().expect_code(0).expect_within(Duration::from_secs(20));
}
