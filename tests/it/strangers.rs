//! What comes from strangers: names that an engine tells, paths that another user prepared. Nothing
//! of it is interpreted, nothing reaches the terminal as it is, and nothing of theirs is changed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    journal::Journal,
    must_run, process,
    proxy::{Deed, Proxy},
    site::{Site, UNTIL_GO},
    wait_until,
};

/// A colour, a line of its own, a shell's command, and a bidirectional override.
const EVIL: &str = "/mon-\u{1b}[31mred\nmakeroom: all is well $(touch pwned) `touch pwned` '; touch pwned; '\u{202e}";
const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// An engine's answers: a container that is called so, listed and inspected, and an error.
fn evil_answers() -> [&'static str; 3] {
    static TEXTS: OnceLock<[String; 3]> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let labels = json!({ "com.docker.compose.project": EVIL, "com.docker.compose.service": EVIL });
        let listed = json!([{ "Id": ID, "Names": [EVIL], "State": "running", "Labels": labels, "Image": EVIL }]);
        let state = json!({ "Running": true, "Status": "running", "Pid": 1, "StartedAt": "2026-01-01T00:00:00Z" });
        let inspected = json!({ "Id": ID, "Name": EVIL, "State": state, "Config": { "Labels": labels }, "HostConfig": {} });
        [listed.to_string(), inspected.to_string(), json!({ "message": EVIL }).to_string()]
    });
    [&texts[0], &texts[1], &texts[2]]
}

#[test]
fn nothing_in_a_containers_name_or_labels_is_interpreted_or_printed_as_it_is() {
    let [listed, inspected, refused] = evil_answers();
    for words in
        [&["--method", "pause", "--swap", "off"][..], &["--method", "stop", "--swap", "off"]]
    {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        proxy.on("list", None, Deed::Answer(200, listed));
        proxy.on("inspect", None, Deed::Answer(200, inspected));
        for call in ["pause", "stop"] {
            proxy.on(call, None, Deed::Answer(500, refused));
        }
        let done = site
            .makeroom(["--restore-timeout", "1s", "--pause", "label:com.docker.compose.project"])
            .args(words)
            .args(["sh", "-c", "exit 7"])
            .run();
        done.expect_said("mon-");
        for letter in ['\u{1b}', '\u{202e}'] {
            assert!(!done.err.contains(letter), "{:?}", done.err);
        }
        assert!(
            !done.err.lines().any(|line| line.starts_with("makeroom: all is well")),
            "{}",
            done.err
        );
        assert!(!site.work().join("pwned").exists() && !Path::new("/pwned").exists());
    }
}

/// Somebody who is not root, and whose paths root must not trust.
const NOBODY: u32 = 65534;

#[test]
fn what_another_user_prepared_as_a_state_directory_is_refused_and_stays_as_it_is() {
    type Prepare = fn(&Path);
    let prepared: [(&str, Prepare); 5] = [
        ("theirs", |path| {
            fs::create_dir(path).expect("a directory");
            chown(path, Some(NOBODY), None).expect("root gives it away");
        }),
        ("wide", |path| {
            fs::create_dir(path).expect("a directory");
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("a mode");
        }),
        ("link", |path| {
            let elsewhere = path.with_extension("elsewhere");
            fs::create_dir(&elsewhere).expect("a directory");
            symlink(elsewhere, path).expect("a link");
        }),
        ("fifo", |path| must_run(std::process::Command::new("mkfifo").arg(path))),
        ("file", |path| fs::write(path, "theirs").expect("a file")),
    ];
    for (what, prepare) in prepared {
        let site = Site::new();
        let services = site.services(1);
        prepare(&site.state());
        let run = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 7"]).run();
        run.expect_code(7).expect_said("nothing is changed");
        site.makeroom(["--strict", "--pause", &services.all(), "touch", "ran"])
            .run()
            .expect_code(125);
        assert!(!site.work().join("ran").exists(), "{what}");
        assert!(services.are("running"), "{what}");
        let inside = fs::read_dir(site.state()).map_or(0, Iterator::count);
        assert_eq!(inside, 0, "{what}: nothing is written there");
    }
}

#[test]
fn what_another_user_put_into_a_state_directory_holds_nobody_up_and_is_not_followed() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["true"]).run().expect_code(0);
    let precious = site.path("precious");
    fs::write(&precious, "precious").expect("a file");
    // As far as a directory of mode 0700 lets anybody; root's own mistakes count as well.
    for name in ["history", "reports"] {
        let path = site.state().join(name);
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_file(&path);
        symlink(&precious, &path).expect("a link");
    }
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 7"]).run();
    run.expect_code(7)
        .expect_said("the history cannot be written")
        .expect_said("the report for `makeroom report` cannot be written");
    assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn the_environment_and_the_arguments_of_a_build_are_in_no_file() {
    let site = Site::new();
    let services = site.services(1);
    let mut run = site.makeroom([
        "--need",
        "auto",
        "--pause",
        &services.all(),
        "sh",
        "-c",
        "exit 3",
        "hunter2",
    ]);
    run.env("TOKEN", "hunter2").run().expect_code(3);
    let mut seen = 0;
    let mut dirs = vec![site.state()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
            if entry.file_type().expect("a type").is_dir() {
                dirs.push(entry.path());
            } else {
                seen += 1;
                let text = fs::read(entry.path()).expect("a file");
                assert!(
                    !text.windows(7).any(|word| word == b"hunter2"),
                    "{}",
                    entry.path().display()
                );
            }
        }
    }
    assert!(seen >= 3, "a lock, a history and a report: {seen}");
}

/// A lease that makeroom itself would restore: with a swap area and a way to the host that leaves a
/// trace.
fn plant(site: &Site, lease: &str) -> PathBuf {
    let journal = site.state().join(format!("leases/{lease}.journal"));
    let vm = site.program(
        "vm",
        &format!("#!/bin/sh\ntouch '{}'; exit 1\n", site.path("gone-there").display()),
    );
    Journal::of(lease).with_area_behind(&json!([vm])).write(&journal);
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o600)).expect("a mode");
    journal
}

fn nowhere() -> Site {
    Site::at("/nonexistent/docker.sock".into())
}

#[test]
fn a_state_directory_below_somebody_elses_is_refused_by_all_that_open_one_with_the_mend() {
    type Prepare = fn(&Path);
    let prepared: [(&str, Prepare, &str, &str); 4] = [
        (
            "theirs",
            |path| chown(path, Some(NOBODY), None).expect("root gives it away"),
            "belongs to user 65534",
            "--state-dir DIR",
        ),
        (
            "group",
            |path| set_mode(path, 0o775),
            "can be written by others (mode 775)",
            "chmod go-w ",
        ),
        (
            "world",
            |path| set_mode(path, 0o757),
            "can be written by others (mode 757)",
            "chmod go-w ",
        ),
        (
            "link",
            |path| {
                let real = path.with_extension("real");
                fs::rename(path, &real).expect("renamed");
                symlink(real, path).expect("a link");
                std::os::unix::fs::lchown(path, Some(NOBODY), None).expect("root gives it away");
            },
            "belongs to user 65534",
            "--state-dir DIR",
        ),
    ];
    for (what, prepare, says, mend) in prepared {
        let site = nowhere();
        let above = site.path("above");
        fs::create_dir(&above).expect("a directory");
        let state = above.join("state");
        site.makeroom(["true"]).env("MAKEROOM_STATE_DIR", &state).run().expect_code(0);
        prepare(&above);
        let with = |words: &[&str]| site.makeroom(words).env("MAKEROOM_STATE_DIR", &state).run();
        for words in [
            &["recover"][..],
            &["stop"],
            &["status"],
            &["report"],
            &["start"],
            &["--strict", "true"],
        ] {
            let done = with(words);
            done.expect_code(125)
                .expect_said("is not safe: ")
                .expect_said(says)
                .expect_said(&above.to_string_lossy());
            assert!(done.err.contains(mend), "{what} {words:?}: {}", done.err);
        }
        with(&["sh", "-c", "exit 7"])
            .expect_code(7)
            .expect_said(says)
            .expect_said(mend)
            .expect_said("nothing is changed");
        assert!(with(&["doctor"]).expect_code(1).out.contains(says), "{what}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_state_directory_below_a_sticky_one_or_behind_roots_own_link_is_used() {
    let site = nowhere();
    let sticky = site.path("sticky");
    fs::create_dir(&sticky).expect("a directory");
    set_mode(&sticky, 0o1777);
    symlink(&sticky, site.path("link")).expect("a link");
    for state in [sticky.join("a/b"), site.path("link/c"), site.path("link/../sticky/d")] {
        let run = site
            .makeroom(["--strict", "--swap", "off", "sh", "-c", "exit 7"])
            .env("MAKEROOM_STATE_DIR", &state)
            .run();
        run.expect_code(7);
        assert!(state.join("leases").is_dir(), "{}", state.display());
    }
}

#[test]
fn a_journal_that_is_not_ours_alone_is_not_used_and_said_and_kept() {
    let site = nowhere();
    site.makeroom(["true"]).run().expect_code(0);
    for (lease, says) in [
        ("aaaaaaaaaaaa", "belongs to user 65534"),
        ("bbbbbbbbbbbb", "mode 666"),
        ("cccccccccccc", "2 links"),
    ] {
        let journal = plant(&site, lease);
        match lease {
            "aaaaaaaaaaaa" => chown(&journal, Some(NOBODY), None).expect("root gives it away"),
            "bbbbbbbbbbbb" => set_mode(&journal, 0o666),
            _ => fs::hard_link(&journal, site.path("other-name")).expect("a link"),
        }
        let bytes = fs::read(&journal).expect("a journal");
        site.makeroom(["recover"])
            .run()
            .expect_code(125)
            .expect_said("is not used: ")
            .expect_said(says)
            .expect_said("left alone");
        site.makeroom(["sh", "-c", "exit 7"]).run().expect_code(7).expect_said(says);
        assert_eq!(fs::read(&journal).expect("kept"), bytes);
        assert!(!site.path("gone-there").exists(), "{lease}");
        fs::remove_file(journal).expect("removed");
    }
    // The same as it would be made: the trace is what the others did not leave.
    plant(&site, "dddddddddddd");
    site.makeroom(["recover"]).run().expect_code(125);
    assert!(site.path("gone-there").exists());
}

#[test]
fn a_lock_and_a_history_that_are_not_ours_alone_are_not_used() {
    let site = nowhere();
    site.makeroom(["true"]).run().expect_code(0);
    for (name, says) in [
        ("history", "the history cannot be read: it belongs to user 65534"),
        ("lock", "it belongs to user 65534"),
    ] {
        chown(site.state().join(name), Some(NOBODY), None).expect("root gives it away");
        site.makeroom(["sh", "-c", "exit 7"]).run().expect_code(7).expect_said(says);
        chown(site.state().join(name), Some(0), None).expect("root takes it back");
    }
    site.makeroom(["--strict", "sh", "-c", "exit 7"]).run().expect_code(7);
}

#[test]
fn a_state_directory_that_gets_another_name_meanwhile_is_the_same_to_both_processes() {
    let site = Site::new();
    let services = site.services(1);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let renamed = site.path("renamed");
    fs::rename(site.state(), &renamed).expect("renamed");
    fs::create_dir(site.state()).expect("a directory");
    set_mode(&site.state(), 0o700);
    // A keeper that takes over has it from the supervisor.
    let keeper = run.keeper();
    process::signal(keeper, libc::SIGKILL);
    run.keeper_other_than(keeper);
    site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert!(services.are("running"));
    assert_eq!(
        fs::read_dir(renamed.join("leases")).expect("there").count(),
        0,
        "the journal is gone"
    );
    assert_eq!(
        fs::read_dir(renamed.join("reports")).expect("there").count(),
        1,
        "the report is there"
    );
    assert_eq!(
        fs::read_dir(site.state()).expect("there").count(),
        0,
        "nothing is in the other one"
    );
}

#[test]
fn a_link_in_the_place_of_a_started_leases_socket_is_not_followed() {
    let site = nowhere();
    let lease = site.makeroom(["start"]).run().expect_code(0).out.trim().to_owned();
    for keeper in site.keepers() {
        process::signal(keeper, libc::SIGKILL);
    }
    wait_until("the keeper is dead", || site.keepers().is_empty());
    let listener = std::os::unix::net::UnixListener::bind(site.path("theirs")).expect("a socket");
    listener.set_nonblocking(true).expect("set");
    let socket = site.state().join(format!("leases/{lease}.sock"));
    fs::remove_file(&socket).expect("the dead keeper's");
    symlink(site.path("theirs"), &socket).expect("a link");
    site.makeroom(["stop", "--restore-timeout", "1s"])
        .limit(Duration::from_secs(10))
        .run()
        .expect_code(0);
    assert_eq!(listener.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
    assert!(site.journals().is_empty() && socket.symlink_metadata().is_err());
}
