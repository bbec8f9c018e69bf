//! What is on disk before each act, and what is not done where nothing can be written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::resource::Resource;

use serde_json::json;

use crate::support::{
    journal::Journal,
    must_run,
    proxy::{Moment, Proxy},
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

#[test]
fn the_intent_is_on_disk_before_the_engine_is_asked() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let held = [1, 2].map(|nth| proxy.hold("pause", nth, Moment::Before));
    let run = site.makeroom(["--pause", &services.all(), "true"]).spawn();
    for held in &held {
        held.wait();
    }
    let [journal] = &site.journals()[..] else { panic!("one journal: {:?}", site.journals()) };
    let text = fs::read_to_string(journal).expect("a journal");
    for state in services.states().into_iter().flatten() {
        let has = |line: &str| {
            line.contains("\"taking\"")
                && line.contains(&state.id)
                && line.contains(&state.started_at)
        };
        assert!(text.lines().any(has), "{}: {text}", state.id);
    }
    for held in &held {
        held.release();
    }
    run.wait().expect_code(0);
}

#[test]
fn the_journal_names_the_program_and_none_of_its_arguments() {
    let site = Site::new();
    let services = site.services(1);
    let script = format!("{UNTIL_GO} # hunter2");
    let run = site
        .makeroom(["--pause", &services.all(), "sh", "-c", &script])
        .env("TOKEN", "hunter2")
        .spawn();
    site.child();
    let text = fs::read_to_string(&site.journals()[0]).expect("a journal");
    assert!(
        text.contains("\"program\":\"sh\"") && !text.contains("hunter2") && !text.contains("while"),
        "{text}"
    );
    site.go();
    run.wait().expect_code(7);
}

/// Makes a file one that even root cannot open for writing, until it is dropped.
struct Unopenable(PathBuf);

impl Unopenable {
    fn new(path: &Path) -> Self {
        must_run(std::process::Command::new("chattr").arg("+i").arg(path));
        Self(path.to_owned())
    }
}

impl Drop for Unopenable {
    fn drop(&mut self) {
        let _ = std::process::Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

#[test]
fn where_a_journal_cannot_be_opened_no_room_is_made_and_nothing_changed() {
    let site = Site::new();
    let services = site.services(1);
    let first = site.makeroom(["--pause", "none-*", "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let journal = site.journals()[0].clone();
    let unopenable = Unopenable::new(&journal);
    let options = ["--pause", &services.all()];
    let done = site.makeroom(options).args(["sh", "-c", "exit 3"]).run();
    done.expect_code(3)
        .expect_said("cannot look at the journal")
        .expect_said(&journal.to_string_lossy());
    done.expect_said("another lease may hold something: nothing is changed");
    assert!(!done.err.contains("container paused"), "{}", done.err);
    site.makeroom(options).args(["--strict", "true"]).run().expect_code(125);
    site.makeroom(["start"]).args(options).run().expect_code(125);
    site.makeroom(["recover"]).run().expect_code(125).expect_said("cannot look at the journal");
    site.makeroom(["stop", "nightly"])
        .run()
        .expect_code(125)
        .expect_said("whether it is to be stopped is not known");
    drop(unopenable);
    site.go();
    first.wait().expect_code(7);
    site.makeroom(options)
        .args(["sh", "-c", "exit 3"])
        .run()
        .expect_code(3)
        .expect_said("1 container paused");
}

#[test]
fn swap_that_a_lease_may_need_that_cannot_be_seen_stays_and_is_recorded() {
    let (turn, site) = (swap::turn(), Site::at("/nonexistent/docker.sock".into()));
    let area = turn.dir().join("area");
    let build = |name: &str| {
        let script = format!("touch {name}; while ! [ -e {name}-go ]; do sleep 0.02; done");
        let mut run = site.makeroom(["--swap", &swap::more(64), "--swap-file"]);
        let run = run.args([area.as_os_str()]).args(["sh", "-c", &script]).spawn();
        wait_until("the build runs", || site.work().join(name).exists());
        run
    };
    let end = |name: &str| fs::write(site.work().join(format!("{name}-go")), "").expect("written");
    let one = build("one");
    let [first] = &site.journals()[..] else { panic!("one journal") };
    let two = build("two");
    let second =
        site.journals().into_iter().find(|journal| journal != first).expect("another journal");
    assert!(fs::read_to_string(&second).expect("a journal").contains("area_joined"));
    let unopenable = Unopenable::new(&second);
    end("one");
    let done = one.wait();
    done.expect_code(0)
        .expect_said("cannot look at the journal")
        .expect_said("swap that another lease may need stays");
    assert!(turn.new_areas().contains(&area), "the other build needs it");
    assert!(first.exists(), "it is still recorded");
    drop(unopenable);
    end("two");
    two.wait().expect_code(0);
    site.makeroom(["recover"]).run().expect_code(0);
    assert_eq!((turn.new_areas(), site.journals()), (vec![], vec![]));
}

#[test]
fn too_many_open_files_are_no_other_leases_and_nothing_is_changed() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["true"]).run().expect_code(0);
    // Leases of dead holders that need an engine which is gone: each is looked at and kept.
    let target = json!({
        "id": "c", "name": "n", "started_at": "t", "project": null, "service": null, "depends_on": [],
    });
    for index in 0..60 {
        let lease = format!("{index:012x}");
        Journal::of(&lease)
            .with("engine", json!("unix:///nonexistent/s"))
            .then(json!({ "record": "taking", "target": target, "method": "pause" }))
            .write(&site.state().join(format!("leases/{lease}.journal")));
    }
    let mut run = site.makeroom([
        "--restore-timeout",
        "0s",
        "--pause",
        &services.all(),
        "sh",
        "-c",
        "exit 3",
    ]);
    let done = run.limit_resource(Resource::RLIMIT_NOFILE, 48, 48).run();
    done.expect_code(3)
        .expect_said("Too many open files")
        .expect_said("another lease may hold something: nothing is changed");
    assert!(!done.err.contains("container paused") && services.are("running"), "{}", done.err);
    assert_eq!(site.journals().len(), 60);
}

#[test]
fn stop_does_not_take_a_journal_that_it_may_not_use_for_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["start", "--name", "q", "--pause", &services.all()]).run().expect_code(0);
    let journal = site.journals().remove(0);
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o666)).expect("a mode");
    for words in [&["stop", "q"][..], &["stop"], &["stop", "--all"]] {
        site.makeroom(words)
            .run()
            .expect_code(125)
            .expect_said("is not used")
            .expect_said("is not known");
    }
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o600)).expect("a mode");
    site.makeroom(["stop", "q"]).run().expect_code(0);
    assert!(services.are("running"));
}
