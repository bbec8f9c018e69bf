//! Every prefix of every sequence of records, by record and by byte.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::core::{
    lease::late_call::{Call, Moment},
    lease::{
        record::{Area, AreaGone, Kind, Opened, Restored},
        state::Stage,
    },
    machine::{pressure, way::Way},
    target::{method::Method, recorded::Target},
    target::{
        recorded::{Scaled, Undo},
        samples,
    },
};

fn moment(second: u64) -> Moment {
    let at = Timestamp::from_second(second.cast_signed()).expect("a time");
    Moment { at, since_boot: Duration::from_secs(second) }
}

fn target(id: &str) -> Target {
    Target { id: id.to_owned(), ..samples::target(id) }
}

fn opened() -> Record {
    opened_as(false)
}

fn opened_as(releasing: bool) -> Record {
    let opened = Opened {
        version: VERSION,
        lease: "l".to_owned(),
        kind: Kind::Run,
        name: None,
        program: None,
        engine: None,
        certificates: None,
        host: Some(Way::Own { words: vec!["colima".to_owned(), "ssh".to_owned()] }),
        lingers_until: None,
        releasing,
        need_bytes: None,
        available_bytes: None,
        timeout: None,
        guard: None,
        at: Timestamp::UNIX_EPOCH,
    };
    Record::Opened(opened)
}

fn taking(id: &str) -> Record {
    Record::Taking {
        target: target(id),
        method: Method::Pause,
        call: Some(Call::pause(moment(0), Duration::ZERO)),
    }
}

fn taken(id: &str) -> Record {
    Record::Taken { id: id.to_owned(), unknown: None, call: None }
}

fn restored(id: &str) -> Record {
    Record::Restored { id: id.to_owned(), how: Restored::Done }
}

fn area() -> Area {
    Area { path: "/s".to_owned(), size_bytes: 4096, label: "mr-l".to_owned() }
}

fn path() -> String {
    "/s".to_owned()
}

/// Sequences as runs write them, each record with what the lease has after it: targets that are
/// intended (`a?`), of unknown outcome (`a!`), held (`a`), areas (`/s`, `/s-` while being removed);
/// `<` where its release has begun.
fn sequences() -> Vec<Vec<(Record, &'static str)>> {
    vec![
        vec![
            (opened(), ""),
            (Record::AreaMaking { area: area() }, "/s"),
            (Record::AreaMade { path: path() }, "/s"),
            (taking("a"), "a? /s"),
            (taking("b"), "a? b? /s"),
            (taken("b"), "a? b /s"),
            (taken("a"), "a b /s"),
            (opened_as(true), "a b /s <"),
            (restored("a"), "b /s <"),
            (restored("b"), "/s <"),
            (Record::AreaRemoving { path: path() }, "/s- <"),
            (Record::AreaGone { path: path(), how: AreaGone::Removed }, "<"),
        ],
        vec![
            (opened(), ""),
            (taking("a"), "a?"),
            (Record::NotTaken { id: "a".to_owned(), reason: "409".to_owned() }, ""),
            (Record::Joined { target: target("b"), method: Method::Stop, call: None }, "b"),
            (Record::AreaJoined { area: area() }, "b /s"),
            (Record::Restored { id: "b".to_owned(), how: Restored::HandedOver }, "/s"),
            (Record::AreaGone { path: path(), how: AreaGone::HandedOver }, ""),
        ],
        vec![
            (opened(), ""),
            (taking("a"), "a?"),
            (
                Record::Taken {
                    id: "a".to_owned(),
                    unknown: Some("timed out".to_owned()),
                    call: None,
                },
                "a!",
            ),
            (Record::NotRestored { id: "a".to_owned(), reason: "500".to_owned() }, "a!"),
            (Record::Restored { id: "a".to_owned(), how: Restored::Stopped }, ""),
            // Stopped with Ctrl-Z and continued: the same target is taken again.
            (taking("a"), "a?"),
            (taken("a"), "a"),
            (restored("a"), ""),
            (Record::AreaMaking { area: area() }, "/s"),
            (Record::AreaRemoving { path: path() }, "/s-"),
            (Record::AreaStays { path: path(), reason: "busy".to_owned() }, "/s-"),
            (restored("a"), "/s-"),
            (taken("a"), "/s-"),
            (Record::AreaRemoving { path: "/unknown".to_owned() }, "/s-"),
        ],
    ]
}

fn summary(state: &LeaseState) -> String {
    let targets = state.targets.iter().map(|(id, held)| match held.stage {
        Stage::Held => id.clone(),
        Stage::Intended => format!("{id}?"),
        Stage::Unknown => format!("{id}!"),
    });
    let areas = state
        .areas
        .iter()
        .map(|(path, held)| if held.removing { format!("{path}-") } else { path.clone() });
    let releasing = state.is_releasing().then(|| "<".to_owned());
    targets.chain(areas).chain(releasing).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_prefix_of_every_sequence_folds_to_what_is_still_held() {
    for sequence in sequences() {
        let mut journal = String::new();
        assert!(read(journal.as_bytes()).expect("empty").is_empty());
        for (record, expected) in sequence {
            journal += &line(&record);
            let state =
                read(journal.as_bytes()).unwrap_or_else(|error| panic!("{error}: {journal}"));
            assert_eq!(summary(&state), expected, "after {record:?}");
            assert_eq!(state.is_empty(), expected.trim_end_matches('<').is_empty());
        }
    }
}

#[test]
fn a_journal_cut_at_any_byte_is_read_up_to_its_last_whole_line() {
    for sequence in sequences() {
        let lines: Vec<_> = sequence.iter().map(|(record, _)| line(record)).collect();
        let journal = lines.concat();
        for cut in 0..=journal.len() {
            let whole = journal[..cut].matches('\n').count();
            let expected = if whole == 0 { "" } else { sequence[whole - 1].1 };
            let state = read(&journal.as_bytes()[..cut])
                .unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            assert_eq!(summary(&state), expected, "cut at {cut}");
        }
    }
}

#[test]
fn a_changed_byte_anywhere_in_a_finished_line_is_noticed() {
    let journal = [line(&opened()), line(&taking("a")), line(&taken("a"))].concat().into_bytes();
    for index in 0..journal.len() - 1 {
        let mut changed = journal.clone();
        changed[index] ^= 1;
        let state = read(&changed).expect("as far as it can be");
        assert!(
            state.damaged_line.is_some(),
            "byte {index} of {:?}: {state:?}",
            String::from_utf8_lossy(&changed)
        );
    }
}

#[test]
fn a_journal_of_a_newer_makeroom_is_refused_even_with_records_that_are_unknown() {
    for json in
        [r#"{"record":"opened","version":7,"lease":"l"}"#, r#"{"record":"blessed","version":8}"#]
    {
        let journal = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        assert!(
            matches!(read(journal.as_bytes()), Err(Unreadable::Newer { version: 7 | 8 })),
            "{json}"
        );
    }
    let unknown = r#"{"record":"blessed"}"#;
    let journal = format!("{:08x} {unknown}\n", crc32fast::hash(unknown.as_bytes()));
    assert_eq!(read(journal.as_bytes()).expect("as far as it can be").damaged_line, Some(1));
}

#[test]
fn of_a_journal_with_any_one_line_damaged_all_others_are_read() {
    for sequence in sequences() {
        let lines: Vec<_> = sequence.iter().map(|(record, _)| line(record)).collect();
        for damaged in 0..lines.len() {
            let mut expected =
                LeaseState { damaged_line: Some(damaged + 1), ..LeaseState::default() };
            sequence
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != damaged)
                .for_each(|(_, (record, _))| expected.apply(record));
            for damage in [
                |text: &str| "\0".repeat(text.len() - 1) + "\n",
                |text: &str| text.replacen('r', "R", 1),
            ] {
                let journal: String = lines
                    .iter()
                    .enumerate()
                    .map(|(index, text)| if index == damaged { damage(text) } else { text.clone() })
                    .collect();
                assert_eq!(
                    read(journal.as_bytes()).expect("as far as it can be"),
                    expected,
                    "line {damaged} of {journal}"
                );
            }
        }
    }
}

#[test]
fn nothing_that_a_record_holds_can_break_its_line() {
    let mut hostile = target("a");
    hostile.name = "web\n00000000 {}\u{1b}[31m\"".to_owned();
    let text = line(&Record::Taking { target: hostile.clone(), method: Method::Stop, call: None });
    assert_eq!(text.matches('\n').count(), 1);
    assert_eq!(read(text.as_bytes()).expect("readable").targets["a"].target, hostile);
}

#[test]
fn a_journal_of_the_version_before_hosts_were_recorded_is_one_of_this_machine() {
    let json = r#"{"record":"opened","version":1,"lease":"l","kind":"run","name":null,"program":null,"engine":"unix:///s","at":"1970-01-01T00:00:00Z"}"#;
    let journal = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    let state = read(journal.as_bytes()).expect("a journal");
    assert_eq!(state.host(), None);
    assert!(!state.is_releasing());
    assert_eq!(state.opened.and_then(|opened| opened.engine).as_deref(), Some("unix:///s"));
}

#[test]
fn a_target_of_the_version_before_services_were_scaled_is_a_container() {
    let json = r#"{"record":"taking","target":{"id":"c","name":"n","started_at":"t","project":null,"service":null,"depends_on":[]},"method":"stop"}"#;
    let journal = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    let state = read(journal.as_bytes()).expect("readable");
    assert_eq!(state.targets["c"].target.undo, Undo::Container);
}

#[test]
fn a_scaled_service_is_read_as_it_was_written() {
    let undo = Undo::SwarmService(Scaled { replicas: 2, tasks: vec!["web.1.t".to_owned()] });
    let service = Target { undo, incarnation: Scaled::incarnation(2), ..target("s") };
    let journal =
        line(&Record::Taking { target: service.clone(), method: Method::Stop, call: None });
    assert_eq!(read(journal.as_bytes()).expect("readable").targets["s"].target, service);
}

#[test]
fn a_run_inside_has_what_the_one_around_it_sees_to() {
    let Record::Opened(plain) = opened() else { unreachable!("the first record") };
    let minutes = |count| Some(Duration::from_mins(count));
    let wish = |abort| pressure::Wish {
        then: vec!["a".parse().expect("a selector")],
        pressure: pressure::PRESSURE,
        floor_bytes: None,
        abort_after: minutes(abort),
    };
    let around = Opened { timeout: minutes(30), guard: Some(wish(1)), ..plain.clone() };
    for (timeout, guard, without, with) in [
        (None, None, true, true),
        (minutes(30), None, false, true),
        (minutes(40), None, false, true),
        (minutes(29), None, false, false),
        (None, Some(wish(1)), false, true),
        (None, Some(wish(2)), false, false),
        (minutes(30), Some(wish(1)), false, true),
        (minutes(29), Some(wish(1)), false, false),
    ] {
        let has = (plain.sees_to(timeout, guard.as_ref()), around.sees_to(timeout, guard.as_ref()));
        assert_eq!(has, (without, with), "{timeout:?} {guard:?}");
    }
}

#[test]
fn an_engine_that_was_known_is_not_forgotten_by_a_keeper_that_could_not_reach_it() {
    let Record::Opened(plain) = opened() else { unreachable!("the first record") };
    let known = Opened {
        engine: Some("unix:///s".to_owned()),
        certificates: Some("/c".to_owned()),
        ..plain.clone()
    };
    let mut state = LeaseState::default();
    for opened in [known.clone(), Opened { releasing: true, host: None, ..plain }] {
        state.apply(&Record::Opened(opened));
    }
    assert_eq!(state.opened, Some(Opened { releasing: true, ..known }));
}
