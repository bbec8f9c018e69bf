//! The tests in which the engine itself dies, and rounds of chaos: random services, random
//! commands, random faults at random instants, and afterwards the invariants. One engine, which the
//! tests kill and start again, so they run one after the other: `cargo test --test chaos --
//! --test-threads 1`. `scripts/chaos` runs as many rounds as it is told to.

#![expect(
    unreachable_pub,
    reason = "a test binary has no outside; the modules of `support` have one"
)]

mod builds;
mod clock;
mod draw;
mod engine_dies;
mod events;
mod faults;
mod invariants;
mod plan;
mod random;
mod rounds;
mod schedule;
mod sitting;
mod stranger;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests in which the engine lives, which use the rest")]
mod support;
mod world;
