//! A dead lease behind a prefix: whose words lead there, and whose are not run.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::support::{
    journal::Journal,
    process,
    services::Recipe,
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

use super::{counting, path_with, program, used};

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
        .expect_said("2 containers running again; its swap removed");
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
        .expect_said("1 container running again; its swap removed");
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
        Journal::of("0123456789ab").with_area_behind(&words).write(&journal);
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
