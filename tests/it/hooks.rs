//! Commands of the user's own that are told what happens: they find the facts, speak on stderr, run
//! beside the build, and can neither fail it nor hold it up, however they end.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    makeroom::{Run, wait_until_gone},
    process,
    services::Services,
    site::{Site, UNTIL_GO},
    wait_for, wait_for_line, wait_until,
};

/// A hook that writes its environment to this file, whole at once.
fn writes(file: &Path) -> String {
    let file = file.display();
    format!("env >{file}.new; mv {file}.new {file}")
}

/// What such a hook found of makeroom's.
#[track_caller]
fn facts(file: &Path) -> Vec<String> {
    let text = wait_for(&file.display().to_string(), || fs::read_to_string(file).ok());
    let mut lines: Vec<_> =
        text.lines().filter(|line| line.starts_with("MAKEROOM_")).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn with_hooks(site: &Site, services: &Services, made: &str, restored: &str) -> Run {
    site.makeroom(["--pause", &services.all(), "--on-room-made", made, "--on-restored", restored])
}

fn lease(site: &Site) -> String {
    site.journals()[0].file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn the_hooks_find_the_facts_and_what_the_keeper_has_and_no_more() {
    let site = Site::new();
    let services = site.services(1);
    let (made, restored) = (site.path("made"), site.path("restored"));
    let mut run = with_hooks(&site, &services, &writes(&made), &writes(&restored));
    let run = run.env("TOKEN", "hunter2").args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let (lease, state) = (
        format!("MAKEROOM_LEASE={}", lease(&site)),
        format!("MAKEROOM_STATE_DIR={}", site.state().display()),
    );
    let name = format!("MAKEROOM_SERVICES={}", services.name(0));
    let found = facts(&made);
    for fact in ["MAKEROOM_EVENT=room_made", "MAKEROOM_PROGRAM=sh", &lease, &state, &name] {
        assert!(found.iter().any(|line| line == fact), "`{fact}` is not in {found:?}");
    }
    assert!(!restored.exists(), "nothing is back yet");
    site.go();
    run.wait().expect_code(7);
    assert_eq!(
        facts(&restored),
        [
            "MAKEROOM_EVENT=restored",
            "MAKEROOM_EXIT=7",
            &lease,
            "MAKEROOM_NOT_RESTORED=",
            "MAKEROOM_PROGRAM=sh",
            &name,
            &state
        ]
    );
    for file in [made, restored] {
        let text = fs::read_to_string(file).expect("an environment");
        assert!(
            !text.contains("hunter2") && text.contains("PWD=/\n") && text.contains(&site.mark()),
            "{text}"
        );
    }
}

#[test]
fn what_a_hook_says_goes_to_stderr_and_stdin_and_stdout_are_the_builds() {
    let site = Site::new();
    let services = site.services(1);
    let mut run =
        with_hooks(&site, &services, "cat; echo out; echo err >&2", "printf '\\033[31mred'");
    let done = run.args(["echo", "build"]).run();
    done.expect_code(0)
        .expect_said("on_room_made: out")
        .expect_said("on_room_made: err")
        .expect_said("on_restored: \\u{1b}[31mred");
    assert_eq!(done.out, "build\n");
}

#[test]
fn the_build_starts_beside_its_hook() {
    let site = Site::new();
    let services = site.services(1);
    // The hook waits for the build, which waits for the hook.
    let work = site.work().display().to_string();
    let hook = format!("while ! [ -e {work}/child ]; do sleep 0.02; done; touch {work}/go");
    let done = with_hooks(&site, &services, &hook, "").args(["sh", "-c", UNTIL_GO]).run();
    done.expect_code(7);
    assert!(!done.err.contains("on_room_made"), "{}", done.err);
}

#[test]
fn the_second_hook_comes_after_the_first_though_the_build_is_shorter() {
    let site = Site::new();
    let services = site.services(1);
    let go = site.path("on");
    let hook = format!("while ! [ -e {} ]; do sleep 0.02; done; echo first", go.display());
    let run = with_hooks(&site, &services, &hook, "echo second").args(["touch", "ran"]).spawn();
    wait_until("the build is over and the service runs", || {
        site.work().join("ran").exists() && services.are("running")
    });
    fs::write(go, "").expect("written");
    let done = run.wait();
    let place = |words| done.err.find(words).unwrap_or_else(|| panic!("no {words}: {}", done.err));
    assert!(place("on_room_made: first") < place("on_restored: second"), "{}", done.err);
}

#[test]
fn a_hook_that_fails_is_one_warning_and_changes_no_exit_code() {
    let site = Site::new();
    let services = site.services(1);
    for (hook, why) in [
        ("exit 3", "failed: exit status: 3"),
        ("kill -9 $$", "failed: signal: 9"),
        ("no-such-program-0", "127"),
    ] {
        let done =
            with_hooks(&site, &services, hook, hook).args(["--strict", "sh", "-c", "exit 0"]).run();
        done.expect_code(0);
        for name in ["on_room_made", "on_restored"] {
            let warnings: Vec<_> = done
                .err
                .lines()
                .filter(|line| line.contains("warning:") && line.contains(name))
                .collect();
            assert!(warnings.len() == 1 && warnings[0].contains(why), "{warnings:?}\n{}", done.err);
        }
        assert!(services.are("running"));
    }
}

#[test]
fn a_hook_that_hangs_is_ended_with_its_group_when_its_time_is_over() {
    let site = Site::new();
    let services = site.services(1);
    let pids = site.path("pids");
    let hook = format!("trap '' TERM INT; sleep 600 & echo $$ $! >{}; wait", pids.display());
    let run = with_hooks(&site, &services, "", &hook).args(["sh", "-c", "exit 5"]).spawn();
    let hung: Vec<i32> =
        wait_for_line(&pids).split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    assert!(services.are("running"), "everything is back before the hook runs");
    assert_eq!(process::stat(hung[0]).expect("a hook").group, hung[0], "its own group");
    run.wait()
        .expect_code(5)
        .expect_said("on_restored was ended after 10")
        .expect_said("1 container running again");
    wait_until_gone(Duration::from_secs(2), "the hook", &hung);
    assert!(site.journals().is_empty());
}

#[test]
fn a_hook_that_says_much_says_some_of_it_and_holds_nothing_up() {
    let site = Site::new();
    let services = site.services(1);
    let done = with_hooks(
        &site,
        &services,
        "yes | head -c 1000000",
        "(while :; do echo; done) & echo $! >&2",
    )
    .args(["true"])
    .run();
    done.expect_code(0);
    assert!(done.err.len() < 150_000 && !done.err.contains("warning"), "{} bytes", done.err.len());
    // Blank lines say nothing; the pid comes late, or not at all.
    assert!(
        done.err.contains("on_room_made: y\n") && done.err.matches("on_restored: ").count() <= 1,
        "{} bytes",
        done.err.len()
    );
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "oom_score_adj is Linux's own")]
fn a_hook_is_no_more_spared_by_the_kernel_than_any_program() {
    let site = Site::new();
    let services = site.services(1);
    let done =
        with_hooks(&site, &services, "cat /proc/self/oom_score_adj", "").args(["true"]).run();
    done.expect_code(0).expect_said("on_room_made: 0\n");
}

#[test]
fn when_the_supervisor_is_killed_the_second_hook_comes_all_the_same() {
    let site = Site::new();
    let services = site.services(1);
    let restored = site.path("restored");
    let mut run =
        with_hooks(&site, &services, "", &writes(&restored)).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.kill();
    let found = facts(&restored);
    assert!(
        found.contains(&"MAKEROOM_EVENT=restored".to_owned()) && services.are("running"),
        "{found:?}"
    );
    assert!(!found.iter().any(|line| line.starts_with("MAKEROOM_EXIT")), "nobody knows: {found:?}");
}

#[test]
fn when_the_keeper_is_killed_the_next_one_runs_the_second_hook_and_not_the_first_again() {
    let site = Site::new();
    let services = site.services(1);
    let count = site.path("count");
    let counts = |word: &str| format!("echo {word} $MAKEROOM_EXIT >>{}", count.display());
    let run = with_hooks(&site, &services, &counts("made"), &counts("restored"))
        .args(["sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    wait_for_line(&count);
    let keeper = run.keeper();
    process::signal(keeper, libc::SIGKILL);
    run.keeper_other_than(keeper);
    site.go();
    run.wait().expect_code(7);
    assert_eq!(fs::read_to_string(count).expect("counted"), "made\nrestored 7\n");
}

#[test]
fn after_a_signal_makeroom_does_not_wait_for_the_hook_which_comes_all_the_same() {
    let site = Site::new();
    let services = site.services(1);
    let (on, restored) = (site.path("on"), site.path("restored"));
    let hook =
        format!("while ! [ -e {} ]; do sleep 0.02; done; {}", on.display(), writes(&restored));
    let run = with_hooks(&site, &services, "", &hook).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.signal(libc::SIGTERM);
    assert_eq!(run.wait().signal(), Some(libc::SIGTERM));
    assert!(services.are("running") && !restored.exists());
    fs::write(on, "").expect("written");
    assert!(facts(&restored).contains(&"MAKEROOM_EXIT=143".to_owned()));
}

#[test]
fn of_two_builds_with_the_same_targets_the_last_one_out_tells_that_everything_is_back() {
    let site = Site::new();
    let services = site.services(1);
    let count = site.path("count");
    let build = |name: &str| {
        let script =
            format!("echo $$ >child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done");
        let hook = format!("echo {name} >>{}", count.display());
        let run = with_hooks(&site, &services, "", &hook).args(["sh", "-c", &script]).spawn();
        wait_for_line(&site.work().join(format!("child-{name}")));
        run
    };
    let (one, other) = (build("one"), build("other"));
    for (name, run) in [("one", one), ("other", other)] {
        fs::write(site.work().join(format!("go-{name}")), "").expect("written");
        run.wait().expect_code(0);
    }
    assert_eq!(fs::read_to_string(count).expect("counted"), "other\n");
}

#[test]
fn a_started_lease_has_its_hooks_and_stop_tells_what_they_said() {
    let site = Site::new();
    let services = site.services(1);
    let made = site.path("made");
    let hooks = ["--on-room-made", &writes(&made), "--on-restored", "echo bye; exit 4"];
    site.makeroom(["start", "--pause", &services.all()]).args(hooks).run().expect_code(0);
    assert!(
        !facts(&made).iter().any(|line| line.starts_with("MAKEROOM_PROGRAM")),
        "there is no build"
    );
    let done = site.makeroom(["stop"]).run();
    done.expect_code(0)
        .expect_said("on_restored: bye")
        .expect_said("on_restored failed: exit status: 4");
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn what_recover_and_stop_put_back_is_told_to_the_hook_that_is_set_by_then() {
    for command in ["recover", "stop"] {
        let site = Site::new();
        let services = site.services(1);
        site.makeroom(["start", "--pause", &services.all()]).run().expect_code(0);
        process::signal(site.keepers()[0], libc::SIGKILL);
        wait_until("the keeper is gone", || site.keepers().is_empty());
        let restored = site.path("restored");
        site.makeroom([command])
            .env("MAKEROOM_ON_RESTORED", writes(&restored))
            .run()
            .expect_code(0);
        assert!(
            facts(&restored).contains(&format!("MAKEROOM_SERVICES={}", services.name(0))),
            "{command}"
        );
    }
}

#[test]
fn the_hooks_come_from_the_users_file_and_the_environment_and_an_empty_one_takes_them_away() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let file = site.path("home/.config/makeroom/makeroom.toml");
    fs::create_dir_all(file.parent().expect("a directory")).expect("directories");
    fs::write(&file, "on_room_made = 'echo of the file'\non_restored = 'echo back'\n")
        .expect("written");
    site.makeroom(["true"])
        .run()
        .expect_said("on_room_made: of the file")
        .expect_said("on_restored: back");
    let done = site
        .makeroom(["--on-restored", "", "true"])
        .env("MAKEROOM_ON_ROOM_MADE", "echo of the environment")
        .run();
    done.expect_code(0).expect_said("on_room_made: of the environment");
    assert!(!done.err.contains("on_restored"), "{}", done.err);
}
