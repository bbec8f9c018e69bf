//! What comes from strangers: names that an engine tells, paths that another user prepared. Nothing of it
//! is interpreted, nothing reaches the terminal as it is, and nothing of theirs is changed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
    sync::OnceLock,
};

use serde_json::json;

use crate::support::{
    must_run,
    proxy::{Deed, Proxy},
    site::Site,
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
    for words in [&["--method", "pause", "--swap", "off"][..], &["--method", "stop", "--swap", "off"]] {
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
        assert!(!done.err.lines().any(|line| line.starts_with("makeroom: all is well")), "{}", done.err);
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
        site.makeroom(["--strict", "--pause", &services.all(), "touch", "ran"]).run().expect_code(125);
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
    run.expect_code(7).expect_said("the history cannot be written").expect_said("the report for `makeroom report` cannot be written");
    assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn the_environment_and_the_arguments_of_a_build_are_in_no_file() {
    let site = Site::new();
    let services = site.services(1);
    let mut run = site.makeroom(["--need", "auto", "--pause", &services.all(), "sh", "-c", "exit 3", "hunter2"]);
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
                assert!(!text.windows(7).any(|word| word == b"hunter2"), "{}", entry.path().display());
            }
        }
    }
    assert!(seen >= 3, "a lock, a history and a report: {seen}");
}
