//! Owns the policy of starting another keeper: when the next one may be started, and when to stop
//! waiting for room. It never gives up; only the supervisor knows whether anything is held. Pure.

use std::time::{Duration, Instant};

/// How many keepers in a row are started without a pause, however they die, and how many attempts
/// are made to make room.
pub const MOST: u32 = 5;
/// A keeper that lived this long did not die of something that the next one meets as well.
const LONG: Duration = Duration::from_secs(10);
/// The pause after the first keeper that cannot be started; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The pause after the first one too many that died too soon; doubled likewise.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(15);

/// What became of the attempts so far.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    /// When the last one was started.
    started: Option<Instant>,
    /// How many in a row died too soon.
    deaths: u32,
    /// How many in a row could not be started.
    failures: u32,
    /// How many keepers died that should have made this room.
    rooms: u32,
}

impl Attempts {
    /// Notes that one was started.
    pub fn begin(&mut self, now: Instant) {
        (self.started, self.failures) = (Some(now), 0);
    }

    /// Notes that none could be started; gives the time to try again.
    #[must_use]
    pub fn fail(&mut self, now: Instant) -> Instant {
        self.failures = self.failures.saturating_add(1);
        now + doubled(FIRST_PAUSE, self.failures - 1)
    }

    /// Notes that the last one died; gives the time to start another.
    #[must_use]
    pub fn die(&mut self, now: Instant) -> Instant {
        let lived_long =
            self.started.is_some_and(|started| now.saturating_duration_since(started) >= LONG);
        self.deaths = if lived_long { 1 } else { self.deaths.saturating_add(1) };
        if self.deaths < MOST { now } else { now + doubled(FIRST_REST, self.deaths - MOST) }
    }

    /// Counts a keeper that died while making room; tells whether so many did that waiting for room
    /// is pointless.
    #[must_use]
    pub fn is_no_room_to_be_had(&mut self) -> bool {
        self.rooms = self.rooms.saturating_add(1);
        self.rooms >= MOST
    }

    /// Notes that room was made, or is no longer waited for.
    pub fn forget_room(&mut self) {
        self.rooms = 0;
    }

    /// How many in a row died too soon.
    #[must_use]
    pub fn deaths(&self) -> u32 {
        self.deaths
    }

    /// Tells whether no process can be started, and waiting did not help.
    #[must_use]
    pub fn is_out_of_processes(&self) -> bool {
        self.failures >= MOST
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses before each next start, for keepers that each live this long.
    fn rests(lives: Duration, count: usize) -> Vec<Duration> {
        let (mut attempts, mut now) = (Attempts::default(), Instant::now());
        let rest = |_| {
            attempts.begin(now);
            now += lives;
            let next = attempts.die(now);
            let rest = next - now;
            now = next;
            rest
        };
        (0..count).map(rest).collect()
    }

    #[test]
    fn a_few_that_die_in_a_row_are_followed_at_once_and_then_more_and_more_slowly_and_for_ever() {
        let seconds: Vec<u64> =
            rests(Duration::from_secs(2), 12).iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, [0, 0, 0, 0, 1, 2, 4, 8, 15, 15, 15, 15]);
    }

    #[test]
    fn keepers_that_die_now_and_then_are_followed_at_once_for_ever() {
        assert!(rests(LONG, 1000).iter().all(Duration::is_zero));
    }

    #[test]
    fn one_that_cannot_be_started_is_tried_again_soon_and_for_ever() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let mut millis = |_| (attempts.fail(now) - now).as_millis();
        assert_eq!((0..6).map(&mut millis).collect::<Vec<_>>(), [50, 100, 200, 400, 800, 1600]);
        assert_eq!((0..100).map(millis).last(), Some(LONGEST.as_millis()));
        assert!(attempts.is_out_of_processes());
        attempts.begin(now);
        assert!(!attempts.is_out_of_processes());
    }

    #[test]
    fn room_is_waited_for_in_as_many_attempts_as_there_are_and_then_no_more() {
        let mut attempts = Attempts::default();
        for _ in 0..2 {
            assert_eq!(
                (0..6).map(|_| attempts.is_no_room_to_be_had()).collect::<Vec<_>>(),
                [false, false, false, false, true, true]
            );
            attempts.forget_room();
        }
    }
}
