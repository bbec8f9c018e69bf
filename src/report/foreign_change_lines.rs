//! Owns the words for what somebody else did to the targets while they were held. Pure.

use crate::core::{
    lease::foreign_change::{ForeignChange, MOST_TIMES, Reply},
    run::{report::TargetReport, results::RoomTarget},
    target::method::Method,
    text::{printable, size},
};

/// The change as the end of a sentence.
#[must_use]
pub fn by_somebody(change: ForeignChange) -> &'static str {
    match change {
        ForeignChange::Unpaused => "unpaused by somebody else",
        ForeignChange::Started => "started by somebody else",
        ForeignChange::Stopped => "stopped by somebody else",
        ForeignChange::Removed => "removed by somebody else",
        ForeignChange::Recreated => "recreated by somebody else",
    }
}

/// Tells whether a target runs again, and if not, why.
#[must_use]
pub fn whether_it_runs(target: &TargetReport) -> &'static str {
    match target.theirs {
        Some(ForeignChange::Removed) => "no: removed by somebody else",
        Some(change) => by_somebody(change),
        None if target.handed_over => "left to another run",
        None if target.restored => "yes",
        None => "no",
    }
}

/// Says what somebody else did to a target. `target` is what was measured of it, where that is
/// known.
#[must_use]
pub fn touched(
    name: &str,
    change: ForeignChange,
    reply: Reply,
    target: Option<&RoomTarget>,
) -> String {
    let what = format!("`{}` was {}", printable(name), by_somebody(change));
    let held_bytes = target.and_then(|target| match target.method {
        Method::Pause => target.given_back_bytes,
        Method::Stop => target.memory_bytes,
    });
    // What is gone, or has ended, takes no room.
    let takes_room = !matches!(change, ForeignChange::Removed | ForeignChange::Stopped);
    let less = held_bytes.filter(|bytes| *bytes > 0 && takes_room);
    let less = less.map_or_else(String::new, |bytes| format!("; {} less room", size(bytes)));
    match (change, reply) {
        (_, Reply::TakenAgain) => format!("{what}: it is taken again (--insist)"),
        (_, Reply::GivenUp) => {
            format!("{what} and is theirs now, after it was taken again {MOST_TIMES} times{less}")
        }
        (ForeignChange::Removed, Reply::LeftAlone) => {
            format!("{what}: it will not be brought back")
        }
        (ForeignChange::Stopped, Reply::LeftAlone) => format!("{what} and stays stopped"),
        (_, Reply::LeftAlone) => format!("{what} and is theirs now{less}"),
    }
}

/// Says that a target was taken again.
#[must_use]
pub fn taken_again(target: &RoomTarget) -> String {
    let given_back = target
        .given_back_bytes
        .map_or_else(String::new, |bytes| format!(", {} given back", size(bytes)));
    format!("`{}` {} again{given_back}", printable(&target.name), target.method.participle())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::kind::Kind;

    #[test]
    fn what_somebody_did_is_said_with_what_it_costs_where_that_is_known() {
        let target = |method| RoomTarget {
            name: "web".to_owned(),
            id: "i".to_owned(),
            kind: Kind::Container,
            method,
            memory_bytes: Some(300 << 20),
            given_back_bytes: Some(212 << 20),
        };
        let (paused, stopped) = (target(Method::Pause), target(Method::Stop));
        for (change, reply, target, expected) in [
            (
                ForeignChange::Unpaused,
                Reply::LeftAlone,
                Some(&paused),
                "`web` was unpaused by somebody else and is theirs now; 212 MiB less room",
            ),
            (
                ForeignChange::Started,
                Reply::LeftAlone,
                Some(&stopped),
                "`web` was started by somebody else and is theirs now; 300 MiB less room",
            ),
            (
                ForeignChange::Unpaused,
                Reply::LeftAlone,
                None,
                "`web` was unpaused by somebody else and is theirs now",
            ),
            (
                ForeignChange::Removed,
                Reply::LeftAlone,
                Some(&paused),
                "`web` was removed by somebody else: it will not be brought back",
            ),
            (
                ForeignChange::Stopped,
                Reply::LeftAlone,
                Some(&paused),
                "`web` was stopped by somebody else and stays stopped",
            ),
            (
                ForeignChange::Recreated,
                Reply::LeftAlone,
                Some(&paused),
                "`web` was recreated by somebody else and is theirs now; 212 MiB less room",
            ),
            (
                ForeignChange::Started,
                Reply::TakenAgain,
                Some(&stopped),
                "`web` was started by somebody else: it is taken again (--insist)",
            ),
            (
                ForeignChange::Unpaused,
                Reply::GivenUp,
                Some(&paused),
                "`web` was unpaused by somebody else and is theirs now, after it was taken again 3 times; 212 MiB less room",
            ),
        ] {
            assert_eq!(touched("web", change, reply, target), expected);
        }
        assert_eq!(
            (
                taken_again(&paused).as_str(),
                taken_again(&RoomTarget { given_back_bytes: None, ..stopped }).as_str()
            ),
            ("`web` paused again, 212 MiB given back", "`web` stopped again")
        );
    }
}
