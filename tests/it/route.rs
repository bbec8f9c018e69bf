//! The way over a command prefix, with prefixes that lead to this very machine, so that every step
//! that a VM would run is run here; and prefixes that lead nowhere. The VM itself is in tests/vm.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    time::Duration,
};

use crate::support::{
    dockerd, process,
    services::Recipe,
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

/// A program of this name, which runs this as a shell's script.
fn program(site: &Site, name: &str, script: &str) -> PathBuf {
    site.program(name, &format!("#!/bin/sh\n{script}\n"))
}

fn path_with(site: &Site) -> String {
    format!(
        "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        site.path("bin").display()
    )
}

/// A prefix that counts how often it is used, a letter for each, and keeps what the steps print.
fn counting(site: &Site) -> PathBuf {
    let (used, said) = (site.path("used"), site.path("said"));
    program(
        site,
        "vm",
        &format!("printf x >> '{}'\n\"$@\" | tee -a '{}'", used.display(), said.display()),
    )
}

fn used(site: &Site) -> usize {
    fs::read(site.path("used")).map_or(0, |letters| letters.len())
}

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
        .expect_said("3 services paused")
        .expect_said("available in vm")
        .expect_said("the room is in vm; `sh` runs on this machine");
    done.expect_said("lowest available in vm").expect_said("swap removed");
    assert_eq!(services.states(), before);
    assert_eq!(turn.new_areas(), Vec::<PathBuf>::new());
}

#[test]
fn a_lease_behind_a_prefix_is_recovered_behind_it() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.hogs(&Recipe::hog(20), 2);
    let area = turn.dir().join("area");
    let mut run = site
        .makeroom(["--pause", &services.all(), "--swap", &swap::more(200), "--swap-file"])
        .args([area.as_os_str()])
        .args(["--vm-shell", &counting(&site).display().to_string(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    run.kill_with_keeper();
    assert!(services.are("paused"));
    let before = used(&site);
    site.makeroom(["recover"])
        .run()
        .expect_code(0)
        .expect_said("2 services running again; its swap removed");
    assert!(used(&site) > before, "the steps took another way");
    assert!(services.are("running"));
    assert_eq!((turn.new_areas(), site.journals()), (vec![], vec![]));
}

/// A run behind these words, which lost both its processes; gives the swap file that it made.
fn abandoned(
    site: &Site,
    turn: &swap::SwapTurn,
    name: &str,
    services: &str,
    vm_shell: &str,
) -> PathBuf {
    let area = turn.dir().join(name);
    let mut run = site.makeroom([
        "--pause",
        services,
        "--swap",
        &swap::more(64),
        "--vm-shell",
        vm_shell,
        "--swap-file",
    ]);
    let mut run = run
        .args([area.as_os_str()])
        .args(["sh", "-c", UNTIL_GO])
        .env("PATH", path_with(site))
        .spawn();
    site.child();
    run.kill_with_keeper();
    site.again();
    area
}

#[test]
fn ones_own_way_is_found_again_by_its_programs_path_by_whoever_has_another() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.services(1);
    let vm = counting(&site);
    abandoned(&site, &turn, "area", &services.all(), "vm");
    let journal = fs::read_to_string(&site.journals()[0]).expect("a journal");
    assert!(
        journal.contains(&format!(r#""host":{{"way":"own","words":["{}"]}}"#, vm.display())),
        "{journal}"
    );
    site.makeroom(["recover"])
        .run()
        .expect_code(0)
        .expect_said("1 service running again; its swap removed");
    assert_eq!((turn.new_areas(), site.journals()), (vec![], vec![]));
}

#[test]
fn ones_own_way_that_somebody_else_could_have_changed_is_not_gone_until_it_is_given() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.services(1);
    let vm = counting(&site);
    for by_environment in [false, true] {
        fs::set_permissions(&vm, fs::Permissions::from_mode(0o755)).expect("a mode");
        let area =
            abandoned(&site, &turn, &format!("area-{by_environment}"), &services.all(), "vm");
        fs::set_permissions(&vm, fs::Permissions::from_mode(0o757)).expect("a mode");
        let before = used(&site);
        let says = [
            "the recorded way into vm is not used: ".to_owned(),
            format!("{} can be written by others (mode 757)", vm.display()),
            format!("where it is right: makeroom recover --vm-shell {}", vm.display()),
        ];
        // A run says the same before its build and goes on.
        let done = site.makeroom(["sh", "-c", "exit 7"]).run();
        for says in &says {
            done.expect_code(7).expect_said(says);
        }
        assert_eq!(
            (services.are("running"), turn.new_areas()),
            (true, vec![area.clone()]),
            "what needs no way is back"
        );
        let done = site.makeroom(["recover"]).run();
        for says in &says {
            done.expect_code(125).expect_said(says);
        }
        done.expect_said("stays: no way into vm is known");
        assert_eq!((used(&site), turn.new_areas(), site.journals().len()), (before, vec![area], 1));
        let given = vm.display().to_string();
        let done = if by_environment {
            site.makeroom(["recover"]).env("MAKEROOM_VM_SHELL", given).run()
        } else {
            site.makeroom(["recover", "--vm-shell", &given]).run()
        };
        done.expect_code(0).expect_said("its swap removed");
        assert!(used(&site) > before);
        assert_eq!((turn.new_areas(), site.journals()), (vec![], vec![]));
    }
}

#[test]
fn stop_takes_a_way_for_a_started_lease_whose_keeper_is_dead() {
    let (turn, site) = (swap::turn(), Site::at("/nonexistent/docker.sock".into()));
    let vm = counting(&site);
    let area = turn.dir().join("area").display().to_string();
    let start = [
        "start",
        "--swap",
        &swap::more(64),
        "--swap-file",
        &area,
        "--vm-shell",
        &vm.display().to_string(),
    ];
    site.makeroom(start).run().expect_code(0);
    for keeper in site.keepers() {
        process::signal(keeper, libc::SIGKILL);
    }
    wait_until("the keeper is dead", || site.keepers().is_empty());
    fs::set_permissions(&vm, fs::Permissions::from_mode(0o757)).expect("a mode");
    site.makeroom(["stop"])
        .run()
        .expect_code(125)
        .expect_said("the recorded way into vm is not used");
    assert_eq!(turn.new_areas().len(), 1);
    site.makeroom(["stop", "--vm-shell", &vm.display().to_string()])
        .run()
        .expect_code(0)
        .expect_said("its swap removed");
    assert_eq!((turn.new_areas(), site.journals()), (vec![], vec![]));
}

#[test]
fn the_words_of_a_journal_of_version_4_are_gone_only_where_they_are_known_or_nobody_elses() {
    let (turn, site) = (swap::turn(), Site::at("/nonexistent/docker.sock".into()));
    site.makeroom(["true"]).run().expect_code(0);
    let went = site.path("went");
    for name in ["colima", "other"] {
        let _ = program(&site, name, &format!("echo {name} >>'{}'; exit 1", went.display()));
    }
    let journal = site.state().join("leases/0123456789ab.journal");
    for (words, goes, says) in [
        (serde_json::json!(["colima", "--profile", "work", "ssh", "--"]), Some("colima"), "stays"),
        (serde_json::json!(["other", "ssh"]), None, "`other` is not an absolute path"),
        (
            serde_json::json!(["colima", "--profile", "-x", "ssh", "--"]),
            None,
            "`colima` is not an absolute path",
        ),
        (
            serde_json::json!([
                "env",
                "COLIMA_HOME=/nonexistent",
                "colima",
                "--profile",
                "a",
                "ssh",
                "--"
            ]),
            None,
            "/nonexistent: No such file",
        ),
    ] {
        let _ = fs::remove_file(&went);
        let records = [
            serde_json::json!({ "record": "opened", "version": 4, "lease": "0123456789ab", "kind": "run", "name": null, "program": "sh",
                "engine": null, "host": { "name": "vm", "words": words }, "at": "2026-01-01T00:00:00Z" }),
            serde_json::json!({ "record": "area_making", "area": { "path": "/nonexistent/a", "size_bytes": 4096, "label": "mr-0" } }),
        ];
        let line = |record: &serde_json::Value| {
            format!("{:08x} {record}\n", crc32fast::hash(record.to_string().as_bytes()))
        };
        fs::write(&journal, records.iter().map(line).collect::<String>()).expect("written");
        site.makeroom(["recover"])
            .env("PATH", path_with(&site))
            .run()
            .expect_code(125)
            .expect_said(says);
        let gone = fs::read_to_string(&went).unwrap_or_default();
        assert_eq!(gone.lines().next(), goes, "{words}");
        assert!(journal.exists(), "kept");
    }
    drop(turn);
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
        done.expect_code(3).expect_said(says).expect_said("1 service paused");
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
    done.expect_code(3).expect_said("vm has not answered for 15 s").expect_said("1 service paused");
    assert!(done.took < Duration::from_secs(20), "{:?}", done.took);
    let run = site.makeroom(options).args(["sh", "-c", "touch ran"]).spawn();
    wait_until("the keeper waits for the host", || {
        site.journals().iter().any(|journal| fs::read(journal).is_ok_and(|text| !text.is_empty()))
    });
    run.signal(libc::SIGTERM);
    let done = run.wait();
    assert_eq!(done.signal(), Some(libc::SIGTERM), "{}", done.err);
    assert!(
        done.took < Duration::from_secs(6) && !site.work().join("ran").exists(),
        "{:?}",
        done.took
    );
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
        .expect_said("1 service paused")
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
        done.expect_code(3).expect_said("1 service paused").expect_said("available in colima");
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
        .expect_said("1 service paused");
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
