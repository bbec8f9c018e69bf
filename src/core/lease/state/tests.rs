//! What may still come of the calls that a lease's records tell of.

use jiff::Timestamp;

use super::*;
use crate::core::{lease::late_call, target::samples};

fn moment(second: u64) -> Moment {
    let at = Timestamp::from_second(second.cast_signed()).expect("a time");
    Moment { at, since_boot: Duration::from_secs(second) }
}

fn target(id: &str) -> Target {
    Target { id: id.to_owned(), ..samples::target(id) }
}

fn taken(id: &str) -> Record {
    Record::Taken { id: id.to_owned(), unknown: None, call: None }
}

fn restored(id: &str) -> Record {
    Record::Restored { id: id.to_owned(), how: Restored::Done }
}

#[test]
fn a_call_that_was_announced_stays_open_until_its_outcome_is_known_whatever_is_sent_after_it() {
    let taking = |second| Record::Taking {
        target: target("a"),
        method: Method::Pause,
        call: Some(Call::pause(moment(second), Duration::ZERO)),
    };
    let not_taken = || Record::NotTaken { id: "a".to_owned(), reason: "cancelled".to_owned() };
    let unknown =
        |call| Record::Taken { id: "a".to_owned(), unknown: Some("lost".to_owned()), call };
    let short = Call::broken(moment(7));
    for (records, open) in [
        (vec![taking(1)], Some(Some(Call::pause(moment(1), Duration::ZERO)))),
        (vec![taking(1), taken("a")], Some(None)),
        (vec![taking(1), not_taken()], None),
        (vec![taking(1), unknown(None)], Some(Some(Call::pause(moment(1), Duration::ZERO)))),
        (vec![taking(1), unknown(Some(short))], Some(Some(short))),
        // Its keeper died, and the next one sent another.
        (vec![taking(1), taking(2)], Some(Some(Call::pause(moment(2), Duration::ZERO)))),
        (vec![taking(2), taking(1)], Some(Some(Call::pause(moment(2), Duration::ZERO)))),
        (
            vec![taking(1), taking(2), taken("a")],
            Some(Some(Call::pause(moment(1), Duration::ZERO))),
        ),
        (
            vec![taking(1), taking(2), taking(3), taken("a")],
            Some(Some(Call::pause(moment(2), Duration::ZERO))),
        ),
        (
            vec![taking(1), taking(2), not_taken()],
            Some(Some(Call::pause(moment(1), Duration::ZERO))),
        ),
        (vec![taking(1), taking(2), not_taken(), not_taken()], None),
        (vec![taking(1), taking(2), restored("a")], None),
        (vec![taking(1), restored("a"), taking(2), taken("a")], Some(None)),
    ] {
        let mut state = LeaseState::default();
        for record in &records {
            state.apply(record);
        }
        assert_eq!(
            state.targets.get("a").map(|held| held.open_call(moment(99), None)),
            open,
            "{records:?}"
        );
    }
}

#[test]
fn where_one_of_several_calls_was_done_the_others_may_still_come() {
    let pause = |second| Call::pause(moment(second), Duration::ZERO);
    let taking = |second| Record::Taking {
        target: target("a"),
        method: Method::Pause,
        call: Some(pause(second)),
    };
    let joined = |call| Record::Joined { target: target("a"), method: Method::Pause, call };
    for (records, others) in [
        (vec![taking(1)], None),
        (vec![taking(1), taken("a")], None),
        (vec![taking(1), taking(2), taken("a")], Some(pause(1))),
        // Which of them did it, nobody knows.
        (vec![taking(1), taking(2)], Some(pause(2))),
        (vec![taking(2), taking(1)], Some(pause(2))),
        (vec![joined(None)], None),
        (vec![joined(Some(pause(1)))], Some(pause(1))),
        (vec![joined(Some(pause(1))), taken("a")], Some(pause(1))),
    ] {
        let mut state = LeaseState::default();
        for record in &records {
            state.apply(record);
        }
        assert_eq!(state.targets.get("a").and_then(HeldTarget::other_calls), others, "{records:?}");
    }
}

#[test]
fn a_call_of_a_journal_that_does_not_tell_counts_from_when_it_was_seen() {
    let seen = moment(50);
    let open = |method| {
        let mut state = LeaseState::default();
        state.apply(&Record::Taking { target: target("a"), method, call: None });
        state.targets["a"].open_call(seen, Some(Duration::from_mins(1))).map(|call| call.left(seen))
    };
    assert_eq!(open(Method::Pause), Some(late_call::MARGIN));
    assert_eq!(open(Method::Stop), Some(late_call::MARGIN + Duration::from_mins(1)));
}
