//! The doctor: one line for each thing that a run needs, with the fix, and nothing is changed.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::support::{
    makeroom::Done,
    services::Recipe,
    site::{Site, UNTIL_GO},
};

/// The line of this check.
#[track_caller]
fn line<'a>(done: &'a Done, what: &str) -> &'a str {
    let is_it =
        |line: &&str| line.split_ascii_whitespace().nth(1) == Some(what) && !line.starts_with(' ');
    done.out.lines().find(is_it).unwrap_or_else(|| panic!("no {what} in:\n{}", done.out))
}

#[test]
fn a_machine_that_has_all_is_well_line_by_line_and_stays_as_it_is() {
    let site = Site::new();
    let _services = site.start(&Recipe::default(), 1);
    let done = site.makeroom(["doctor", "--swap", "64MiB"]).run();
    done.expect_code(0);
    for (what, words) in [
        ("engine", "1 container, answers within "),
        ("host", "this machine, "),
        ("root", "yes"),
        ("swap", "free"),
        ("reclaim", "cgroup v"),
        ("pressure", "measured by the kernel"),
        ("state", "made by the first run"),
        ("boot", "`makeroom recover`"),
    ] {
        let line = line(&done, what);
        // Other tests have containers as well.
        let words = words.strip_prefix("1 container").unwrap_or(words);
        assert!(line.starts_with("ok    ") && line.contains(words), "{line} should say {words}");
    }
    assert!(!site.state().exists());
}

#[test]
fn what_is_missing_is_said_with_its_fix_and_is_an_exit_code_of_one() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let done = site.makeroom(["doctor", "--swap", "100TiB"]).run();
    done.expect_code(1);
    assert!(
        line(&done, "engine").starts_with("FIX   ")
            && done.out.contains("start the engine, or name it with"),
        "{}",
        done.out
    );
    assert!(line(&done, "swap").contains("do not fit beside"), "{}", done.out);
    fs::create_dir_all(site.state()).expect("a directory");
    fs::set_permissions(site.state(), fs::Permissions::from_mode(0o777)).expect("a mode");
    fs::create_dir(site.state().join("leases")).expect("a directory");
    let wide = site.makeroom(["doctor", "--swap", "64MiB"]).run();
    assert!(
        line(&wide, "state").starts_with("FIX   ") && wide.out.contains("chmod 700 "),
        "{}",
        wide.out
    );
}

#[test]
fn a_lease_without_a_holder_is_named_with_the_command_that_restores_it() {
    let site = Site::new();
    let services = site.services(1);
    let mut run = site
        .makeroom(["--method", "pause", "--pause", &services.all(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    run.kill_with_keeper();
    let done = site.makeroom(["doctor", "--swap", "64MiB"]).run();
    done.expect_code(1);
    assert!(
        line(&done, "leases").contains("1 without a holder")
            && done.out.contains("makeroom recover"),
        "{}",
        done.out
    );
    assert!(services.are("paused"), "the doctor changes nothing");
    site.makeroom(["recover"]).run().expect_code(0);
    let after = site.makeroom(["doctor", "--swap", "64MiB"]).run();
    assert!(line(&after, "leases").contains("0 leases held"), "{}", after.out);
}

#[test]
fn a_host_that_cannot_be_reached_is_named() {
    let site = Site::new();
    let done = site.makeroom(["doctor", "--vm-shell", "/nonexistent/vm ssh"]).run();
    assert!(
        line(done.expect_code(1), "host").contains("cannot run `/nonexistent/vm ssh`"),
        "{}",
        done.out
    );
}

#[test]
fn a_relative_swap_file_is_looked_for_in_the_working_directory() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    for file in ["area", "missing/area", "missing/too/area"] {
        let done = site.makeroom(["doctor", "--swap", "100TiB", "--swap-file", file]).run();
        assert!(line(&done, "host").starts_with("ok    "), "{}", done.out);
        let whole = site.work().join(file).display().to_string();
        assert!(done.out.contains(&whole), "{whole} should be in:\n{}", done.out);
    }
}
