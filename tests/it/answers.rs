//! Each answer that the engine can give to each call, and none at all: the build runs, and all that
//! ran before runs in the end.

use std::{
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    proxy::{Deed, Moment, Proxy},
    services::Services,
    site::Site,
    wait_within,
};

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
const LIES: [Deed; 3] =
    [Deed::Answer(304, ""), Deed::Answer(404, MESSAGE), Deed::Answer(200, "this is no JSON")];

/// Every reply in place of the engine's own.
const REPLIES: [Deed; 11] = [
    Deed::Answer(204, ""),
    Deed::Answer(304, ""),
    Deed::Answer(404, MESSAGE),
    Deed::Answer(200, "this is no JSON"),
    Deed::Answer(409, MESSAGE),
    Deed::Answer(500, NOT_PAUSED),
    Deed::Answer(500, MESSAGE),
    Deed::Cut(Moment::Before),
    Deed::Cut(Moment::After),
    Deed::Silence(Moment::Before),
    Deed::Silence(Moment::After),
];
/// The calls of a run with one service, and by which method it is taken. It is looked at for its
/// pid, before it is taken, before it is restored and after that.
const CALLS: [(&str, usize, &str); 10] = [
    ("ping", 1, "pause"),
    ("list", 1, "pause"),
    ("inspect", 1, "pause"),
    ("inspect", 2, "pause"),
    ("inspect", 3, "pause"),
    ("inspect", 4, "pause"),
    ("pause", 1, "pause"),
    ("unpause", 1, "pause"),
    ("stop", 1, "stop"),
    ("start", 1, "stop"),
];
/// Rows that are played at once; most of a row is waiting.
const AT_ONCE: usize = 8;

/// A call, which one of its kind (`None`: each), the method of the run, and the reply.
type Row = (&'static str, Option<usize>, &'static str, Deed);

/// What came of a row.
enum Came {
    /// All that it is about holds.
    Holds,
    /// The engine was too busy for the run to get to the call.
    NotToIt(String),
    Complaint(String),
}

/// How often a row is played until the run gets to its call.
const TRIES: usize = 3;

/// Plays all rows, some at once, each thread with a service of its own, and requires that none has
/// a complaint.
#[track_caller]
fn play(rows: &[Row]) {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(String::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let services = Site::new().services(1);
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut came = play_one(&services, row);
                    for _ in 1..TRIES {
                        if matches!(came, Came::NotToIt(_)) {
                            came = play_one(&services, row);
                        }
                    }
                    if let Came::NotToIt(complaint) | Came::Complaint(complaint) = came {
                        let mut complaints = complaints.lock().expect("unpoisoned");
                        let _ = writeln!(complaints, "── {row:?}: {complaint}");
                        // The next row begins with a service that runs.
                        services.replace(0);
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("unpoisoned");
    assert!(complaints.is_empty(), "{complaints}");
}

fn play_one(services: &Services, (call, nth, method, reply): &Row) -> Came {
    let before = services.states();
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    proxy.on(call, *nth, reply.clone());
    let mut run = site.makeroom([
        "--method",
        method,
        "--restore-timeout",
        if nth.is_some() { "12s" } else { "2s" },
    ]);
    // Pushing memory out asks the engine for nothing. Said with a stop it would make it a pause.
    run.args((*method == "pause").then_some("--no-reclaim"));
    let done = run
        .args(["--stop-timeout", "1s", "--pause", &services.all(), "sh", "-c", "exit 3"])
        .limit(Duration::from_secs(50))
        .run();
    let told = |complaint: &str| Came::Complaint(format!("{complaint}\n{}", done.err));
    if done.code() != Some(3) {
        return told(&format!("the run ended with {}", done.status));
    }
    if proxy.seen(call) < nth.unwrap_or(1) {
        // What was done meanwhile is put back by now, as at any other time.
        let _ = site.makeroom(["recover"]).limit(Duration::from_secs(50)).run();
        return Came::NotToIt(format!("the call was never made\n{}", done.err));
    }
    proxy.forget();
    // What may still come is waited for by the keeper.
    wait_within(Duration::from_mins(1), "the keeper is done", || site.keepers().is_empty());
    if !site.journals().is_empty() {
        let recover = site.makeroom(["recover"]).limit(Duration::from_secs(50)).run();
        if recover.code() != Some(0) {
            return told(&format!("recover ended with {}\n{}", recover.status, recover.err));
        }
    }
    // What was stopped and started runs as another process.
    let is_back =
        if *method == "pause" { services.states() == before } else { services.are("running") };
    if !is_back {
        return told(&format!("left as {:?}, was {before:?}", services.states()));
    }
    if site.journals().is_empty() { Came::Holds } else { told("a journal is left") }
}

#[test]
fn whatever_the_engine_replies_to_a_call_the_build_runs_and_all_run_in_the_end() {
    let of = |(call, nth, method)| REPLIES.map(|reply| (call, Some(nth), method, reply));
    play(&CALLS.into_iter().flat_map(of).collect::<Vec<_>>());
}

#[test]
fn whatever_the_engine_replies_to_every_call_of_a_kind_one_recover_mends_it_afterwards() {
    let of = |(call, _, method)| REPLIES.map(|reply| (call, None, method, reply));
    let kinds = CALLS.into_iter().filter(|(_, nth, _)| *nth == 1);
    play(&kinds.flat_map(of).collect::<Vec<_>>());
}

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
fn a_container_that_vanishes_between_the_look_and_the_unpause_is_said_and_the_others_run() {
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
    let gone = format!("`{}` was removed while it was paused: it is gone", services.name(0));
    run.wait().expect_code(125).expect_said(&gone);
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
        let run = site
            .makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"])
            .limit(Duration::from_secs(30))
            .run();
        run.expect_code(3).expect_said("cannot pause");
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
    site.makeroom(["--pause", &services.all(), "true"])
        .run()
        .expect_code(0)
        .expect_said("409: said the proxy");
    let done = site.makeroom(["--strict", "--pause", &services.all(), "touch", "started"]).run();
    done.expect_code(125).expect_said("409: said the proxy");
    assert!(!site.work().join("started").exists());
    assert!(services.are("running"));
}

#[test]
fn what_cannot_be_restored_is_the_loud_last_line_and_recover_mends_it_later() {
    let services = Site::new().services(2);
    let before = services.states();
    for (strict, script, code) in [(false, "exit 0", 0), (true, "exit 0", 125), (true, "exit 3", 3)]
    {
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
