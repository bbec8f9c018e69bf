//! What a selector or a lease's name means nothing to is said, by name.

use std::{fs, path::PathBuf};

use crate::support::{site::Site, wait_until};

#[test]
fn with_strict_a_selector_that_matches_nothing_is_no_room_and_the_command_is_not_started() {
    let site = Site::new();
    let services = site.services(1);
    let one = services.name(0);
    for options in [
        &["--pause", "no-such"][..],
        &["--pause", "no-such-*"],
        &["--pause", one, "--pause", "no-such"],
        &["--pause", "label:no-such"],
        &["--then", "no-such"],
        &["--pause", one, "--then", "no-such"],
    ] {
        let mut run = site.makeroom(["--strict"]);
        let done = run.args(options).args(["touch", "started"]).run();
        done.expect_code(125).expect_said("matches `").expect_said("no-such");
        done.expect_said("the command was not started");
        assert!(!site.work().join("started").exists() && services.are("running"), "{options:?}");
        let lax = site.makeroom(options).args(["true"]).run();
        lax.expect_code(0).expect_said("warning: no container matches `");
    }
    let start = site.makeroom(["start", "--strict", "--pause", "no-such"]).run();
    start.expect_code(125).expect_said("no container matches `no-such`");
    // Its keeper ends once it is alone.
    wait_until("nothing is held", || site.journals().is_empty());
}

#[test]
fn with_strict_what_is_stopped_or_already_paused_is_a_match() {
    let site = Site::new();
    let services = site.services(3);
    services.tell(0, "pause");
    services.tell(1, "stop?t=0");
    for index in 0..3 {
        let mut run = site.makeroom(["--strict", "--method", "pause", "--pause"]);
        run.args([services.name(index), "true"]).run().expect_code(0);
    }
    services.tell(0, "unpause");
}

#[test]
fn with_strict_a_run_inside_a_lease_is_refused_for_what_matches_nothing_as_well() {
    let site = Site::new();
    let services = site.services(1);
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let outer = ["--pause", services.name(0), makeroom, "--strict", "--pause", "no-such"];
    let done = site.makeroom(outer).args(["touch", "started"]).run();
    done.expect_code(125).expect_said("no container matches `no-such`");
    done.expect_said("the command was not started");
    assert!(!site.work().join("started").exists() && services.are("running"));
    assert!(site.journals().is_empty());
}

#[test]
fn what_keep_names_and_nothing_is_called_is_said_where_it_was_typed() {
    let site = Site::new();
    let services = site.services(1);
    let says = "makeroom: warning: no container matches `no-such`, which --keep names\n";
    let run = |options: &[&str]| {
        let mut run = site.makeroom(["--strict", "-q", "--pause", services.name(0)]);
        run.args(options).args(["true"]).run()
    };
    run(&["--keep", "no-such"]).expect_code(0).expect_said(says);
    fs::write(site.work().join("makeroom.toml"), "keep = ['no-such']\n").expect("written");
    let by_file = run(&[]);
    assert_eq!(by_file.expect_code(0).err, "");
    let both = run(&["--keep", "other"]);
    both.expect_code(0).expect_said("no container matches `other`, which --keep names");
    assert!(!both.err.contains("no-such"), "{}", both.err);
    let alone = site.makeroom(["--keep", "no-such", "true"]).run();
    alone.expect_said("--keep does nothing without --pause or --then");
}

#[test]
fn several_names_in_one_selector_are_told_with_what_to_type() {
    let site = Site::new();
    let services = site.services(2);
    let (a, b) = (services.name(0), services.name(1));
    let done = site.makeroom(["--pause", &format!("{a},{b}"), "true"]).run();
    done.expect_code(0).expect_said(&format!("hint: --pause {a} --pause {b}\n"));
}

#[test]
fn a_lease_that_nobody_holds_is_named_and_a_start_of_nothing_is_said() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let says = "makeroom: warning: no lease is held as `no-such`\n";
    site.makeroom(["stop", "-q", "no-such"]).run().expect_code(0).expect_said(says);
    let started = site.makeroom(["start", "-q", "--name", "ci"]).run();
    started.expect_code(0).expect_said("warning: start without --pause: the lease holds nothing\n");
    site.makeroom(["stop", "no-such"]).run().expect_code(0).expect_said(says);
    assert_eq!(site.journals().len(), 1, "the other one stays");
    let stopped = site.makeroom(["stop", "ci", "no-such"]).run();
    stopped.expect_code(0).expect_said(says);
    assert!(!stopped.err.contains("`ci`") && site.journals().is_empty(), "{}", stopped.err);
    let none = site.makeroom(["stop"]).run();
    none.expect_code(0).expect_said("makeroom: no lease is held\n");
    assert!(!none.err.contains("warning"), "{}", none.err);
}
