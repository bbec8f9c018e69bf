//! Owns how long a call that pauses or stops a target may still take effect, though nobody waits
//! for its answer any more: the engine goes on with a stop whose client is gone (moby,
//! `daemon/stop.go`), and what lies between us and the engine can hold a call back. What is not
//! known is not done: until then the target stays the lease's. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::core::{target::method::Method, text};

/// How late a call may come, beyond what the engine may take for it.
pub const MARGIN: Duration = Duration::from_secs(30);
/// The same for one that the engine has answered with an error of its own, and for a pause whose
/// connection broke: an engine that died over it leaves it to a runtime that goes on alone.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A moment by both clocks: the one on the wall is for people, and can be moved; the one since boot
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time of day.
    pub at: Timestamp,
    /// Since the machine was booted, sleep included.
    pub since_boot: Duration,
}

/// A call that may still take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When it was announced, by the clock on the wall.
    pub at: Timestamp,
    /// The same by the clock since boot.
    pub since_boot: Duration,
    /// How long the engine may take for it from then on; `None`: for ever (a stop timeout of -1).
    pub limit: Option<Duration>,
}

impl Call {
    /// A pause that is announced now, and sent once others have been waited for so long at most:
    /// freezing itself waits for nothing but the kernel.
    #[must_use]
    pub fn pause(now: Moment, behind: Duration) -> Self {
        Self::new(now, Some(behind.saturating_add(MARGIN)))
    }

    /// The same of a stop. `patience` is the time that the container is given; `None`: for ever.
    #[must_use]
    pub fn stop(now: Moment, patience: Option<Duration>, behind: Duration) -> Self {
        Self::new(
            now,
            patience.map(|patience| patience.saturating_add(behind).saturating_add(MARGIN)),
        )
    }

    /// What is left of a call that the engine has answered now, with an error of its own; and of a
    /// pause whose connection broke. A stop's goes on: the engine gives the container its time all
    /// the same.
    #[must_use]
    pub fn broken(now: Moment) -> Self {
        Self::new(now, Some(AFTERMATH))
    }

    /// One that did nothing, and comes no more.
    #[must_use]
    pub fn over(now: Moment) -> Self {
        Self::new(now, Some(Duration::ZERO))
    }

    fn new(now: Moment, limit: Option<Duration>) -> Self {
        Self { at: now.at, since_boot: now.since_boot, limit }
    }

    /// Until when it may come, for people; `None`: for ever.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        let limit = SignedDuration::try_from(self.limit?).unwrap_or(SignedDuration::MAX);
        Some(self.at.checked_add(limit).unwrap_or(Timestamp::MAX))
    }

    /// How long it may still come from now on; zero where that is over.
    #[must_use]
    pub fn left(&self, now: Moment) -> Duration {
        let Some(limit) = self.limit else { return Duration::MAX };
        // Where the machine was booted since, the clock on the wall is all that is left, and may
        // have been set back.
        let by_wall =
            || Duration::try_from(now.at.duration_since(self.at)).unwrap_or(Duration::ZERO);
        limit.saturating_sub(now.since_boot.checked_sub(self.since_boot).unwrap_or_else(by_wall))
    }

    /// The one of these two that may come later.
    #[must_use]
    pub fn later(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        match (self.limit, other.limit) {
            (None, _) => self,
            (_, None) => other,
            (Some(own), Some(others)) => {
                if self.since_boot.saturating_add(own) >= other.since_boot.saturating_add(others) {
                    self
                } else {
                    other
                }
            }
        }
    }
}

/// A target that is as it was before, and may still be paused or stopped by a call that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateCall {
    /// The target's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the call does.
    pub method: Method,
    /// Until when it may come; `None`: nobody knows.
    pub until: Option<Timestamp>,
}

/// What may still happen to these, as a sentence without its end; `None` where there are none.
#[must_use]
pub fn awaited(late: &[LateCall]) -> Option<String> {
    let (run, them) = if late.len() == 1 { ("runs", "it") } else { ("run", "them") };
    let is_any = |method| late.iter().any(|call| call.method == method);
    let does = match (is_any(Method::Pause), is_any(Method::Stop)) {
        (true, true) => "pause or stop",
        (true, false) => "pause",
        (false, true) => "stop",
        (false, false) => return None,
    };
    let last = late
        .iter()
        .map(|call| call.until)
        .collect::<Option<Vec<_>>>()
        .and_then(|all| all.into_iter().max());
    let until = last.map_or_else(
        || "at any time".to_owned(),
        |last| format!("until {}", last.strftime("%T UTC")),
    );
    let names = text::names(late.iter().map(|call| call.name.as_str()), 8);
    Some(format!("{names} {run}, and the engine may still {does} {them} {until}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// The machine was booted a thousand seconds before 1970.
    fn moment(second: i64) -> Moment {
        Moment {
            at: at(second),
            since_boot: Duration::from_secs(u64::try_from(second + 1000).expect("since boot")),
        }
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pause(second: i64) -> Call {
        Call::pause(moment(second), Duration::ZERO)
    }

    fn stop(second: i64, patience: Option<Duration>) -> Call {
        Call::stop(moment(second), patience, Duration::ZERO)
    }

    #[test]
    fn a_call_may_come_until_its_own_time_and_the_margin_are_over() {
        for (call, now, left) in [
            (pause(100), 100, seconds(30)),
            (pause(100), 129, seconds(1)),
            (pause(100), 130, Duration::ZERO),
            (pause(100), 9_999_999, Duration::ZERO),
            (stop(100, Some(seconds(60))), 100, seconds(90)),
            (Call::stop(moment(100), Some(seconds(60)), seconds(120)), 100, seconds(210)),
            (stop(100, Some(Duration::MAX)), 100, Duration::MAX),
            (stop(100, None), 9_999_999, Duration::MAX),
        ] {
            let seen = call.left(moment(now));
            assert!(
                seen == left || left == Duration::MAX && seen > seconds(1 << 32),
                "{call:?} at {now}: {seen:?}"
            );
        }
    }

    #[test]
    fn a_call_that_was_answered_with_an_error_comes_soon_or_never() {
        assert_eq!(Call::broken(moment(110)).left(moment(110)), seconds(5));
        assert_eq!(Call::broken(moment(110)).left(moment(115)), Duration::ZERO);
        assert_eq!(Call::over(moment(110)).left(moment(110)), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_is_moved_changes_nothing_and_after_a_boot_it_is_all_there_is() {
        let moved = |wall, boot| Moment { at: at(wall), since_boot: seconds(boot) };
        let call = Call::pause(moved(5000, 900), Duration::ZERO);
        for (wall, boot, left) in [
            (5010, 910, 20),
            (12_210, 910, 20),
            (0, 910, 20),
            (5010, 7, 20),
            (0, 7, 30),
            (99_999, 7, 0),
        ] {
            assert_eq!(call.left(moved(wall, boot)), seconds(left), "{wall} {boot}");
        }
    }

    #[test]
    fn of_two_calls_the_later_one_counts() {
        let (short, long, endless) = (pause(100), stop(90, Some(seconds(60))), stop(0, None));
        for (one, other, later) in [
            (short, None, short),
            (short, Some(long), long),
            (long, Some(short), long),
            (long, Some(endless), endless),
            (endless, Some(long), endless),
        ] {
            assert_eq!(one.later(other), later);
        }
    }

    #[test]
    fn what_may_still_come_is_said_with_names_and_the_last_moment() {
        use Method::{Pause, Stop};
        let call = |name: &str, method, until: Option<i64>| LateCall {
            id: name.to_owned(),
            name: name.to_owned(),
            method,
            until: until.map(at),
        };
        for (late, said) in [
            (vec![], None),
            (
                vec![call("v", Stop, Some(3661))],
                Some("`v` runs, and the engine may still stop it until 01:01:01 UTC"),
            ),
            (
                vec![call("v", Stop, None)],
                Some("`v` runs, and the engine may still stop it at any time"),
            ),
            (
                vec![call("a", Pause, Some(5)), call("b", Pause, Some(4))],
                Some("`a`, `b` run, and the engine may still pause them until 00:00:05 UTC"),
            ),
            (
                vec![call("a", Pause, Some(5)), call("b", Stop, None)],
                Some("`a`, `b` run, and the engine may still pause or stop them at any time"),
            ),
        ] {
            assert_eq!(awaited(&late).as_deref(), said);
        }
    }
}
