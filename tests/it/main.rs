//! The tests that drive the real `makeroom` against a real, private dockerd. One binary, so that
//! one engine serves all of them; one module a topic. What they need on the machine is checked,
//! and named where it is missing: nothing here is skipped in silence.
//! Run as root: `cargo test --test it`.

#![expect(
    unreachable_pub,
    reason = "a test binary has no outside; the modules of `support` have one"
)]

#[allow(dead_code, reason = "shared with the tests in which the engine dies, which use the rest")]
mod support;

mod after;
mod answers;
mod bad_input;
mod busy_lock;
mod ci_container;
mod command_use;
mod config;
mod dead_engine;
mod dead_holder;
mod descent;
mod doctor;
mod doctor_and_run;
mod enforcers;
mod engine_hangs;
mod engine_word;
mod exits;
mod foreign_changes;
mod found_files;
mod full_disk;
mod full_stderr;
mod gain;
mod guard;
mod help;
mod hooks;
mod inherit;
mod journal;
mod kills;
mod late_calls;
mod leases;
mod leases_across_steps;
mod lies;
mod limits;
mod linger;
mod no_keeper;
mod one_story;
mod own_cgroup;
mod plan;
mod podman;
mod portable;
mod privilege;
mod program;
mod race;
mod reclaim;
mod report;
mod restore;
mod rootless;
mod route;
mod runners;
mod script_shells;
mod selectors;
mod shared;
mod signals;
mod strangers;
mod swap;
mod swap_faults;
mod swap_place;
mod swapoff;
mod swarm;
mod terminal;
mod unseen;
mod vanished;
mod variables;
mod verdict;
mod wait;
mod zram;
