//! Owns the pauses between attempts at what may pass by itself.

use std::time::{Duration, Instant};

use crate::host::swap::{Removal, SwapError};

/// Between two attempts at an engine; one that restarts takes seconds.
const ENGINE: &[Duration] = &[
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
];
/// Between two calls of swapoff, which reads all pages back: the one after a failure mostly does it.
const SWAPOFF: &[Duration] = &[
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// Between two questions to a target that does not answer yet: first as quickly as it might, then as
/// a person would.
const HEALTH: &[Duration] = &[
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

/// Pauses that grow, and stay at the longest.
#[derive(Debug)]
pub(crate) struct Backoff {
    pauses: &'static [Duration],
    attempts: usize,
}

impl Backoff {
    /// For an engine.
    #[must_use]
    pub(crate) fn for_engine() -> Self {
        Self { pauses: ENGINE, attempts: 0 }
    }

    /// For an area's removal.
    #[must_use]
    pub(crate) fn for_swapoff() -> Self {
        Self { pauses: SWAPOFF, attempts: 0 }
    }

    /// For a target's health check.
    #[must_use]
    pub(crate) fn for_health() -> Self {
        Self { pauses: HEALTH, attempts: 0 }
    }

    /// Whether no attempt has failed yet.
    #[must_use]
    pub(crate) fn is_first(&self) -> bool {
        self.attempts == 0
    }

    /// Waits for the next attempt; `false`, at once, where that would not begin before `deadline`.
    pub(crate) async fn wait(&mut self, deadline: Option<Instant>) -> bool {
        let pause = self.next_pause();
        if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }

    /// The pause before the next attempt.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let last = self.pauses.len() - 1;
        let pause = self.pauses[self.attempts.min(last)];
        self.attempts += 1;
        pause
    }
}

/// Tries to remove an area until the deadline, once at least; what will not pass is not tried again.
///
/// # Errors
/// What the last attempt said.
pub async fn removal<F>(deadline: Instant, attempt: impl Fn() -> F) -> Result<Removal, SwapError>
where
    F: Future<Output = Result<Removal, SwapError>>,
{
    let mut backoff = Backoff::for_swapoff();
    loop {
        match attempt().await {
            Err(error) if error.may_pass() && backoff.wait(Some(deadline)).await => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_the_longest_is_repeated() {
        let mut backoff = Backoff::for_engine();
        assert!(backoff.is_first());
        let pauses: Vec<u128> = (0..6).map(|_| backoff.next_pause().as_millis()).collect();
        assert_eq!(pauses, [20, 100, 400, 1000, 1000, 1000]);
        assert!(!backoff.is_first());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn no_attempt_is_waited_for_that_would_come_too_late() {
        let mut backoff = Backoff::for_engine();
        assert!(!backoff.wait(Some(Instant::now())).await);
        assert!(Backoff::for_engine().wait(None).await);
    }
}
