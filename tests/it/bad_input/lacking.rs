//! What the machine lacks, or does not let one have, is a warning, and the build runs.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        net::UnixListener,
    },
    path::Path,
    time::Duration,
};

use crate::support::{
    programs,
    proxy::{Deed, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
};

use super::nowhere;

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
fn a_selector_that_matches_nothing_is_named_and_the_build_runs() {
    let site = Site::new();
    let services = site.services(1);
    let mut run = site.makeroom(["--pause", "no-such-service-*", "--pause", &services.all()]);
    let done = run.args(["sh", "-c", "exit 3"]).run();
    done.expect_code(3)
        .expect_said("warning")
        .expect_said("no-such-service-*")
        .expect_said("1 container paused");
    assert!(
        !done.err.contains(&services.all()),
        "only what matches nothing is named: {}",
        done.err
    );
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
        fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).expect("a mode");
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
