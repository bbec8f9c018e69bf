//! Whose `makeroom.toml` counts: one that was found, not named, is ours or root's and nobody else
//! writes to it, or it is one warning, is not read, and stops nobody. What a repository may not say
//! stops with its line.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, lchown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::support::{
    makeroom::{Done, Run},
    process,
    site::Site,
    wait_until,
};

/// Somebody who is not root, which these tests run as.
const STRANGER: u32 = 1234;
/// Settings that can be seen to count: a build of a second ends with 124.
const SHORT: &str = "timeout = '100ms'\ngrace = '100ms'\n";

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
    fs::write(path, text).expect("written");
}

fn give_away(path: &Path) {
    lchown(path, Some(STRANGER), Some(STRANGER)).expect("root gives it away");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn building(site: &Site, options: &[&str]) -> Run {
    let mut run = site.makeroom(options);
    run.args(["sh", "-c", ": >ran; exec sleep 1"]);
    run
}

/// The build ran, and one line says why the file did not count.
#[track_caller]
fn assert_left_out(site: &Site, run: &mut Run, reason: &str, hint: &str) -> Done {
    let _ = fs::remove_file(site.work().join("ran"));
    let done = run.run();
    done.expect_code(0)
        .expect_said(&format!("makeroom: warning: {reason}\nmakeroom: hint: {hint}"));
    assert_eq!(done.err.matches("warning:").count(), 1, "{}", done.err);
    assert!(site.work().join("ran").exists());
    done
}

#[test]
fn another_users_file_is_one_warning_with_the_way_out_and_with_strict_an_error() {
    let site = site();
    let file = site.path("makeroom.toml");
    for text in [SHORT, "not TOML", "on_room_made = 'touch pwned'\n", &"#".repeat((64 << 10) + 1)] {
        write(&file, text);
        give_away(&file);
        let reason = format!("{} belongs to user 1234 and is not read", file.display());
        let dir = file.parent().expect("a directory").display();
        let hint = format!(
            "`--safe-directory {dir}` takes it as it is; `sudo chown 0 {}` makes it yours",
            file.display()
        );
        assert_left_out(&site, &mut building(&site, &[]), &reason, &hint);
        fs::remove_file(site.work().join("ran")).expect("it ran");
        for words in
            [&["--strict", "touch", "ran"][..], &["start", "--strict"], &["plan", "--strict"]]
        {
            let done = site.makeroom(words).run();
            done.expect_code(125).expect_said(&format!(
                "makeroom: error: {reason}\nmakeroom: nothing was changed\nmakeroom: hint: {hint}"
            ));
            assert!(!site.work().join("ran").exists(), "{words:?}");
        }
        let plan = site.makeroom(["plan"]).run();
        plan.expect_said(&reason);
        assert_ne!(plan.code(), Some(125), "{}", plan.err);
        // Without a build there is no repository.
        for words in [&["recover"][..], &["stop"], &["status"], &["swap", "status"]] {
            assert!(
                !site.makeroom(words).run().expect_code(0).err.contains("makeroom.toml"),
                "{words:?}"
            );
        }
        fs::remove_file(&file).expect("removed");
    }
}

#[test]
fn another_users_fifo_device_directory_or_link_is_not_touched_and_stops_nobody() {
    type Put = fn(&Path);
    let site = site();
    let file = site.work().join("makeroom.toml");
    let secret = site.path("secret");
    write(&secret, "hunter2 = 1\n");
    mode(&secret, 0o600);
    let puts: [(&str, Put); 4] = [
        ("belongs to user 1234 and is not read", |path| {
            mkfifo(path, Mode::S_IRWXU).expect("a FIFO");
        }),
        ("belongs to user 1234 and is not read", |path| fs::create_dir(path).expect("a directory")),
        ("is a link of user 1234's and is not read", |path| {
            symlink("/dev/zero", path).expect("a link");
        }),
        ("is a link of user 1234's and is not read", |path| {
            symlink("../secret", path).expect("a link");
        }),
    ];
    for (reason, put) in puts {
        put(&file);
        give_away(&file);
        let writer = file
            .metadata()
            .is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()))
            .then(|| {
                let script = "echo x >\"$0\"";
                let writer = Command::new("sh")
                    .args(["-c", script])
                    .arg(&file)
                    .stdout(Stdio::null())
                    .spawn()
                    .expect("a writer");
                let pid = writer.id().cast_signed();
                wait_until("it waits for somebody who reads", || {
                    process::stat(pid).is_some_and(|stat| stat.state == 'S')
                });
                writer
            });
        let done = assert_left_out(
            &site,
            &mut building(&site, &[]),
            &format!("{} {reason}", file.display()),
            "`--safe-directory ",
        );
        assert!(!done.err.contains("hunter2"), "{}", done.err);
        if let Some(mut writer) = writer {
            assert_eq!(writer.try_wait().expect("a child"), None, "somebody opened the FIFO");
            writer.kill().and_then(|()| writer.wait()).expect("ended");
        }
        if file.is_dir() { fs::remove_dir(&file) } else { fs::remove_file(&file) }
            .expect("removed");
    }
}

#[test]
fn a_link_counts_where_it_and_what_it_leads_to_are_ours_and_what_that_holds_is_quoted_nowhere() {
    let site = site();
    let (file, target) = (site.work().join("makeroom.toml"), site.path("target"));
    symlink(&target, &file).expect("a link");
    write(&target, SHORT);
    building(&site, &[]).run().expect_code(124);
    for text in ["hunter2 = 1\n", "hunter2", "need = 'hunter2'\n"] {
        write(&target, text);
        let done = building(&site, &[]).run();
        done.expect_code(125).expect_said(&format!(
            "{}:1: not what a makeroom.toml holds; it is a link",
            file.display()
        ));
        assert!(!done.err.contains("hunter2"), "{}", done.err);
    }
    give_away(&target);
    let reason = format!("{} leads to a file of user 1234's and is not read", file.display());
    assert_left_out(&site, &mut building(&site, &[]), &reason, "`--safe-directory ");
}

#[test]
fn a_file_that_others_can_write_to_is_left_out() {
    let site = site();
    let file = site.work().join("makeroom.toml");
    write(&file, SHORT);
    for (bits, group, counts) in [
        (0o644, 0, true),
        (0o664, 0, true),
        (0o664, STRANGER, false),
        (0o646, 0, false),
        (0o666, 0, false),
    ] {
        chown(&file, Some(0), Some(group)).expect("a group");
        mode(&file, bits);
        if counts {
            building(&site, &[]).run().expect_code(124);
        } else {
            let reason = format!(
                "{} can be written by others (mode {bits:o}) and is not read",
                file.display()
            );
            assert_left_out(
                &site,
                &mut building(&site, &[]),
                &reason,
                &format!("`chmod go-w {}` keeps others out", file.display()),
            );
        }
    }
}

#[test]
fn in_a_safe_directory_anybodys_file_counts_which_no_repository_can_say() {
    let site = site();
    let (dir, users) = (site.work(), site.path("home/.config/makeroom/makeroom.toml"));
    let file = dir.join("makeroom.toml");
    write(&file, SHORT);
    give_away(&file);
    let text = dir.display().to_string();
    building(&site, &["--safe-directory", &text]).run().expect_code(124);
    building(&site, &["--safe-directory", "/nowhere", "--safe-directory", "."])
        .run()
        .expect_code(124);
    building(&site, &[])
        .env("MAKEROOM_SAFE_DIRECTORY", format!("/nowhere:{text}"))
        .run()
        .expect_code(124);
    write(&users, &format!("safe_directory = ['{text}']\n"));
    building(&site, &[]).run().expect_code(124);
    // That directory, and no other.
    let above = dir.parent().expect("a directory").display().to_string();
    write(&users, &format!("safe_directory = ['{above}']\n"));
    assert_left_out(
        &site,
        &mut building(&site, &[]),
        &format!("{} belongs to user 1234 and is not read", file.display()),
        "",
    );
    // What it may say is still what a repository may.
    write(&file, "safe_directory = ['/']\n");
    let said = building(&site, &["--safe-directory", &text]).run();
    said.expect_code(125).expect_said(
        "`safe_directory` may not be set by a makeroom.toml that comes with a repository",
    );
    for (name, value) in [("MAKEROOM_SAFE_DIRECTORY", "."), ("MAKEROOM_SAFE_DIRECTORY", "/a:b")] {
        building(&site, &[])
            .env(name, value)
            .run()
            .expect_code(125)
            .expect_said("allowed: an absolute path");
    }
    write(&users, "safe_directory = ['.']\n");
    building(&site, &[])
        .run()
        .expect_code(125)
        .expect_said(&format!("{}:1: ", users.display()))
        .expect_said("an absolute path");
}

#[test]
fn a_repository_of_who_became_root_counts_and_his_own_file_never() {
    let site = site();
    let (file, users) =
        (site.work().join("makeroom.toml"), site.path("home/.config/makeroom/makeroom.toml"));
    write(&file, SHORT);
    give_away(&file);
    building(&site, &[]).env("SUDO_UID", "1234").run().expect_code(124);
    for other in ["1235", "-1", ""] {
        building(&site, &[])
            .env("SUDO_UID", other)
            .run()
            .expect_code(0)
            .expect_said("belongs to user 1234");
    }
    fs::remove_file(&file).expect("removed");
    write(
        &users,
        "on_room_made = 'touch pwned'\non_restored = 'touch pwned'\nstate_dir = '/nonexistent'\n",
    );
    give_away(&users);
    let reason = format!("{} belongs to user 1234 and is not read", users.display());
    assert_left_out(
        &site,
        building(&site, &[]).env("SUDO_UID", "1234"),
        &reason,
        "`--safe-directory ",
    );
    assert!(!site.work().join("pwned").exists());
    // It is the user's that what restores and looks reads as well, and it keeps nobody from that.
    for words in
        [&["recover"][..], &["stop"], &["status"], &["swap", "status"], &["status", "--json"]]
    {
        let done = site.makeroom(words).env("SUDO_UID", "1234").run();
        assert_eq!(done.expect_code(0).err.matches(&reason).count(), 1, "{words:?}: {}", done.err);
    }
}

#[test]
fn a_repository_stops_nothing_and_keeps_nothing_down_for_longer_than_an_hour() {
    let site = site();
    let users = site.path("home/.config/makeroom/makeroom.toml").display().to_string();
    let file = site.work().join("makeroom.toml");
    for key in ["wait_healthy", "warm", "restore_timeout", "grace"] {
        write(&file, &format!("# ours\n{key} = '61m'\n"));
        let said = format!(
            "{}:2: `{key}` is one hour at most in a makeroom.toml that comes with a repository; set more in {users}",
            file.display()
        );
        building(&site, &[]).run().expect_code(125).expect_said(&said);
        write(&file, &format!("{key} = '60m'\n"));
        site.makeroom(["true"]).run().expect_code(0);
    }
    for (text, key) in
        [("method = 'stop'\n", "method = \"stop\""), ("stop_timeout = '1s'\n", "stop_timeout")]
    {
        write(&file, text);
        let said = format!(
            "{}:1: `{key}` may not be set by a makeroom.toml that comes with a repository; set it in {users}",
            file.display()
        );
        building(&site, &[]).run().expect_code(125).expect_said(&said);
    }
    write(&file, "method = 'pause'\ntimeout = '9h'\nwait = '9h'\n");
    site.makeroom(["true"]).run().expect_code(0);
}

#[test]
fn a_user_without_a_home_has_no_settings_and_can_build() {
    let site = Site::at(std::path::PathBuf::from("/nonexistent/docker.sock"));
    let done = site.makeroom(["sh", "-c", "exit 7"]).user(65534).without_env("HOME").run();
    assert!(!done.expect_code(7).err.contains("makeroom.toml"), "{}", done.err);
}

#[test]
fn the_file_of_runs_is_not_that_of_swap_that_stays() {
    let site = site();
    site.makeroom(["swap", "status", "--swap-file", "relative"])
        .run()
        .expect_code(125)
        .expect_said("not an absolute path");
    site.makeroom(["swap", "status"]).env("MAKEROOM_SWAP_FILE", "relative").run().expect_code(0);
}
