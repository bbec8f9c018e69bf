//! The command is looked for before anything is touched, by `execvp`'s own rules, and what is found
//! is what is executed; what cannot be run is told with the line that was meant.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::support::{
    site::{Site, UNTIL_GO},
    wait_until,
};

/// An engine that is not there: whoever asks it says so.
fn nowhere() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

fn file(site: &Site, path: &str, text: &str, mode: u32) {
    let path = site.work().join(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
    fs::write(&path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_command_that_cannot_be_run_touches_nothing_and_asks_no_engine() {
    let site = nowhere();
    file(&site, "plain", "#!/bin/sh\n", 0o644);
    fs::create_dir(site.work().join("dir")).expect("a directory");
    for (program, code) in [
        ("no-such-program-anywhere", 127),
        ("./none", 127),
        ("", 127),
        ("./plain", 126),
        ("./dir", 126),
    ] {
        for options in [&[][..], &["--strict"], &["--need", "auto", "--wait", "1h"]] {
            let mut run =
                site.makeroom(["--pause", "mon", "--report", "report.json", "--swap", "1GiB"]);
            let done = run.args(options).args(["--", program, "x"]).run();
            done.expect_code(code).expect_said("nothing was changed; no command was started");
            assert_eq!(
                done.err.lines().filter(|line| line.contains("error:")).count(),
                1,
                "{}",
                done.err
            );
            assert!(!done.err.contains("docker.sock"), "{}", done.err);
            let left = [site.state(), site.work().join("report.json")];
            assert!(left.iter().all(|path| !path.exists()), "{program}: {left:?}");
        }
    }
}

#[test]
fn a_command_inside_a_lease_is_looked_for_as_well() {
    let site = Site::new();
    let services = site.services(2);
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    file(&site, "bare", "echo $1 from a script\n", 0o755);
    for (index, command, code, says) in [
        (0, "no-such-program", 127, "it is in no directory of PATH"),
        (1, "no-such-program", 127, "it is in no directory of PATH"),
        (0, "./bare", 0, ""),
    ] {
        let mut run = site.makeroom(["--pause", services.name(0), makeroom, "--pause"]);
        let done = run.args([services.name(index), command, "hello"]).run();
        done.expect_code(code).expect_said(says);
        assert_eq!(done.out == "hello from a script\n", code == 0, "{done:?}");
        assert!(services.are("running") && site.journals().is_empty());
    }
}

#[test]
fn a_program_is_found_as_execvp_finds_it() {
    let site = nowhere();
    file(&site, "good/x", "#!/bin/sh\necho good\n", 0o755);
    file(&site, "bare/x", "echo bare $0 $1\n", 0o755);
    file(&site, "plain/x", "#!/bin/sh\necho plain\n", 0o644);
    file(&site, "lost/x", "#!/nonexistent/interpreter\n", 0o755);
    file(&site, "dirs/x/y", "", 0o644);
    file(&site, "x", "#!/bin/sh\necho here\n", 0o755);
    file(&site, "flat", "", 0o644);
    let work = site.work().display().to_string();
    let bare = format!("bare {work}/bare/x 1\n");
    for (path, code, out) in [
        ("@/good", 0, "good\n"),
        ("good", 0, "good\n"),
        ("@/bare", 0, bare.as_str()),
        ("@/plain:@/dirs:@/flat:@/none:@/good", 0, "good\n"),
        ("@/lost:@/good", 0, "good\n"),
        ("@/none:", 0, "here\n"),
        (":@/good", 0, "here\n"),
        ("@/none::@/good", 0, "here\n"),
        ("@/plain:@/none", 126, ""),
        ("@/dirs", 126, ""),
        ("@/none", 127, ""),
        ("@/flat", 127, ""),
        ("@/lost", 127, ""),
    ] {
        let mut run = site.makeroom(["x", "1"]);
        let done = run.env("PATH", path.replace('@', &work)).run();
        done.expect_code(code);
        assert_eq!(done.out, out, "{path}: {}", done.err);
    }
    site.makeroom(["true"]).without_env("PATH").run().expect_code(0);
    site.makeroom(["./bare/x", "1"]).run().expect_code(0);
}

#[test]
fn a_directory_of_path_that_may_not_be_looked_into_is_remembered_and_the_search_goes_on() {
    let site = nowhere();
    let work = site.work().display().to_string();
    file(&site, "hidden/x", "", 0o755);
    file(&site, "good/ls", "#!/bin/sh\necho good\n", 0o755);
    fs::set_permissions(site.work().join("hidden"), fs::Permissions::from_mode(0o700))
        .expect("a mode");
    for dir in ["", "home", "work", "log"] {
        fs::set_permissions(site.path(dir), fs::Permissions::from_mode(0o777)).expect("a mode");
    }
    let run = |program: &str| {
        let mut run = site.makeroom(["--state-dir"]);
        run.args([site.path("home/state").as_os_str()]).args([program]);
        run.env("PATH", format!("{work}/hidden:{work}/good")).user(1000).run()
    };
    let done = run("ls");
    assert_eq!((done.code(), done.out.as_str()), (Some(0), "good\n"), "{}", done.err);
    run("nosuch").expect_code(126).expect_said("/hidden/nosuch`: permission denied");
}

#[test]
fn a_missing_interpreter_is_found_at_the_start_and_everything_is_put_back() {
    let site = Site::new();
    let services = site.services(1);
    file(&site, "lost", "#!/nonexistent/interpreter\n", 0o755);
    let done = site.makeroom(["--pause", services.name(0), "./lost"]).run();
    done.expect_code(127).expect_said("1 container running again");
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn a_second_name_after_pause_is_told_from_a_command_by_what_the_engine_knows() {
    let site = Site::new();
    let services = site.services(3);
    let (a, b, c) = (services.name(0), services.name(1), services.name(2));
    site.makeroom(["--pause", a, b, c, "no-such-program", "x"]).run().expect_code(127).expect_said(
        &format!("hint: --pause takes one selector: makeroom --pause {a} --pause {b} --pause {c} -- no-such-program x\n"),
    );
    let done = site.makeroom(["--pause", a, "no-such-program", "x"]).run();
    assert!(!done.expect_code(127).err.contains("hint:"), "{}", done.err);
    assert!(services.are("running") && !site.state().exists());
}

#[test]
fn what_people_type_is_told_with_the_line_to_type() {
    let site = nowhere();
    file(&site, "home/x", "", 0o755);
    let found = site.path("home/.cargo/bin/my-tool");
    fs::create_dir_all(found.parent().expect("a directory")).expect("directories");
    fs::write(&found, "").expect("written");
    fs::set_permissions(&found, fs::Permissions::from_mode(0o755)).expect("a mode");
    let bin = found.parent().expect("a directory").display().to_string();
    for (typed, hint) in [
        (
            &["-q", "export", "A=1"][..],
            "`export` is a part of the shell: makeroom -q -- sh -c 'export A=1 && COMMAND'"
                .to_owned(),
        ),
        (&["A=1", "true"], "variables are set by `env`: makeroom -- env A=1 true".to_owned()),
        (
            &["--pause", "m*", "--", "true x"],
            "it is one word, with blanks in it: makeroom --pause 'm*' -- true x".to_owned(),
        ),
        (
            &["true && false"],
            "it is one word, with blanks in it: makeroom -- sh -c 'true && false'".to_owned(),
        ),
        (
            &["--pause", "a", "b", "true"],
            "--pause takes one selector: makeroom --pause a --pause b -- true".to_owned(),
        ),
        (&["recver", "--forget", "x"], "perhaps: makeroom recover --forget x".to_owned()),
        (
            &["my-tool"],
            format!(
                "`my-tool` is in {bin}, which PATH does not have: PATH=\"{bin}:$PATH\" makeroom -- my-tool"
            ),
        ),
    ] {
        site.makeroom(typed)
            .run()
            .expect_code(127)
            .expect_said(&format!("makeroom: hint: {hint}\n"));
    }
    site.makeroom(["my-tool"]).env("SUDO_USER", "root").run().expect_code(127).expect_said(&format!(
        "`my-tool` is in {bin}, and sudo has a PATH of its own; yours: sudo env \"PATH=$PATH\" makeroom -- my-tool\n"
    ));
}

#[test]
fn a_program_that_vanishes_before_its_turn_is_not_found_and_everything_is_put_back() {
    let site = Site::new();
    let services = site.services(1);
    let program = site.program("vanishes", "#!/bin/sh\n");
    let outer = site.makeroom(["--need", "8191PiB", "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let mut run = site.makeroom(["--need", "1MiB", "--wait", "1h", "--pause", services.name(0)]);
    let waits = run.args([program.as_os_str()]).spawn();
    wait_until("it waits", || waits.written("err").contains("waiting for `sh`"));
    fs::remove_file(&program).expect("removed");
    site.go();
    outer.wait().expect_code(7);
    waits.wait().expect_code(127);
    assert!(services.are("running") && site.journals().is_empty());
}
