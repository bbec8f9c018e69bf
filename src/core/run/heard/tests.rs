//! Every message folded into the record, whatever came before it; keepers that die and take over.

use super::*;
use crate::core::{
    lease::foreign_change::Reply,
    machine::{
        pressure::{Cause, Figures},
        sample::HostSample,
    },
    run::{
        note::{Note, Phase},
        results::Step,
    },
    target::{kind::Kind, method::Method},
};

const AT: Duration = Duration::from_secs(3);

pub(in crate::core::run) fn about(site: BuildSite) -> About {
    About {
        lease: Some("l".to_owned()),
        command: vec!["pnpm".into(), "secret".into()],
        command_shown: "pnpm".to_owned(),
        site,
        is_strict: false,
        heap_limit_bytes: None,
        sees_all_processes: true,
    }
}

fn waiting() -> Heard {
    Heard::new(about(BuildSite::Child))
}

fn running() -> Heard {
    let start = ChildStart { at: Timestamp::UNIX_EPOCH, memory: None };
    Heard { child_start: Some(start), ..waiting() }
}

fn strict(heard: Heard) -> Heard {
    Heard { about: About { is_strict: true, ..heard.about.clone() }, ..heard }
}

fn ended(heard: Heard) -> Heard {
    let mut heard = heard;
    heard.child_ended(Exit::Code(1), AT);
    heard
}

fn target(id: &str) -> RoomTarget {
    RoomTarget {
        name: format!("name-{id}"),
        id: id.to_owned(),
        kind: Kind::Container,
        method: Method::Pause,
        memory_bytes: None,
        given_back_bytes: None,
    }
}

fn room(ids: &[&str], host: Option<&str>) -> Room {
    let targets = ids.iter().map(|id| target(id)).collect();
    Room { targets, host: host.map(str::to_owned), ..Room::default() }
}

fn step(id: &str) -> FromKeeper {
    FromKeeper::StepTaken(Step {
        selector: id.to_owned(),
        cause: Cause::Floor,
        figures: Figures::default(),
        targets: vec![target(id)],
        given_back_bytes: None,
        took: Duration::ZERO,
    })
}

fn touched(id: &str, change: ForeignChange) -> FromKeeper {
    FromKeeper::Touched { id: id.to_owned(), name: String::new(), change, reply: Reply::LeftAlone }
}

fn shortfall() -> FromKeeper {
    FromKeeper::Note(Note::new(Level::Shortfall, "no swap"))
}

fn thrashing() -> FromKeeper {
    FromKeeper::Thrashing { time: AT, figures: Figures::default() }
}

fn back(running: &[&str]) -> Back {
    let running: Vec<String> = running.iter().map(ToString::to_string).collect();
    Back { restored: running.len(), running, ..Back::default() }
}

fn after(mut heard: Heard, messages: impl IntoIterator<Item = FromKeeper>) -> Heard {
    for message in messages {
        heard.take_in(message, AT);
    }
    heard
}

/// Fails to compile where a message is added, until the table below has it.
fn number(message: &FromKeeper) -> usize {
    match message {
        FromKeeper::Note(_) => 0,
        FromKeeper::Progress { .. } => 1,
        FromKeeper::RoomMade(_) => 2,
        FromKeeper::Sample(_) => 3,
        FromKeeper::StepTaken(_) => 4,
        FromKeeper::StepUndone { .. } => 5,
        FromKeeper::Touched { .. } => 6,
        FromKeeper::TakenAgain(_) => 7,
        FromKeeper::Thrashing { .. } => 8,
        FromKeeper::Covered => 9,
        FromKeeper::HeldAlready { .. } => 10,
        FromKeeper::Suspended => 11,
        FromKeeper::Holding => 12,
        FromKeeper::Lingering(_) => 13,
        FromKeeper::TargetsBack(_) => 14,
        FromKeeper::Released(_) => 15,
    }
}

#[test]
fn each_message_changes_what_it_tells_of_and_nothing_else() {
    type Changes = fn(&mut Heard);
    let undone = FromKeeper::StepUndone {
        kinds: [Kind::Container].into(),
        running: vec!["s".to_owned()],
        restored: 1,
        took: Duration::ZERO,
    };
    let progress = FromKeeper::Progress { phase: Phase::Pausing, done: 1, total: 2 };
    let nothing: Changes = |_| {};
    let lingering = Lingering { paused: 2, ..Lingering::default() };
    let table: [(FromKeeper, Changes, &[Event]); 16] = [
        (shortfall(), |heard| heard.is_short = true, &[]),
        (progress, nothing, &[]),
        (
            FromKeeper::RoomMade(room(&["b"], Some("vm"))),
            |heard| heard.host = Some("vm".to_owned()),
            &[Event::RoomMade],
        ),
        (FromKeeper::Sample(HostSample::default()), nothing, &[]),
        (
            step("t"),
            |heard| {
                let FromKeeper::StepTaken(step) = step("t") else { return };
                heard.steps.taken(3.0, &step);
            },
            &[],
        ),
        (undone, |heard| heard.steps.undone(3.0, &["s".to_owned()]), &[]),
        (
            touched("a", ForeignChange::Removed),
            |heard| {
                heard.foreign_changes.insert("a".to_owned(), ForeignChange::Removed);
            },
            &[],
        ),
        (
            FromKeeper::TakenAgain(target("u")),
            |heard| {
                heard.foreign_changes.remove("u");
            },
            &[],
        ),
        (
            thrashing(),
            |heard| {
                heard.thrash = Some(Thrash { time: AT, figures: Figures::default(), steps: 1 });
            },
            &[Event::Thrashing],
        ),
        (FromKeeper::Covered, |heard| heard.is_covered = true, &[]),
        (FromKeeper::HeldAlready { lease: "l".to_owned() }, nothing, &[]),
        (FromKeeper::Suspended, |heard| heard.steps.suspended(3.0), &[Event::Suspended]),
        (FromKeeper::Holding, nothing, &[]),
        (
            FromKeeper::Lingering(lingering),
            |heard| heard.lingering = Some(Lingering { paused: 2, ..Lingering::default() }),
            &[Event::Lingering],
        ),
        (
            FromKeeper::TargetsBack(back(&["a"])),
            |heard| heard.back = Some(back(&["a"])),
            &[Event::TargetsBack],
        ),
        (
            FromKeeper::Released(back(&["a"])),
            |heard| (heard.back, heard.is_all_back) = (Some(back(&["a"])), true),
            &[Event::Released],
        ),
    ];
    let before = after(
        running(),
        [
            FromKeeper::RoomMade(room(&["a"], None)),
            step("s"),
            touched("u", ForeignChange::Unpaused),
        ],
    );
    for (at, (message, changes, events)) in table.into_iter().enumerate() {
        assert_eq!(number(&message), at);
        let (mut heard, mut expected) = (before.clone(), before.clone());
        assert_eq!(heard.take_in(message.clone(), AT), events, "{message:?}");
        changes(&mut expected);
        assert_eq!(heard, expected, "{message:?}");
    }
}

#[test]
fn a_note_is_a_shortfall_only_where_it_says_so() {
    for level in [Level::Detail, Level::Info, Level::Warning] {
        let note = FromKeeper::Note(Note::new(level, "x"));
        assert!(!after(waiting(), [note]).is_short, "{level:?}");
    }
}

#[test]
fn with_strict_a_command_is_refused_for_want_of_room_and_once_it_runs_no_more() {
    let made = || FromKeeper::RoomMade(Room::default());
    for (heard, is_short, expected) in [
        (strict(waiting()), true, Event::Refused),
        (strict(waiting()), false, Event::RoomMade),
        (strict(running()), true, Event::RoomMade),
        (waiting(), true, Event::RoomMade),
    ] {
        let mut heard = after(heard, is_short.then(shortfall));
        assert_eq!(heard.is_refused(), expected == Event::Refused);
        assert_eq!(heard.take_in(made(), AT), [expected], "{heard:?}");
    }
}

#[test]
fn a_keeper_that_is_done_before_it_made_room_refuses_a_strict_command() {
    let covered = || after(waiting(), [FromKeeper::Covered]);
    for (mut heard, expected) in [
        (strict(waiting()), vec![Event::Refused, Event::Released]),
        (strict(running()), vec![Event::Released]),
        (waiting(), vec![Event::Released]),
        (covered(), vec![]),
        (strict(covered()), vec![]),
    ] {
        assert_eq!(heard.take_in(FromKeeper::Released(Back::default()), AT), expected);
        assert!(heard.is_all_back);
    }
}

#[test]
fn what_ended_the_build_first_is_why_it_ended() {
    let mut timed_out = running();
    timed_out.timed_out();
    let mut cancelled = running();
    cancelled.cancelled();
    for (heard, ended_by) in [
        (running(), Some(EndedBy::Thrash)),
        (after(running(), [thrashing()]), Some(EndedBy::Thrash)),
        (timed_out, Some(EndedBy::Timeout)),
        (cancelled, Some(EndedBy::Interrupt)),
        (ended(running()), None),
        (waiting(), None),
    ] {
        let thrash_before = heard.thrash;
        let mut thrashed = heard.clone();
        let events = thrashed.take_in(thrashing(), AT);
        assert_eq!(thrashed.ended_by(), ended_by, "{heard:?}");
        assert_eq!(events.is_empty(), !heard.is_running(), "{heard:?}");
        assert_eq!(thrashed.thrash.is_some(), thrash_before.is_some() || heard.is_running());
        let mut late = heard.clone();
        late.timed_out();
        let expected = if heard.is_running() { Some(EndedBy::Timeout) } else { heard.ended_by() };
        assert_eq!(late.ended_by(), expected, "{heard:?}");
    }
}

#[test]
fn a_keeper_that_takes_over_finds_done_what_the_one_before_it_had_done() {
    let first = after(running(), [FromKeeper::TargetsBack(back(&["a", "b"]))]);
    assert!(!first.is_all_back, "it died before swap was off");
    let second = after(
        first.clone(),
        [FromKeeper::TargetsBack(back(&[])), FromKeeper::Released(back(&["c"]))],
    );
    let told = second.back.as_ref().expect("told");
    assert_eq!((told.restored, second.is_all_back), (2, true));
    assert_eq!(told.running, ["c", "a", "b"]);
}

#[test]
fn a_keeper_that_makes_room_anew_says_itself_what_it_is_short_of_and_one_that_adopts_does_not() {
    for adopts in [true, false] {
        let mut heard = after(waiting(), [shortfall()]);
        heard.keeper_started(adopts);
        assert_eq!(heard.is_short, adopts);
        let heard = after(heard, [shortfall()]);
        assert!(heard.is_short);
    }
}

#[test]
fn a_death_loses_nothing_of_what_was_heard_before() {
    let mut heard = after(
        running(),
        [
            FromKeeper::RoomMade(room(&["a"], Some("vm"))),
            step("s"),
            touched("a", ForeignChange::Unpaused),
        ],
    );
    let before = heard.clone();
    heard.keeper_started(true);
    assert_eq!(heard, before);
}

#[test]
fn after_ctrl_z_room_is_made_again_and_the_first_one_is_what_is_told() {
    let heard = after(
        running(),
        [
            FromKeeper::RoomMade(room(&["a"], None)),
            step("s"),
            shortfall(),
            FromKeeper::Suspended,
            FromKeeper::RoomMade(room(&["b"], Some("vm"))),
        ],
    );
    assert_eq!(heard.room, Some(room(&["a"], None)));
    assert_eq!(heard.host.as_deref(), Some("vm"));
    assert!(!heard.is_short, "the next attempt says what it is short of");
    assert_eq!((heard.steps.count(), heard.steps.all().len()), (0, 1));
}

#[test]
fn a_target_is_found_by_its_id_whether_it_was_there_before_or_came_with_a_step() {
    let heard = after(running(), [FromKeeper::RoomMade(room(&["a"], None)), step("s")]);
    let name = |id| heard.target(id).map(|target| target.name.as_str());
    assert_eq!(["a", "s", "x"].map(name), [Some("name-a"), Some("name-s"), None]);
}

#[test]
fn a_signal_interrupts_a_build_that_runs_and_says_nothing_of_one_that_has_ended() {
    let signalled = |mut heard: Heard| {
        heard.cancelled();
        heard
    };
    let mut timed_out = running();
    timed_out.timed_out();
    for (before, ended_by) in [
        (running(), Some(EndedBy::Interrupt)),
        (timed_out, Some(EndedBy::Timeout)),
        (ended(running()), None),
        (waiting(), None),
    ] {
        let heard = signalled(before);
        assert!(heard.is_cancelled, "nobody waits long");
        assert_eq!(heard.ended_by(), ended_by, "{heard:?}");
    }
}

#[test]
fn how_the_build_ended_is_decided_once_and_what_is_not_back_changes_it_with_strict() {
    let mut timed_out = running();
    timed_out.timed_out();
    assert_eq!(timed_out.child_ended(Exit::Code(0), AT).exit, Exit::Code(124));
    assert_eq!(timed_out.child_end.expect("ended").child, Exit::Code(0));
    for (is_strict, is_whole, code) in
        [(true, false, 125), (true, true, 0), (false, false, 0), (false, true, 0)]
    {
        let mut heard = if is_strict { strict(running()) } else { running() };
        heard.child_ended(Exit::Code(0), AT);
        assert_eq!(heard.all_is_back(is_whole), Some(Exit::Code(code)));
        assert_eq!(heard.child_end.expect("ended").ending.exit, Exit::Code(code));
    }
    assert_eq!(waiting().all_is_back(false), None);
}
