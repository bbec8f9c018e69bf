//! Owns how crowded the machine is: how many tasks want a processor for each one that there is. A
//! limit in a test is one of a machine that does nothing else; where others want its processors, all
//! takes longer by so much, and so may what has a limit.

use std::{
    collections::VecDeque,
    fs,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Between two looks.
const TICK: Duration = Duration::from_millis(20);
/// How long it was before now that counts as of late.
const LATELY: Duration = Duration::from_secs(5);
/// What is known of the past: more than any limit.
const MOST: usize = 15_000;

/// So many tasks at a time wanted to run, for each processor.
type Looks = Mutex<VecDeque<(Instant, f64)>>;

/// Looks from now on; the first one to ask begins.
fn looks() -> &'static Looks {
    static LOOKS: OnceLock<Looks> = OnceLock::new();
    static LOOKING: OnceLock<()> = OnceLock::new();
    let looks = LOOKS.get_or_init(Looks::default);
    LOOKING.get_or_init(|| {
        thread::spawn(|| {
            loop {
                let seen = (Instant::now(), now());
                let mut kept = looks.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(seen);
                if kept.len() > MOST {
                    kept.pop_front();
                }
                drop(kept);
                thread::sleep(TICK);
            }
        });
    });
    looks
}

/// The fourth field of `/proc/loadavg` begins with how many tasks run or wait for their turn
/// (proc_loadavg(5)). This one is among them.
fn now() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let wanting = text.split(' ').nth(3).and_then(|field| field.split('/').next()?.parse().ok());
    let wanting: u32 = wanting.unwrap_or(1);
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    f64::from(wanting.saturating_sub(1))
        / f64::from(u32::try_from(processors).expect("not so many"))
}

/// Begins to look, before there is something to ask about.
pub fn begin() {
    let _ = looks();
}

/// What a limit is here and now, for what began then.
#[must_use]
pub fn allowed(limit: Duration, since: Instant) -> Duration {
    let kept = looks().lock().unwrap_or_else(PoisonError::into_inner);
    let (mut sum, mut count) = (0.0, 0.0);
    for (_, seen) in kept.iter().rev().take_while(|(at, _)| *at >= since) {
        (sum, count) = (sum + seen, count + 1.0);
    }
    drop(kept);
    limit.mul_f64(f64::max(1.0, if count > 0.0 { sum / count } else { now() }))
}

/// What a limit is by what was seen of late: for a build that has to have begun within it.
#[must_use]
pub fn lately(limit: Duration) -> Duration {
    allowed(limit, Instant::now().checked_sub(LATELY).unwrap_or_else(Instant::now))
}

/// The same as makeroom's options take it.
#[must_use]
pub fn option(limit: Duration) -> String {
    format!("{}ms", limit.as_millis())
}

/// Whether its limit is over, for what began then.
#[must_use]
pub fn is_over(limit: Duration, since: Instant) -> bool {
    since.elapsed() >= limit && since.elapsed() >= allowed(limit, since)
}

/// Requires that what began then was over within the limit.
///
/// # Panics
/// Where it was not.
#[track_caller]
pub fn expect_within(limit: Duration, since: Instant) {
    let took = since.elapsed();
    let allowed = allowed(limit, since);
    assert!(took <= allowed, "it took {took:?}, allowed are {limit:?}, here and now {allowed:?}");
}
