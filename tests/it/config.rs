//! Where settings come from, and who may set what: flags over environment over `makeroom.toml`
//! from the working directory upwards, then the user's. What cannot be understood or is not allowed
//! is named with its file and line, and nothing is done.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::support::{
    makeroom::{Done, Run},
    services::Services,
    site::{Site, UNTIL_GO},
};

/// Keys that only the user's and the system's file may hold, with values that are fine there.
const OWN_KEYS: [&str; 17] = [
    "no_reclaim = true",
    "swap = 'off'",
    "swap_file = '/var/lib/makeroom/other'",
    "engine = 'unix:///nonexistent/docker.sock'",
    "context = 'default'",
    "insist = true",
    "strict = false",
    "on_room_made = 'true'",
    "on_pressure = 'true'",
    "on_restored = 'true'",
    "linger = '1s'",
    "state_dir = 'STATE'",
    "safe_directory = ['/nonexistent']",
    "stop_timeout = '1s'",
    "quiet = false",
    "verbose = true",
    "color = 'never'",
];

/// No test that changes nothing needs an engine.
fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
    fs::write(path, text).expect("written");
}

/// A run whose build waits in the site's working directory, wherever makeroom is started.
fn waiting(site: &Site, options: &[&str], dir: &Path) -> Run {
    fs::create_dir_all(dir).expect("directories");
    let mut run = site.makeroom(options);
    run.args(["sh", "-c", &format!("cd \"$0\"; {UNTIL_GO}")]).args([site.work()]).dir(dir);
    run
}

/// The numbers of the services that are paused during this run.
#[track_caller]
fn paused(site: &Site, services: &Services, run: &mut Run) -> Vec<usize> {
    site.again();
    let run = run.spawn();
    site.child();
    let statuses = services.statuses();
    site.go();
    run.wait().expect_code(7);
    assert!(services.are("running"), "{:?}", services.statuses());
    (0..services.count()).filter(|&index| statuses[index] == "paused").collect()
}

/// Refused in one line that says this, with nothing done.
#[track_caller]
fn assert_refused(site: &Site, run: &mut Run, words: &[&str]) -> Done {
    let done = run.args(["sh", "-c", ": >ran"]).run();
    done.expect_code(125);
    let lines: Vec<_> = done.err.lines().filter(|line| line.contains("error:")).collect();
    assert_eq!(lines.len(), 1, "{}", done.err);
    for words in words {
        assert!(lines[0].contains(words), "`{words}` is not in: {}", lines[0]);
    }
    assert!(!site.work().join("ran").exists() && !site.state().exists() && done.out.is_empty());
    done
}

#[test]
fn the_file_is_found_from_the_working_directory_upwards() {
    let site = Site::new();
    let services = site.services(3);
    let deep = site.work().join("packages/app");
    write(
        &site.work().join("makeroom.toml"),
        &format!("pause = ['{}', '{}']\n", services.name(1), services.name(2)),
    );
    assert_eq!(paused(&site, &services, &mut waiting(&site, &[], &deep)), [1, 2]);
    // The nearest pause replaces.
    write(
        &site.work().join("packages/makeroom.toml"),
        &format!("pause = ['{}']\n", services.name(0)),
    );
    assert_eq!(paused(&site, &services, &mut waiting(&site, &[], &deep)), [0]);
    // Beside the working directory, or below it, is not above it.
    assert_eq!(paused(&site, &services, &mut waiting(&site, &[], &site.work())), [1, 2]);
    write(&deep.join("makeroom.toml"), "pause = []\n");
    assert!(paused(&site, &services, &mut waiting(&site, &[], &deep)).is_empty());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_users() {
    let site = Site::new();
    let services = site.services(4);
    let (mut with, work) = (vec![3], site.work());
    write(
        &site.path("home/.config/makeroom/makeroom.toml"),
        &format!("pause = ['{}']\n", services.name(3)),
    );
    assert_eq!(paused(&site, &services, &mut waiting(&site, &[], &work)), with);
    write(&work.join("makeroom.toml"), &format!("pause = ['{}']\n", services.name(0)));
    with = vec![0];
    assert_eq!(paused(&site, &services, &mut waiting(&site, &[], &work)), with);
    let environment = format!(" {}  {} ", services.name(1), services.name(3));
    assert_eq!(
        paused(&site, &services, waiting(&site, &[], &work).env("MAKEROOM_PAUSE", &environment)),
        [1, 3]
    );
    let flags = ["--pause", services.name(2), "--pause", services.name(1)];
    assert_eq!(
        paused(&site, &services, waiting(&site, &flags, &work).env("MAKEROOM_PAUSE", &environment)),
        [1, 2]
    );
    // An empty variable is as good as none.
    assert_eq!(paused(&site, &services, waiting(&site, &[], &work).env("MAKEROOM_PAUSE", "")), [0]);
}

#[test]
fn keep_adds_up_over_all_levels() {
    let site = Site::new();
    let services = site.services(6);
    let deep = site.work().join("a");
    let keep = |index: usize| format!("keep = ['{}']\n", services.name(index));
    write(&site.path("home/.config/makeroom/makeroom.toml"), &keep(0));
    write(&site.work().join("makeroom.toml"), &keep(1));
    write(&deep.join("makeroom.toml"), &keep(2));
    let mut run = waiting(&site, &["--pause", &services.all(), "--keep", services.name(4)], &deep);
    assert_eq!(paused(&site, &services, run.env("MAKEROOM_KEEP", services.name(3))), [5]);
}

#[test]
fn the_users_file_is_in_the_xdg_directory() {
    let site = Site::new();
    let services = site.services(2);
    write(
        &site.path("home/.config/makeroom/makeroom.toml"),
        &format!("pause = ['{}']\n", services.name(0)),
    );
    write(&site.path("xdg/makeroom/makeroom.toml"), &format!("pause = ['{}']\n", services.name(1)));
    let work = site.work();
    assert_eq!(
        paused(
            &site,
            &services,
            waiting(&site, &[], &work).env("XDG_CONFIG_HOME", site.path("xdg"))
        ),
        [1]
    );
    // A relative one does not count (XDG Base Directory Specification).
    assert_eq!(
        paused(&site, &services, waiting(&site, &[], &work).env("XDG_CONFIG_HOME", "../xdg")),
        [0]
    );
}

#[test]
fn what_a_file_sets_is_done() {
    let site = site();
    write(&site.work().join("makeroom.toml"), "timeout = '200ms'\ngrace = '100ms'\n");
    site.makeroom(["sleep", "60"]).run().expect_code(124);
    site.makeroom(["--timeout", "1h", "true"]).run().expect_code(0);
    write(&site.path("home/.config/makeroom/makeroom.toml"), "quiet = true\n");
    assert_eq!(site.makeroom(["true"]).run().expect_code(0).err, "");
    site.makeroom(["-v", "true"]).run().expect_code(0).expect_said("build ok");
    write(&site.path("home/.config/makeroom/makeroom.toml"), "strict = true\n");
    site.makeroom(["--pause", "x", "true"])
        .run()
        .expect_code(125)
        .expect_said("/nonexistent/docker.sock");
}

#[test]
fn a_file_that_comes_with_a_repository_sets_no_paths_engines_or_commands() {
    for key in OWN_KEYS {
        let site = site();
        let file = site.work().join("makeroom.toml");
        write(&file, &format!("# ours\npause = ['x']\n\n{key}\n"));
        let name = key.split(' ').next().expect("a name");
        let place = format!("{}:4:", file.display());
        let users = site.path("home/.config/makeroom/makeroom.toml").display().to_string();
        let words = [place.as_str(), &format!("`{name}`"), &users];
        assert_refused(&site, &mut site.makeroom([""; 0]), &words);
        let deep = site.work().join("a/b");
        fs::create_dir_all(&deep).expect("directories");
        assert_refused(&site, site.makeroom([""; 0]).dir(&deep), &words);
    }
}

#[test]
fn the_users_own_file_and_a_named_one_set_everything() {
    for key in OWN_KEYS {
        let site = site();
        let key = key.replace("STATE", &site.path("state").display().to_string());
        write(&site.path("home/.config/makeroom/makeroom.toml"), &(key.clone() + "\n"));
        site.makeroom(["true"]).run().expect_code(0);
        fs::remove_dir_all(site.path("home/.config")).expect("removed");
        write(&site.path("named.toml"), &(key + "\n"));
        site.makeroom(["--config"])
            .args([site.path("named.toml")])
            .args(["true"])
            .run()
            .expect_code(0);
        site.makeroom(["true"])
            .env("MAKEROOM_CONFIG", site.path("named.toml"))
            .run()
            .expect_code(0);
    }
}

#[test]
fn a_file_that_is_named_is_used_instead_of_all_others() {
    let site = Site::new();
    let services = site.services(2);
    write(&site.work().join("makeroom.toml"), "engine = 'unix:///evil'\n");
    write(&site.path("home/.config/makeroom/makeroom.toml"), "not TOML");
    write(&site.path("named.toml"), &format!("pause = ['{}']\n", services.name(1)));
    let named = site.path("named.toml").display().to_string();
    assert_eq!(
        paused(&site, &services, &mut waiting(&site, &["--config", &named], &site.work())),
        [1]
    );
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_line_and_what_is_allowed() {
    for (text, line, words) in [
        ("pause = ['a']\npuase = ['b']\n", 2, "`pause`"),
        ("\n\n[run]\nswap = '2G'\n", 3, "`pause`"),
        ("method = 'kill'\n", 1, "auto, pause, stop"),
        ("pause = ['a']\ntimeout = '5'\n", 2, "allowed: a number and a unit"),
        ("pause = ['re:(']\n", 1, "re:("),
        ("pause = 'a'\n", 1, "sequence"),
        ("pause = ['a'\n", 1, ""),
        ("keep = ['a']\nkeep = ['b']\n", 2, "duplicate key"),
    ] {
        let site = site();
        let (repository, user, named) = (
            site.work().join("makeroom.toml"),
            site.path("home/.config/makeroom/makeroom.toml"),
            site.path("named.toml"),
        );
        for file in [&repository, &user, &named] {
            write(file, text);
            let mut run = site.makeroom([""; 0]);
            if *file == named {
                run.args(["--config"]).args([&named]);
            }
            let place = format!("{}:", file.display());
            let done = assert_refused(&site, &mut run, &[&place, words]);
            // toml places what is open at the end of the file wherever it noticed it.
            assert!(
                words.is_empty() || done.err.contains(&format!("{place}{line}:")),
                "line {line}: {}",
                done.err
            );
            fs::remove_file(file).expect("removed");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let site = site();
    let missing = site.path("missing.toml").display().to_string();
    assert_refused(&site, &mut site.makeroom(["--config", &missing]), &[&missing]);
    let folder = site.work().join("makeroom.toml");
    fs::create_dir(&folder).expect("a folder");
    assert_refused(&site, &mut site.makeroom([""; 0]), &[&folder.display().to_string()]);
}

#[test]
fn a_file_that_nobody_named_is_waited_for_by_nobody_and_read_no_further_than_settings_go() {
    let (site, allowed) = (site(), Mode::S_IRUSR | Mode::S_IWUSR);
    let file = site.work().join("makeroom.toml");
    let place = file.display().to_string();
    mkfifo(&file, allowed).expect("a FIFO");
    assert_refused(&site, &mut site.makeroom([""; 0]), &[&place, "no regular file"]);
    fs::remove_file(&file).expect("removed");
    symlink("/dev/zero", &file).expect("a link");
    assert_refused(&site, &mut site.makeroom([""; 0]), &[&place, "no regular file"]);
    fs::remove_file(&file).expect("removed");
    write(&file, &"#".repeat((64 << 10) + 1));
    assert_refused(&site, &mut site.makeroom([""; 0]), &[&place, "larger than 64 KiB"]);
    // One that is named may be a device.
    site.makeroom(["--config", "/dev/null", "true"]).run().expect_code(0);
}

#[test]
fn no_repository_keeps_anybody_from_putting_back_or_looking() {
    let site = Site::new();
    let services = site.services(1);
    let file = site.work().join("makeroom.toml");
    for attempt in ["a FIFO", "/dev/zero", "swap"] {
        site.again();
        let mut run = site
            .makeroom(["--method", "pause", "--pause", &services.all(), "sh", "-c", UNTIL_GO])
            .spawn();
        site.child();
        run.kill_with_keeper();
        match attempt {
            "a FIFO" => mkfifo(&file, Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO"),
            "/dev/zero" => symlink(attempt, &file).expect("a link"),
            _ => write(&file, "swap = '1G'\n"),
        }
        let status = site.makeroom(["status"]).run();
        assert!(
            status.expect_code(0).out.contains("its holder is dead"),
            "{attempt}: {}",
            status.out
        );
        site.makeroom(["stop"]).run().expect_code(0);
        site.makeroom(["swap", "status"]).run().expect_code(0);
        site.makeroom(["report"]).run().expect_code(125).expect_said("there is no run yet");
        site.makeroom(["recover"]).run().expect_code(0).expect_said("1 container running again");
        assert!(services.are("running"), "{attempt}: {:?}", services.statuses());
        fs::remove_file(&file).expect("removed");
    }
}

#[test]
fn a_bad_variable_or_flag_is_named_with_what_is_allowed() {
    let site = site();
    for (name, value, words) in [
        ("METHOD", "kill", "auto, pause, stop"),
        ("SWAP", "much", "off, or a size"),
        ("GRACE", "5", "a number and a unit"),
        ("STRICT", "perhaps", "allowed:"),
        ("COLOR", "red", "auto, always, never"),
        ("PAUSE", "re:(", "re:("),
    ] {
        let variable = format!("MAKEROOM_{name}");
        assert_refused(
            &site,
            site.makeroom([""; 0]).env(&variable, value),
            &[&format!("{variable}:"), words],
        );
        if name != "STRICT" {
            let flag = format!("--{}", name.to_lowercase());
            assert_refused(&site, &mut site.makeroom([&flag, value]), &[&flag, words]);
        }
    }
    assert_refused(&site, &mut site.makeroom(["--puase", "x"]), &["--puase", "--pause"]);
}

#[test]
fn a_duration_that_no_clock_can_add_is_refused_wherever_it_stands() {
    const HUGE: &str = "9300000000000000000s";
    for key in [
        "stop_timeout",
        "restore_timeout",
        "wait_healthy",
        "warm",
        "abort_on_thrash",
        "timeout",
        "grace",
        "linger",
        "wait",
    ] {
        let site = site();
        let allowed = "ten years at most";
        let flag = format!("--{}", key.replace('_', "-"));
        assert_refused(&site, &mut site.makeroom([&flag, HUGE]), &[&flag, allowed]);
        let variable = format!("MAKEROOM_{}", key.to_uppercase());
        assert_refused(
            &site,
            site.makeroom([""; 0]).env(&variable, HUGE),
            &[&format!("{variable}:"), allowed],
        );
        let file = site.work().join("makeroom.toml");
        write(&file, &format!("{key} = '{HUGE}'\n"));
        assert_refused(
            &site,
            &mut site.makeroom([""; 0]),
            &[&format!("{}:1:", file.display()), allowed],
        );
    }
    let site = site();
    let ttl = site.makeroom(["start", "--ttl", HUGE]).run();
    ttl.expect_code(125).expect_said("--ttl").expect_said("ten years at most");
    assert!(!site.state().exists());
}
