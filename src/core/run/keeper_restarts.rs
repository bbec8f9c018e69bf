//! Owns the policy of starting another keeper: when the next one may be started, and when nobody
//! waits for room any more. It never gives up; whether anything is held, the supervisor knows.
//! Pure.

use std::time::{Duration, Instant};

/// So many are started at once, one for the other, however they die; so many attempts are made to
/// make room.
pub const MOST: u32 = 5;
/// A keeper that lived for so long did not die of what the next one meets as well.
const LONG: Duration = Duration::from_secs(10);
/// After the first that cannot be started, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// After the first that died too soon, the same.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest wait.
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
    /// How many keepers are gone that were to make this room.
    rooms: u32,
}

impl Attempts {
    /// One was started.
    pub fn begin(&mut self, now: Instant) {
        (self.started, self.failures) = (Some(now), 0);
    }

    /// None could be started: when to try again.
    #[must_use]
    pub fn fail(&mut self, now: Instant) -> Instant {
        self.failures = self.failures.saturating_add(1);
        now + doubled(FIRST_PAUSE, self.failures - 1)
    }

    /// The last one died: when to start another.
    #[must_use]
    pub fn die(&mut self, now: Instant) -> Instant {
        let lived_long =
            self.started.is_some_and(|started| now.saturating_duration_since(started) >= LONG);
        self.deaths = if lived_long { 1 } else { self.deaths.saturating_add(1) };
        if self.deaths < MOST { now } else { now + doubled(FIRST_REST, self.deaths - MOST) }
    }

    /// Whether the one that is gone was to make room, and so were all that are worth waiting for.
    #[must_use]
    pub fn is_no_room_to_be_had(&mut self) -> bool {
        self.rooms = self.rooms.saturating_add(1);
        self.rooms >= MOST
    }

    /// Room was made, or is no longer waited for.
    pub fn forget_room(&mut self) {
        self.rooms = 0;
    }

    /// How many in a row died too soon.
    #[must_use]
    pub fn deaths(&self) -> u32 {
        self.deaths
    }

    /// Whether there is no process to be had, and waiting for one has been tried.
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

    /// After how long the next may be started, with keepers that each live for so long.
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
