//! The tests that drive the real `makeroom` against an engine in a real VM, as it is on a Mac or on
//! a server behind ssh. The VM boots once for the whole binary and leaves nothing behind; its swap
//! and its memory are one test's at a time. `MAKEROOM_VM_DRIVER` picks the engine's cgroup driver,
//! `cgroupfs` (Colima's) or `systemd` (Debian's). Run as root: `cargo test --test vm`.

#![expect(
    unreachable_pub,
    reason = "a test binary has no outside; the modules of `support` have one"
)]

mod machine;
mod place;
#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests against an engine on this machine, which use the rest"
)]
mod support;

mod bad_ways;
mod builds;
mod crashes;
mod guard;
mod inside;
mod kept_swap;
mod logins;
mod own_cgroup;
mod room;
mod watching;
mod ways;
