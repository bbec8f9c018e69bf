//! What a person, a machine or somebody else got wrong: said in a line with the way out. What was
//! typed wrongly ends with 125; what the machine lacks is a warning, and the build runs.

use std::{
    ffi::OsStr,
    fs, io,
    os::fd::AsRawFd as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    makeroom::Run,
    programs,
    proxy::{Deed, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
};

fn nowhere() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

#[test]
fn what_was_typed_wrongly_is_named_with_what_is_allowed_and_nothing_is_run() {
    let site = nowhere();
    let wrong: [(&[&str], &str, &str); 18] = [
        (&["--puase", "x"], "--puase", "--pause"),
        (&["-x"], "-x", "--pause"),
        (&["--swap", "much"], "--swap", "2GiB"),
        (&["--swap=-1G"], "--swap", "2GiB"),
        (&["--swap", "1e30G"], "--swap", "2GiB"),
        (&["--timeout", "5"], "--timeout", "90s"),
        (&["--grace", "soon"], "--grace", "90s"),
        (&["--stop-timeout=-1s"], "--stop-timeout", "90s"),
        (&["--restore-timeout", ""], "--restore-timeout", "a value is missing"),
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
fn what_an_engine_says_reaches_the_terminal_as_text_alone() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    proxy.on(
        "list",
        None,
        Deed::Answer(500, r#"{"message":"\u001b[31mred\u001b]0;title\u0007\rover"}"#),
    );
    let done = site.makeroom(["--color", "always", "--pause", "x", "true"]).run();
    done.expect_code(0).expect_said(r"the engine says 500: \u{1b}[31mred\u{1b}]0;title\u{7}\rover");
    assert!(
        !done.err.contains("\u{1b}[31mred")
            && !done.err.contains('\u{7}')
            && !done.err.contains('\r'),
        "{:?}",
        done.err
    );
}

#[test]
fn a_bad_variable_is_named_with_what_is_allowed() {
    let site = nowhere();
    for (name, value, allowed) in [
        ("MAKEROOM_SWAP", "much", "2GiB"),
        ("MAKEROOM_GRACE", "5", "90s"),
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
        ("\ngrace = '5'\n", 2, "90s"),
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
fn a_selector_that_matches_nothing_is_named_and_the_build_runs() {
    let site = Site::new();
    let services = site.services(1);
    for strict in [false, true] {
        let mut run = site.makeroom(["--pause", "no-such-service-*", "--pause", &services.all()]);
        let done = run.args(strict.then_some("--strict")).args(["sh", "-c", "exit 3"]).run();
        done.expect_code(3)
            .expect_said("warning")
            .expect_said("no-such-service-*")
            .expect_said("1 service paused");
        assert!(
            !done.err.contains(&services.all()),
            "only what matches nothing is named: {}",
            done.err
        );
    }
}

/// Room cannot be made: a warning and the build runs; with `--strict` an error and it does not.
#[track_caller]
fn is_no_reason_to_fail(site: &Site, args: &[&str], says: &[&str]) {
    let pause = ["--pause", "x"];
    let done = site.makeroom(pause).args(args).args(["sh", "-c", "touch started; exit 3"]).run();
    done.expect_code(3).expect_said("warning").expect_within(Duration::from_secs(5));
    let strict = site
        .makeroom(pause)
        .args(args)
        .args(["--strict", "sh", "-c", "touch strict; exit 3"])
        .run();
    strict.expect_code(125).expect_said("error").expect_said("the command was not started");
    for says in says {
        done.expect_said(says);
        strict.expect_said(says);
    }
    assert!(site.work().join("started").exists() && !site.work().join("strict").exists());
    fs::remove_file(site.work().join("started")).expect("removed");
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn an_engine_that_cannot_be_reached_is_a_warning_and_with_strict_an_error() {
    let site = nowhere();
    is_no_reason_to_fail(&site, &[], &["/nonexistent/docker.sock", "DOCKER_HOST", "hint:"]);
    is_no_reason_to_fail(
        &site,
        &["--engine", "unix:///nonexistent/other.sock"],
        &["/nonexistent/other.sock", "--engine"],
    );
    is_no_reason_to_fail(
        &site,
        &["--engine", "http://127.0.0.1:2375"],
        &["http://127.0.0.1:2375", "unix:///PATH"],
    );
}

#[test]
fn something_that_is_no_engine_is_a_warning_and_with_strict_an_error() {
    let site = nowhere();
    let (file, dead) = (site.path("file"), site.path("dead.sock"));
    fs::write(&file, "").expect("written");
    drop(UnixListener::bind(&dead).expect("a socket"));
    for path in [&file, &dead] {
        let url = format!("unix://{}", path.display());
        is_no_reason_to_fail(&site, &["--engine", &url], &[&url]);
    }
}

#[test]
fn a_context_that_does_not_exist_is_a_warning_and_never_another_engine_instead() {
    let site = Site::new();
    let services = site.services(1);
    is_no_reason_to_fail(
        &site,
        &["--context", "no-such-context"],
        &["no-such-context", "--context"],
    );
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]);
    let run = run.without_env("DOCKER_HOST").env("DOCKER_CONTEXT", "no-such-context").spawn();
    site.child();
    assert!(services.are("running"));
    site.go();
    run.wait().expect_code(7).expect_said("no-such-context").expect_said("DOCKER_CONTEXT");
}

#[test]
fn a_docker_context_is_found_as_docker_finds_it() {
    let site = Site::new();
    let services = site.services(1);
    let sum = std::process::Command::new("sh")
        .args(["-c", "printf mon | sha256sum | cut -d' ' -f1"])
        .output()
        .expect("sha256sum");
    let sum = String::from_utf8(sum.stdout).expect("hexadecimal");
    let dir = site.path("home").join(".docker/contexts/meta").join(sum.trim());
    fs::create_dir_all(&dir).expect("a directory");
    let meta = serde_json::json!({ "Name": "mon", "Endpoints": { "docker": { "Host": format!("unix://{}", site.engine().display()) } } });
    fs::write(dir.join("meta.json"), meta.to_string()).expect("written");
    fs::write(site.path("home").join(".docker/config.json"), "{\"currentContext\":\"mon\"}")
        .expect("written");
    let run = site
        .makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO])
        .without_env("DOCKER_HOST")
        .spawn();
    site.child();
    assert!(services.are("paused"));
    site.go();
    run.wait().expect_code(7);
    assert!(services.are("running"));
}

/// Another user than root's, who has nothing here.
const NOBODY: u32 = 65534;

#[test]
fn a_socket_without_permission_is_a_warning_with_the_way_out_and_with_strict_an_error() {
    let site = Site::new();
    let open = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).expect("a mode")
    };
    open(site.path("").as_path());
    open(&site.work());
    let program = site.path("makeroom");
    programs::copy_for_others(&program);
    let state = site.path("nobodys");
    fs::create_dir(&state).expect("a directory");
    chown(&state, Some(NOBODY), Some(NOBODY)).expect("chown");
    for (strict, code) in [(false, 3), (true, 125)] {
        let mut run = site.command(&program.to_string_lossy());
        run.user(NOBODY)
            .env("MAKEROOM_STATE_DIR", &state)
            .args(["--pause", "x"])
            .args(strict.then_some("--strict"));
        let done = run.args(["sh", "-c", "exit 3"]).run();
        done.expect_code(code)
            .expect_said("docker.sock")
            .expect_said("ermission denied")
            .expect_said("usermod -aG docker");
    }
}

/// No state directory, no change: the services run while the build does.
#[track_caller]
fn changes_nothing(site: &Site, services: &Services, state: &Path, says: &str) {
    site.again();
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]);
    let run = run.env("MAKEROOM_STATE_DIR", state).spawn();
    site.child();
    assert!(services.are("running"), "{:?}", services.statuses());
    site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("warning")
        .expect_said(says)
        .expect_said(&state.to_string_lossy());
    let mut run = site.makeroom(["--strict", "--pause", &services.all(), "touch", "strict"]);
    run.env("MAKEROOM_STATE_DIR", state).run().expect_code(125).expect_said(says);
    assert!(!site.work().join("strict").exists());
    assert!(services.are("running"));
}

#[test]
fn a_state_directory_that_cannot_be_used_means_that_nothing_is_changed_and_the_build_runs() {
    let site = Site::new();
    let services = site.services(1);
    let make = |name: &str| {
        let path = site.path(name);
        fs::create_dir(&path).expect("a directory");
        path
    };
    let foreign = make("foreign");
    chown(&foreign, Some(NOBODY), Some(NOBODY)).expect("chown");
    changes_nothing(&site, &services, &foreign, "65534");
    assert_eq!(fs::read_dir(&foreign).expect("there").count(), 0);

    let wide = make("wide");
    fs::set_permissions(&wide, fs::Permissions::from_mode(0o777)).expect("a mode");
    changes_nothing(&site, &services, &wide, "chmod 700");

    let (real, link) = (make("real"), site.path("link"));
    symlink(&real, &link).expect("a link");
    changes_nothing(&site, &services, &link, "not a directory");
    assert_eq!(fs::read_dir(&real).expect("there").count(), 0);

    let file = site.path("file");
    fs::write(&file, "mine").expect("written");
    changes_nothing(&site, &services, &file, "state directory");
    assert_eq!(fs::read_to_string(&file).expect("kept"), "mine");

    // Where even root cannot write.
    changes_nothing(&site, &services, Path::new("/proc/makeroom"), "state directory");
}

#[test]
fn a_thousand_long_selectors_reach_the_keeper_and_more_than_it_takes_are_refused_at_once() {
    let site = nowhere();
    let with = |option: &str, count: usize| {
        let selectors = (0..count).map(|number| format!("{option}=label:key={number:0>400}"));
        site.makeroom(selectors.chain(["true".to_owned()])).run()
    };
    for option in ["--keep", "--then"] {
        let many = with(option, 600);
        assert_eq!(many.expect_code(0).err.matches("keeper").count(), 0, "{}", many.err);
        let too_many = with(option, 2700);
        too_many
            .expect_code(0)
            .expect_said("all selectors together are longer than 1.0 MiB; nothing is changed");
        too_many.expect_said("hint: a glob");
    }
    assert!(site.journals().is_empty());
}
