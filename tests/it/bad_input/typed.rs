//! What was typed wrongly, or is wrong in a variable or a file, ends with 125.

use std::{ffi::OsStr, fs, io, os::fd::AsRawFd as _, os::unix::ffi::OsStrExt as _};

use crate::support::makeroom::Run;

use super::nowhere;

#[test]
fn what_was_typed_wrongly_is_named_with_what_is_allowed_and_nothing_is_run() {
    let site = nowhere();
    let wrong: [(&[&str], &str, &str); 31] = [
        (&["--puase", "x"], "--puase", "--pause"),
        (&["-x"], "-x", "--pause"),
        (&["--swap", "much"], "--swap", "2GiB"),
        (&["--swap=-1G"], "--swap", "2GiB"),
        (&["--swap", "1e30G"], "--swap", "2GiB"),
        (&["--timeout", "5"], "--timeout", "5s"),
        (&["--grace", "soon"], "--grace", "90s"),
        (&["--stop-timeout=-1s"], "--stop-timeout", "90s"),
        (&["--restore-timeout", ""], "--restore-timeout", "a value is missing"),
        (&["--need", "8"], "--need", "8GiB"),
        (&["--need", "0"], "--need", "8GiB"),
        (&["--need", "0GiB"], "--need", "8GiB"),
        (&["--swap", "512"], "--swap", "512MiB"),
        (&["--floor", "1.5"], "--floor", "1.5GiB"),
        (&["--floor", "4294967296"], "--floor", "4294967296B"),
        (&["--floor", "99999999999999999999"], "--floor", "99999999999999999999B"),
        (&["--timeout", "0s"], "--timeout", "90s"),
        (&["--timeout", "0"], "--timeout", "90s"),
        (&["--abort-on-thrash", "0ms"], "--abort-on-thrash", "90s"),
        (&["--linger", "5"], "--linger", "5m"),
        (&["--timeout", "-5s"], "-5", "below zero"),
        (&["--need", "-8GiB"], "-8", "below zero"),
        (&["--method", "kill"], "--method", "auto, pause, stop"),
        (&["--color", "sometimes"], "--color", "auto, always, never"),
        (&["--pause", "re:("], "--pause", "re:REGEX"),
        (&["--pause", "mon-["], "--pause", "glob"),
        (&["--pause", "label:"], "--pause", "label:KEY"),
        (&["--pause", "compose:/web"], "--pause", "compose:PROJECT"),
        (&["--keep", ""], "--keep", "a value is missing"),
        (&["--keep", "name:web"], "--keep", "a name"),
        (&["--engine", "unix:///a", "--context", "b"], "--engine", "--context"),
    ];
    for (args, flag, allowed) in wrong {
        let done = site.makeroom(args).args(["touch", "started"]).run();
        done.expect_code(125).expect_said(flag).expect_said(allowed);
        let naming: Vec<_> = done.err.lines().filter(|line| line.contains("error:")).collect();
        assert!(
            naming.len() == 1 && naming[0].contains(flag) && naming[0].contains(allowed),
            "one line: {}",
            done.err
        );
        assert!(done.out.is_empty() && !site.work().join("started").exists(), "{args:?}");
        assert!(!site.state().exists(), "{args:?}: nothing is changed");
    }
}

#[test]
fn a_directory_or_a_swap_file_that_is_no_text_is_refused_before_anything_is_written() {
    let site = nowhere();
    let odd = OsStr::from_bytes(b"odd-\xff");
    for (key, flag, whole) in [
        ("state_dir", "--state-dir", site.path("").join(odd)),
        ("swap_file", "--swap-file", odd.into()),
    ] {
        let flagged = site.makeroom([flag]).args([&whole]).args(["touch", "started"]).run();
        let variable = site
            .makeroom(["touch", "started"])
            .env(&format!("MAKEROOM_{}", key.to_uppercase()), &whole)
            .run();
        for done in [flagged, variable] {
            done.expect_code(125).expect_said(key).expect_said("is not UTF-8");
            assert!(
                !whole.exists() && !site.work().join("started").exists() && !site.state().exists()
            );
        }
    }
    // A relative one in such a directory.
    let dir = site.path("").join(odd);
    fs::create_dir(&dir).expect("a directory");
    site.makeroom(["--state-dir", "s", "touch", "started"])
        .dir(&dir)
        .run()
        .expect_code(125)
        .expect_said("state_dir");
    assert_eq!(fs::read_dir(&dir).expect("there").count(), 0);
    site.makeroom(["swap", "status", "--swap-file"])
        .args([odd])
        .run()
        .expect_code(125)
        .expect_said("is not UTF-8");
}

#[test]
fn an_option_without_its_value_is_named() {
    let site = nowhere();
    site.makeroom(["--pause"]).run().expect_code(125).expect_said("--pause");
}

#[test]
fn an_option_of_another_subcommand_is_not_among_what_is_allowed() {
    let site = nowhere();
    for (args, option, allowed) in [
        (&["--pause", "a", "status"][..], "--pause", "--json"),
        (&["--ttl", "1s", "--", "true"], "--ttl", "--pause"),
    ] {
        let done = site.makeroom(args).run();
        done.expect_code(125).expect_said(&format!("unknown option `{option}`; allowed: "));
        let listed: Vec<_> =
            done.err.split_whitespace().skip_while(|word| *word != "allowed:").collect();
        assert!(listed.contains(&allowed) && !listed.contains(&option), "{}", done.err);
    }
}

#[test]
fn a_word_that_is_missing_and_one_too_many_are_named() {
    let site = nowhere();
    for (args, says) in [
        (&["swap"][..], "a subcommand is missing; allowed: on, off, status"),
        (&["swap", "frob"], "`frob` is no subcommand; allowed: on, off, status"),
        (&["completions"], "<SHELL> is missing"),
        (&["man", "extra"], "`extra` is one word too many"),
        (&["start", "x"], "`x` is one word too many"),
        (
            &["start", "--pause", "a", "b"],
            "`b` is one word too many: --pause takes one selector, `--pause b`",
        ),
    ] {
        site.makeroom(args).run().expect_code(125).expect_said(&format!("error: {says}"));
    }
}

/// A device without room in the place of stdout.
fn into_a_full_device(run: &mut Run) -> &mut Run {
    let full = fs::File::options().write(true).open("/dev/full").expect("a device");
    run.before_exec(move || {
        // SAFETY: both are open descriptors of the process that is about to be makeroom.
        if unsafe { libc::dup2(full.as_raw_fd(), 1) } < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    })
}

#[test]
fn what_was_asked_for_and_cannot_be_written_is_an_error() {
    let site = nowhere();
    let asked = [
        &["--help"][..],
        &["--version"],
        &["man"],
        &["completions", "bash"],
        &["plan"],
        &["status"],
        &["doctor"],
        &["swap", "status"],
    ];
    for args in asked {
        let done = into_a_full_device(&mut site.makeroom(args)).run();
        done.expect_code(125).expect_said("cannot write to stdout: No space left on device");
    }
    let done = into_a_full_device(&mut site.makeroom(["start", "--name", "x"])).run();
    done.expect_code(125)
        .expect_said("the lease is held all the same")
        .expect_said("hint: `makeroom stop ");
    assert_eq!(site.journals().len(), 1);
    site.makeroom(["stop", "x"]).run().expect_code(0);
}

#[test]
fn a_command_that_is_named_like_the_second_process_is_a_command() {
    nowhere().makeroom(["keeper"]).run().expect_code(127).expect_said("keeper");
}

#[test]
fn a_bad_variable_is_named_with_what_is_allowed() {
    let site = nowhere();
    for (name, value, allowed) in [
        ("MAKEROOM_SWAP", "much", "2GiB"),
        ("MAKEROOM_GRACE", "5", "5s"),
        ("MAKEROOM_NEED", "8", "8GiB"),
        ("MAKEROOM_TIMEOUT", "0s", "90s"),
        ("MAKEROOM_PAUSE", "re:(", "re:REGEX"),
    ] {
        let done = site.makeroom(["touch", "started"]).env(name, value).run();
        done.expect_code(125).expect_said(name).expect_said(allowed);
        assert!(!site.work().join("started").exists());
    }
}

#[test]
fn a_file_with_an_unknown_key_or_a_bad_value_is_named_with_its_line() {
    let site = nowhere();
    let file = site.work().join("makeroom.toml");
    for (text, line, says) in [
        ("pause = ['x']\npuase = ['y']\n", 2, "puase"),
        ("\ngrace = '5'\n", 2, "5s"),
        ("need = 8\n", 1, "8GiB"),
        ("floor = 1.5\n", 1, "1.5GiB"),
        ("timeout = 90\n", 1, "90s"),
        ("\nabort_on_thrash = '0s'\n", 2, "90s"),
        ("pause = ['re:(']\n", 1, "re:REGEX"),
    ] {
        fs::write(&file, text).expect("written");
        let done = site.makeroom(["touch", "started"]).run();
        done.expect_code(125).expect_said(&format!("makeroom.toml:{line}")).expect_said(says);
        assert!(!site.work().join("started").exists());
    }
}

#[test]
fn a_repositorys_file_may_not_name_paths_or_engines() {
    let site = nowhere();
    for line in [
        "engine = 'unix:///tmp/x'",
        "context = 'x'",
        "state_dir = '/tmp/x'",
        "swap_file = '/etc/passwd'",
    ] {
        fs::write(site.work().join("makeroom.toml"), format!("grace = '1s'\n{line}\n"))
            .expect("written");
        let key = line.split(' ').next().expect("a key");
        site.makeroom(["true"])
            .run()
            .expect_code(125)
            .expect_said("makeroom.toml:2")
            .expect_said(key);
    }
}

#[test]
fn a_zero_that_can_be_meant_is_taken() {
    let site = nowhere();
    for zero in [
        &["--swap", "0"][..],
        &["--swap", "0GiB"],
        &["--grace", "0s"],
        &["--grace", "0"],
        &["--floor", "0"],
        &["--linger", "0s"],
        &["--wait", "0s", "--need", "1GiB"],
        &["--stop-timeout", "0s"],
        &["--restore-timeout", "0s"],
        &["--wait-healthy", "0s"],
        &["--warm", "0s"],
    ] {
        site.makeroom(zero).args(["true"]).run().expect_code(0);
    }
    fs::write(site.work().join("makeroom.toml"), "wait = 0\npressure = 10\n").expect("written");
    site.makeroom(["true"]).run().expect_code(0);
    site.makeroom(["start", "--ttl", "0s"]).run().expect_code(125).expect_said("90s");
    assert!(site.journals().is_empty());
}
