//! What a run or a started lease whose processes were all killed still holds, is put back by the
//! next makeroom that comes by, whichever it is; and its first line says what was still held, and
//! since when.

use std::fs;

use crate::support::{
    makeroom::{Done, wait_until_gone},
    process,
    services::Services,
    site::{Site, UNTIL_GO},
};

/// How a lease began that has no holder any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Run,
    Start,
}

/// Makes one; gives the moment at which it began, as the line has it.
fn abandon(site: &Site, services: &Services, kind: Kind) -> String {
    match kind {
        Kind::Run => {
            let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
            let child = site.child();
            run.kill_with_keeper();
            process::signal(child, libc::SIGKILL);
        }
        Kind::Start => {
            site.makeroom(["start", "--name", "ci", "--pause", &services.all()])
                .run()
                .expect_code(0);
            let keepers = site.keepers();
            assert_eq!(keepers.len(), 1, "{keepers:?}");
            process::signal(keepers[0], libc::SIGKILL);
            wait_until_gone(std::time::Duration::from_secs(2), "the keeper", &keepers);
        }
    }
    assert!(services.are("paused"), "{:?}", services.statuses());
    let journal = fs::read_to_string(&site.journals()[0]).expect("a journal");
    let (_, at) = journal.split_once("\"at\":\"").expect("a moment");
    format!("{} UTC", at[..19].replace('T', " "))
}

#[track_caller]
fn expect_first_line(done: &Done, services: &Services, since: &str) {
    let first = done.err.lines().next().unwrap_or_default();
    for words in
        ["lost its holder", services.name(0), services.name(1), since, "2 containers running again"]
    {
        assert!(first.contains(words), "`{words}` is not in the first line of:\n{}", done.err);
    }
}

/// Types this after a dead holder of each kind.
fn first_line_of(kinds: &[Kind], words: &[&str], code: i32) {
    for &kind in kinds {
        let site = Site::new();
        let services = site.services(2);
        let before = services.states();
        let since = abandon(&site, &services, kind);
        let done = site.makeroom(words).run();
        done.expect_code(code);
        expect_first_line(&done, &services, &since);
        assert_eq!(services.states(), before, "{kind:?}");
        site.makeroom(["stop", "--all"]).run().expect_code(0);
        assert!(site.journals().is_empty(), "{kind:?}: {:?}", site.journals());
    }
}

#[test]
fn the_first_line_of_the_next_run_says_what_a_dead_holder_still_held_and_since_when() {
    first_line_of(&[Kind::Run, Kind::Start], &["sh", "-c", "exit 3"], 3);
}

#[test]
fn the_first_line_of_the_next_start_says_what_a_dead_holder_still_held_and_since_when() {
    first_line_of(&[Kind::Run, Kind::Start], &["start", "--name", "ci"], 0);
}

#[test]
fn the_first_line_of_recover_says_what_a_dead_holder_still_held_and_since_when() {
    first_line_of(&[Kind::Run, Kind::Start], &["recover"], 0);
}

#[test]
fn the_first_line_of_stop_says_what_a_dead_holder_still_held_and_since_when() {
    for words in [&["stop"][..], &["stop", "ci"], &["stop", "--all"]] {
        // A run's lease is none that `stop` ends.
        first_line_of(&[Kind::Start], words, 0);
    }
}
