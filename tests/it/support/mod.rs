//! What the integration tests share: waiting on conditions, unique names, and the modules that
//! own the engine, its containers, the command under test, the proxy and the machine's swap.

pub mod api;
pub mod cgroup;
pub mod compose;
pub mod crowd;
pub mod disk;
pub mod dockerd;
pub mod figures;
pub mod holder;
pub mod journal;
pub mod kernel;
pub mod makeroom;
pub mod podman;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod schema;
pub mod services;
pub mod site;
pub mod stalled;
pub mod stranger;
pub mod swap;
pub mod swarm;
pub mod turn;
pub mod zram;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// After this a condition is not going to come true on its own.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The shortest and the longest time between two looks.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Waits until the condition holds; panics, naming it, when it does not within [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) -> Duration {
    wait_within(PATIENCE, what, condition)
}

/// The same with a limit of its own, that of a machine which is not crowded; tells how long it took.
/// The longer it lasts, the less often it
/// is looked: a look costs the processor that what is waited for needs.
#[track_caller]
pub fn wait_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    assert!(comes_true_within(limit, &mut condition), "not within {limit:?}: {what}");
    begun.elapsed()
}

/// Whether the condition holds at some time within the limit.
pub fn comes_true_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if crowd::is_over(limit, begun) {
            return false;
        }
        thread::sleep((begun.elapsed() / 8).clamp(POLL.0, POLL.1));
    }
    true
}

/// The same for a value that is there at some time.
#[track_caller]
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until(what, || {
        found = find();
        found.is_some()
    });
    found.expect("waited for")
}

/// A name that no other test of this machine uses.
#[must_use]
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A program that the tests cannot do without.
///
/// # Panics
/// With what to install.
#[must_use]
pub fn needed(program: &str, package: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&paths).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("these tests need `{program}`: apt-get install {package}"))
}

/// Runs a command that has to succeed.
#[track_caller]
pub fn must_run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A file's text once it is there and ends with a line's end.
#[track_caller]
pub fn wait_for_line(path: &Path) -> String {
    let read = || std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    wait_for(&format!("a line in {}", path.display()), read).trim_end().to_owned()
}
