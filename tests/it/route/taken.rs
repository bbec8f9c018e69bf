//! Room behind a prefix, prefixes that lead nowhere or hang, and how the way is found.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use crate::support::{
    dockerd,
    services::Recipe,
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

use super::{counting, path_with, program, used};

#[test]
fn behind_a_prefix_room_is_made_with_three_uses_of_it_and_everything_is_put_back() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.hogs(&Recipe::hog(20), 3);
    let before = services.states();
    let area = turn.dir().join("area");
    let run = site
        .makeroom(["--pause", &services.all(), "--swap", &swap::more(200), "--swap-file"])
        .args([area.as_os_str()])
        .args(["--vm-shell", &counting(&site).display().to_string(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    assert_eq!(turn.new_areas(), [area]);
    // With the second sample there, the first one has been heard.
    let samples = || {
        fs::read_to_string(site.path("said"))
            .unwrap_or_default()
            .matches("makeroom-sample ")
            .count()
    };
    wait_until("the host is sampled", || samples() > 1);
    assert_eq!(
        used(&site),
        3,
        "three for the room, and the last of them samples as long as the build runs"
    );
    site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("3 containers paused")
        .expect_said("available in vm")
        .expect_said("the room is in vm; `sh` runs on this machine");
    done.expect_said("lowest available in vm").expect_said("swap removed");
    assert_eq!(services.states(), before);
    assert_eq!(turn.new_areas(), Vec::<PathBuf>::new());
}

#[test]
fn a_prefix_that_leads_nowhere_is_named_in_one_line_and_the_build_runs() {
    let site = Site::new();
    let services = site.services(1);
    let before = services.states();
    for (name, script, says) in [
        (
            "stopped",
            "echo 'colima is not running' >&2; exit 1",
            "did not run the step: colima is not running",
        ),
        ("asks", "printf 'Password: '; read -r answer; exit 1", "did not run the step: Password:"),
        (
            "terminal",
            "echo 'the input device is not a TTY' >&2; exit 1",
            "the input device is not a TTY",
        ),
        ("tty", "\"$@\" | sed 's/$/\\r/'", "gives the step a terminal"),
        ("silent", "exit 0", "did not run the step: exit status: 0"),
    ] {
        let vm = program(&site, name, script).display().to_string();
        let options = ["--pause", &services.all(), "--swap", "1MiB", "--vm-shell", &vm];
        let done = site.makeroom(options).args(["sh", "-c", "exit 3"]).run();
        done.expect_code(3).expect_said(says).expect_said("1 container paused");
        assert_eq!(done.err.matches("warning").count(), 1, "{name}: {}", done.err);
        let strict = site.makeroom(options).args(["--strict", "sh", "-c", "touch ran"]).run();
        strict.expect_code(125).expect_said(says);
        assert!(!site.work().join("ran").exists(), "{name}");
        // Where a pause and its end are milliseconds apart, the engine's own late event of the
        // pause comes after both.
        wait_until("the service is as before", || services.states() == before);
    }
    let missing =
        ["--pause", &services.all(), "--swap", "1MiB", "--vm-shell", "/nonexistent/vm ssh --"];
    site.makeroom(missing)
        .args(["sh", "-c", "exit 3"])
        .run()
        .expect_code(3)
        .expect_said("cannot run `/nonexistent/vm ssh --`");
}

#[test]
fn a_prefix_that_hangs_holds_the_build_up_for_seconds_only_and_a_signal_not_at_all() {
    let site = Site::new();
    let services = site.services(1);
    let vm = program(&site, "vm", "exec sleep 600").display().to_string();
    let options = ["--pause", &services.all(), "--swap", "1MiB", "--vm-shell", &vm];
    let done =
        site.makeroom(options).args(["sh", "-c", "exit 3"]).limit(Duration::from_secs(30)).run();
    done.expect_code(3)
        .expect_said("vm has not answered for 15 s")
        .expect_said("1 container paused");
    done.expect_within(Duration::from_secs(20));
    let run = site.makeroom(options).args(["sh", "-c", "touch ran"]).spawn();
    wait_until("the keeper waits for the host", || {
        site.journals().iter().any(|journal| fs::read(journal).is_ok_and(|text| !text.is_empty()))
    });
    run.signal(libc::SIGTERM);
    let done = run.wait();
    assert_eq!(done.signal(), Some(libc::SIGTERM), "{}", done.err);
    done.expect_within(Duration::from_secs(6));
    assert!(!site.work().join("ran").exists());
    assert!(services.are("running"));
}

#[test]
fn noise_before_a_steps_output_changes_nothing() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.hogs(&Recipe::hog(20), 1);
    let noisy =
        "echo 'Welcome to the VM'; echo 'last login: never' >&2; printf 'no newline'; exec \"$@\"";
    let vm = program(&site, "vm", noisy).display().to_string();
    let area = turn.dir().join("area").display().to_string();
    let options = [
        "--pause",
        &services.all(),
        "--swap",
        &swap::more(100),
        "--swap-file",
        &area,
        "--vm-shell",
        &vm,
    ];
    let done = site.makeroom(options).args(["sh", "-c", "exit 3"]).run();
    done.expect_code(3)
        .expect_said("1 container paused")
        .expect_said("given back")
        .expect_said("swap removed");
    assert!(!done.err.contains("warning"), "{}", done.err);
}

#[test]
fn colima_is_found_by_its_socket_by_a_link_to_it_and_by_its_context_without_any_option() {
    let site = Site::new();
    let services = site.services(1);
    let words = site.path("words");
    let colima = format!(
        "printf '%s ' \"$@\" >> '{}'; while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"",
        words.display()
    );
    program(&site, "colima", &colima);
    let (socket, link) = (site.path("home/.colima/work/docker.sock"), site.path("docker.sock"));
    fs::create_dir_all(socket.parent().expect("a parent")).expect("a directory");
    // A second name for the socket itself: a link would be followed to the engine's own.
    fs::hard_link(dockerd::engine().socket(), &socket).expect("linked");
    symlink(&socket, &link).expect("linked");
    // Where docker keeps the context `colima`: the SHA-256 of its name.
    let meta = site.path("home/.docker/contexts/meta/f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16");
    fs::create_dir_all(&meta).expect("a directory");
    let elsewhere = dockerd::engine().socket();
    let context = format!(
        r#"{{"Name":"colima","Endpoints":{{"docker":{{"Host":"unix://{}"}}}}}}"#,
        elsewhere.display()
    );
    fs::write(meta.join("meta.json"), context).expect("written");
    for (variable, value, profile) in [
        ("DOCKER_HOST", format!("unix://{}", socket.display()), "work"),
        ("DOCKER_HOST", format!("unix://{}", link.display()), "work"),
        ("DOCKER_CONTEXT", "colima".to_owned(), "default"),
    ] {
        let _ = fs::remove_file(&words);
        let mut run =
            site.makeroom(["--pause", &services.all(), "--swap", "1MiB", "sh", "-c", "exit 3"]);
        let done = run
            .without_env("DOCKER_HOST")
            .env("PATH", path_with(&site))
            .env(variable, &value)
            .run();
        done.expect_code(3).expect_said("1 container paused").expect_said("available in colima");
        let said = fs::read_to_string(&words).unwrap_or_default();
        assert!(
            said.starts_with(&format!("--profile {profile} ssh -- sh -s ")),
            "{variable}={value}: {said}"
        );
    }
}

#[test]
fn an_engine_on_an_unknown_machine_is_said_once_with_the_mend_and_nothing_is_made() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.services(1);
    let home = site.path("home");
    let socket = home.join(".orbstack/run/docker.sock");
    fs::create_dir_all(socket.parent().expect("a parent")).expect("a directory");
    symlink(dockerd::engine().socket(), &socket).expect("linked");
    let before = swap::areas();
    let mut run = site.makeroom([
        "--pause",
        &services.all(),
        "--swap",
        &swap::more(100),
        "sh",
        "-c",
        "cat /proc/swaps; exit 3",
    ]);
    let done = run.env("DOCKER_HOST", format!("unix://{}", socket.display())).run();
    done.expect_code(3)
        .expect_said("no way into OrbStack is known")
        .expect_said("--vm-shell")
        .expect_said("1 container paused");
    assert_eq!(done.err.matches("no way").count(), 1, "{}", done.err);
    assert_eq!(done.out.lines().count(), before.len() + 1, "{}", done.out);
    let mut strict =
        site.makeroom(["--strict", "--pause", &services.all(), "--swap", "1MiB", "true"]);
    strict.env("DOCKER_HOST", format!("unix://{}", socket.display())).run().expect_code(125);
    assert!(services.are("running"));
    drop(turn);
}

#[test]
fn a_repository_may_not_name_the_way_into_a_vm() {
    let site = Site::new();
    fs::write(site.work().join("makeroom.toml"), "vm_shell = \"evil\"\n").expect("written");
    site.makeroom(["true"])
        .run()
        .expect_code(125)
        .expect_said("`vm_shell` may not be set by a makeroom.toml");
}
