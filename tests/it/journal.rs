//! What is on disk before each act, and what becomes of it: both processes killed at each call to
//! the engine, each answer that the engine can give, and journals that are torn, damaged or newer.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    makeroom::{Running, wait_until_gone},
    must_run, process,
    proxy::{Deed, Moment, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Supervisor,
    Keeper,
    Both,
}

/// Kills at every call of a run: before and after each pause and each unpause.
fn kill_at_every_call(victim: Victim) {
    let services = Site::new().services(2);
    let before = services.states();
    for verb in ["pause", "unpause"] {
        for nth in 1..=services.count() {
            for moment in [Moment::Before, Moment::After] {
                eprintln!("{victim:?} killed {moment:?} {verb} {nth}");
                kill_at(&services, victim, verb, nth, moment);
                assert_eq!(services.states(), before);
            }
        }
    }
}

fn kill_at(services: &Services, victim: Victim, verb: &'static str, nth: usize, moment: Moment) {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let held = proxy.hold(verb, nth, moment);
    let mut run = site.makeroom(["--pause", &services.all(), "true"]).spawn();
    held.wait();
    let keeper = run.keeper();
    match victim {
        Victim::Supervisor => {
            run.kill();
            held.release();
            wait_until_gone(Duration::from_secs(10), "the keeper", &[keeper]);
        }
        Victim::Keeper => {
            process::signal(keeper, libc::SIGKILL);
            held.release();
            run.wait().expect_code(0);
        }
        Victim::Both => {
            kill_both(&mut run);
            held.release();
        }
    }
    site.makeroom(["recover"]).run().expect_code(0);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

/// A stopped supervisor starts no other keeper.
fn kill_both(run: &mut Running) {
    let keeper = run.keeper();
    process::signal(run.pid(), libc::SIGSTOP);
    process::signal(keeper, libc::SIGKILL);
    run.kill();
    wait_until_gone(Duration::from_secs(2), "the keeper", &[keeper]);
}

#[test]
fn all_run_in_the_end_wherever_the_supervisor_is_killed() {
    kill_at_every_call(Victim::Supervisor);
}

#[test]
fn all_run_in_the_end_wherever_the_keeper_is_killed() {
    kill_at_every_call(Victim::Keeper);
}

#[test]
fn all_run_in_the_end_wherever_both_are_killed() {
    kill_at_every_call(Victim::Both);
}

#[test]
fn a_pause_of_a_dead_keeper_that_comes_late_is_undone_though_the_next_keeper_got_a_409_for_its_own() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let (late, own) = (proxy.hold("pause", 1, Moment::Before), proxy.hold("pause", 2, Moment::Before));
    let run = site.makeroom(["--pause", &services.all(), "true"]).spawn();
    late.wait();
    process::signal(run.keeper(), libc::SIGKILL);
    own.wait();
    late.release();
    assert!(services.are("paused"));
    own.release();
    run.wait().expect_code(0);
    assert!(services.are("running"), "{:?}", services.statuses());
}

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
        let has = |line: &str| line.contains("\"taking\"") && line.contains(&state.id) && line.contains(&state.started_at);
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
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", &script]).env("TOKEN", "hunter2").spawn();
    site.child();
    let text = fs::read_to_string(&site.journals()[0]).expect("a journal");
    assert!(text.contains("\"program\":\"sh\"") && !text.contains("hunter2") && !text.contains("-c"), "{text}");
    site.go();
    run.wait().expect_code(7);
}

const MESSAGE: &str = "{\"message\":\"said the proxy\"}";
const NOT_PAUSED: &str = "{\"message\":\"Container 0123 is not paused\"}";

/// What can come back in place of "done".
const ANSWERS: [Deed; 5] = [
    Deed::Answer(409, MESSAGE),
    Deed::Answer(500, NOT_PAUSED),
    Deed::Answer(500, MESSAGE),
    Deed::Cut(Moment::Before),
    Deed::Cut(Moment::After),
];
/// What says "done" or "there is none" without being true.
const LIES: [Deed; 3] = [Deed::Answer(304, ""), Deed::Answer(404, MESSAGE), Deed::Answer(200, "this is no JSON")];

#[test]
fn whatever_the_engine_answers_to_a_pause_the_build_runs_and_all_run_in_the_end() {
    let services = Site::new().services(2);
    let before = services.states();
    for deed in ANSWERS.into_iter().chain(LIES) {
        eprintln!("{deed:?}");
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        proxy.on("pause", Some(1), deed);
        site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3);
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn whatever_the_engine_answers_to_an_unpause_all_run_in_the_end() {
    let services = Site::new().services(2);
    let before = services.states();
    for deed in ANSWERS {
        eprintln!("{deed:?}");
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        proxy.on("unpause", Some(1), deed);
        site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3);
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn a_container_that_vanishes_between_the_look_and_the_unpause_is_nothing_to_restore() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let held = [1, 2].map(|nth| proxy.hold("unpause", nth, Moment::Before));
    let run = site.makeroom(["--strict", "--pause", &services.all(), "true"]).spawn();
    for held in &held {
        held.wait();
    }
    services.remove(0);
    for held in &held {
        held.release();
    }
    run.wait().expect_code(0);
    assert_eq!(services.statuses(), ["gone", "running"]);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_container_that_somebody_thaws_between_the_look_and_the_unpause_is_as_it_should_be() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("unpause", 1, Moment::Before);
    let run = site.makeroom(["--strict", "--pause", &services.all(), "true"]).spawn();
    held.wait();
    services.tell(0, "unpause");
    held.release();
    run.wait().expect_code(0);
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn an_engine_that_does_not_answer_a_pause_holds_the_build_up_for_seconds_only() {
    for moment in [Moment::Before, Moment::After] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(1);
        proxy.on("pause", Some(1), Deed::Silence(moment));
        site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3).expect_said("cannot pause");
        assert!(services.are("running"), "{moment:?}: {:?}", services.statuses());
    }
}

#[test]
fn an_engine_that_does_not_answer_an_unpause_is_asked_again() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    proxy.on("unpause", Some(1), Deed::Silence(Moment::Before));
    site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run().expect_code(3);
    assert!(services.are("running"), "{:?}", services.statuses());
}

#[test]
fn a_pause_that_is_refused_is_said_and_with_strict_the_build_is_not_run() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    proxy.on("pause", Some(1), Deed::Answer(409, MESSAGE));
    proxy.on("pause", Some(3), Deed::Answer(409, MESSAGE));
    site.makeroom(["--pause", &services.all(), "true"]).run().expect_code(0).expect_said("409: said the proxy");
    let done = site.makeroom(["--strict", "--pause", &services.all(), "touch", "started"]).run();
    done.expect_code(125).expect_said("409: said the proxy");
    assert!(!site.work().join("started").exists());
    assert!(services.are("running"));
}

#[test]
fn what_cannot_be_restored_is_the_loud_last_line_and_recover_mends_it_later() {
    let services = Site::new().services(2);
    let before = services.states();
    for (strict, script, code) in [(false, "exit 0", 0), (true, "exit 0", 125), (true, "exit 3", 3)] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        proxy.on("unpause", None, Deed::Answer(500, MESSAGE));
        let mut run = site.makeroom(["--restore-timeout", "700ms", "--pause", &services.all()]);
        let done = run.args(strict.then_some("--strict")).args(["sh", "-c", script]).run();
        done.expect_code(code).expect_said("500: said the proxy");
        let last: Vec<_> = done.err.lines().rev().take(2).collect();
        assert!(last.iter().any(|line| line.contains("makeroom recover")), "{last:?}");
        assert!(services.are("paused"));
        assert_eq!(site.journals().len(), 1);
        site.makeroom(["recover", "--restore-timeout", "300ms"]).run().expect_code(125);
        proxy.forget();
        site.makeroom(["recover"]).run().expect_code(0);
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

/// A lease that lost both its processes, and its journal.
fn abandoned(site: &Site, services: &Services) -> PathBuf {
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    kill_both(&mut run);
    site.again();
    assert!(services.are("paused"));
    let journals = site.journals();
    let [journal] = &journals[..] else { panic!("one journal: {journals:?}") };
    journal.clone()
}

#[test]
fn a_journal_that_is_torn_at_its_end_is_read_up_to_there() {
    let site = Site::new();
    let services = site.services(2);
    let torn: [fn(&str) -> String; 4] = [
        |text| text.to_owned() + "1234",
        |text| text.to_owned() + "89abcdef {\"record\":\"restored\",\"id\":",
        // A whole line, but for its end.
        |text| text[..text.len() - 1].to_owned(),
        |text| text[..text.len() - 20].to_owned(),
    ];
    for tear in torn {
        let journal = abandoned(&site, &services);
        let text = fs::read_to_string(&journal).expect("a journal");
        fs::write(&journal, tear(&text)).expect("written");
        site.makeroom(["recover"]).run().expect_code(0).expect_said("2 services running again");
        assert!(services.are("running") && site.journals().is_empty());
    }
}

#[test]
fn a_journal_without_a_whole_line_is_taken_away() {
    let site = Site::new();
    site.makeroom(["true"]).run().expect_code(0);
    for text in ["", "0123"] {
        fs::write(site.state().join("leases/0123456789ab.journal"), text).expect("written");
        site.makeroom(["recover"]).run().expect_code(0);
        assert!(site.journals().is_empty(), "{text}");
    }
}

/// What cannot be read is said, kept byte for byte, and what it may hold is not touched.
#[track_caller]
fn is_left_alone(site: &Site, services: &Services, journal: &Path, says: &str) {
    let bytes = fs::read(journal).expect("a journal");
    site.makeroom(["recover"]).run().expect_code(125).expect_said(says).expect_said(&journal.to_string_lossy());
    site.makeroom(["sh", "-c", "exit 3"]).run().expect_code(3).expect_said(says).expect_said("left alone");
    assert_eq!(fs::read(journal).expect("kept"), bytes);
    assert!(services.are("paused"));
    fs::remove_file(journal).expect("removed");
    (0..services.count()).for_each(|index| services.tell(index, "unpause"));
}

#[test]
fn a_journal_that_is_damaged_is_said_loudly_kept_and_left_alone() {
    let site = Site::new();
    let services = site.services(1);
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[12] ^= 1,
        |bytes| bytes[0] = b'x',
        |bytes| {
            // The first line is gone.
            let end = bytes.iter().position(|&byte| byte == b'\n').expect("a line");
            bytes[..=end].fill(0);
        },
    ];
    for damage in damages {
        let journal = abandoned(&site, &services);
        let mut bytes = fs::read(&journal).expect("a journal");
        damage(&mut bytes);
        fs::write(&journal, bytes).expect("written");
        is_left_alone(&site, &services, &journal, "damaged");
    }
}

#[test]
fn a_journal_of_a_newer_version_is_said_loudly_kept_and_left_alone() {
    let site = Site::new();
    let services = site.services(1);
    let journal = abandoned(&site, &services);
    let text = fs::read_to_string(&journal).expect("a journal");
    let (first, rest) = text.split_once('\n').expect("lines");
    let json = first[9..].replace("\"version\":1", "\"version\":99");
    assert_ne!(json, first[9..]);
    fs::write(&journal, format!("{:08x} {json}\n{rest}", crc32fast::hash(json.as_bytes()))).expect("written");
    is_left_alone(&site, &services, &journal, "99");
}

#[test]
fn what_is_no_file_in_a_journals_place_holds_nobody_up() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["true"]).run().expect_code(0);
    let leases = site.state().join("leases");
    must_run(std::process::Command::new("mkfifo").arg(leases.join("a.journal")));
    fs::create_dir(leases.join("b.journal")).expect("a directory");
    std::os::unix::fs::symlink("/etc/passwd", leases.join("c.journal")).expect("a link");
    let done = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run();
    done.expect_code(3).expect_within(Duration::from_secs(5)).expect_said("1 service paused");
    assert!(services.are("running"));
    assert_eq!(site.journals().len(), 3);
}
