//! Ways into the VM that do not work as they should: each is named in one line, the build runs all
//! the same, and with `--strict` it does not.

use std::time::Duration;

use crate::place::{Hogs, Place, lines_with};

/// The longest that a step of looking may take, and what there is around it on a busy machine.
const LOOKED: Duration = Duration::from_secs(40);

/// A run that makes room by this way says `expected` in one line, pauses, and runs the build.
#[track_caller]
fn expect_named(place: &Place, hogs: &Hogs, way: &str, expected: &str) {
    let before = hogs.states();
    let args = ["--vm-shell", way, "--pause", hogs.all(), "--", "sh", "-c", "exit 7"];
    let done = place.forwarded(args).run();
    done.expect_code(7)
        .expect_said("1 container paused")
        .expect_said("1 container running again")
        .expect_within(LOOKED);
    let warnings = lines_with(&done, "warning:");
    assert!(
        warnings.len() == 1 && warnings[0].contains(expected),
        "one line with `{expected}`, not:\n{}",
        done.err
    );
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();

    let strict = place.forwarded(["--strict"].iter().chain(&args)).run();
    strict.expect_code(125).expect_said(expected).expect_within(LOOKED);
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
}

/// The VM is looked at, and no swap can be made there: services are stopped instead, and run again.
#[track_caller]
fn expect_no_swap(place: &Place, hogs: &Hogs, way: &str, expected: &str) {
    let args = ["--vm-shell", way, "--pause", hogs.all(), "--", "sh", "-c", "exit 7"];
    let done = place.forwarded(args).run();
    done.expect_code(7)
        .expect_said("1 container stopped")
        .expect_said("1 container running again")
        .expect_within(LOOKED);
    let warnings = lines_with(&done, "warning:");
    assert!(
        warnings.len() == 1 && warnings[0].contains(expected),
        "one line with `{expected}`, not:\n{}",
        done.err
    );
    assert_eq!(place.vm.areas(), Vec::<String>::new());
    place.forwarded(["--strict"].iter().chain(&args)).run().expect_code(125).expect_said(expected);
    assert!(hogs.are("running"), "{:?}", hogs.states());
    assert_eq!(place.vm.areas(), Vec::<String>::new());
}

/// [`expect_named`] for each of these ways.
#[track_caller]
fn each_is_named(ways: impl FnOnce(&Place) -> Vec<(String, &'static str)>) {
    let place = Place::bare();
    let hogs = place.hogs(1, 10);
    for (way, expected) in ways(&place) {
        expect_named(&place, &hogs, &way, expected);
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    each_is_named(|_| {
        vec![(
            "/nonexistent/colima ssh --".to_owned(),
            "cannot run `/nonexistent/colima ssh --`: No such file",
        )]
    });
}

#[test]
fn ssh_that_asks_for_a_password_is_named_and_nobody_is_asked() {
    each_is_named(|place| {
        let ssh = place.vm.way();
        let way = ssh.replace(
            "ssh -F",
            "ssh -o BatchMode=no -o PubkeyAuthentication=no -o ControlPath=none -F",
        );
        vec![(way, "did not run the step: user@127.0.0.1: Permission denied")]
    });
}

#[test]
fn a_command_that_hangs_is_given_up_after_its_time() {
    each_is_named(|_| vec![("sh -c 'sleep 600'".to_owned(), "sh has not answered for 15 s")]);
}

#[test]
fn a_way_that_needs_a_terminal_is_named() {
    each_is_named(|place| {
        let script =
            "#!/bin/sh\n[ -t 0 ] || { echo 'the input device is not a TTY' >&2; exit 1; }\n";
        let needing = place.write_program("needs-terminal", script);
        vec![(needing.display().to_string(), "did not run the step: the input device is not a TTY")]
    });
}

#[test]
fn a_user_that_sudo_refuses_is_named() {
    let place = Place::bare();
    let hogs = place.hogs(1, 10);
    expect_no_swap(
        &place,
        &hogs,
        &place.vm.way_of("vm-nosudo"),
        "no swap is made: this needs root in ssh",
    );
}

#[test]
fn a_disk_in_the_vm_without_room_is_named() {
    let place = Place::bare();
    let hogs = place.hogs(1, 10);
    place.vm.sh("fallocate -l 3G /mnt/lima-colima/fill");
    expect_no_swap(&place, &hogs, &place.vm.way(), "/mnt/lima-colima/makeroom has only ");
    assert_eq!(place.vm.word("ls -A /mnt/lima-colima/makeroom"), "");
}

#[test]
fn a_stopped_vm_is_named_by_colimas_own_words() {
    let place = Place::colima();
    let hogs = place.hogs(1, 10);
    // Another VM, which was never booted, behind the same command.
    let empty = place.site.path("stopped");
    std::fs::create_dir(&empty).expect("a directory");
    let script = crate::machine::script("colima");
    let text = format!(
        "#!/bin/sh\nMAKEROOM_TEST_VM={} exec {} \"$@\"\n",
        empty.display(),
        script.display()
    );
    let colima = place.write_program("colima", &text);
    expect_named(&place, &hogs, &format!("{} ssh --", colima.display()), "colima not running");
}

#[test]
fn an_engine_that_is_gone_with_its_vm_is_one_line_and_the_build_runs() {
    let place = Place::colima();
    let socket = place.site.path("home/.colima/default/docker.sock");
    std::fs::remove_file(&socket).expect("removed");
    let done = place.makeroom(["--pause", "*", "--", "sh", "-c", "exit 7"]).run();
    done.expect_code(7);
    assert_eq!(lines_with(&done, "warning:").len(), 1, "{}", done.err);
    place.makeroom(["--strict", "--pause", "*", "--", "sh", "-c", "exit 7"]).run().expect_code(125);
    place.expect_nothing_left();
}

/// Room is made by this way, as by any that works.
#[track_caller]
fn expect_room(way: impl FnOnce(&Place) -> String) {
    let place = Place::bare();
    let hogs = place.hogs(1, 60);
    let before = hogs.states();
    let way = way(&place);
    let done = place.forwarded(["--vm-shell", &way, "--pause", hogs.all(), "--", "true"]).run();
    done.expect_code(0)
        .expect_said(" given back in ")
        .expect_said("of swap made for this run")
        .expect_said("swap removed");
    assert!(!done.err.contains("warning"), "{}", done.err);
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
}

#[test]
fn greetings_before_the_output_are_passed_over_and_the_room_is_made() {
    expect_room(|place| {
        let text = format!(
            "#!/bin/sh\necho Welcome to the VM; echo 'it needs a reboot' >&2; exec {} \"$@\"\n",
            place.vm.way()
        );
        place.write_program("noisy", &text).display().to_string()
    });
}

#[test]
fn a_terminal_that_only_adds_its_shells_prompts_is_as_good_as_none() {
    expect_room(|place| place.vm.way().replace("ssh -F", "ssh -tt -F"));
}
