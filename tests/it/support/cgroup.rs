//! Owns the tests' own look at a service's cgroup, of v1 or v2.

use std::{fs, path::PathBuf};

use super::services::State;

/// The service's memory as its own cgroup has it: `memory.usage_in_bytes` of v1, `memory.current`
/// of v2.
#[must_use]
#[track_caller]
pub fn held_bytes(state: &State) -> u64 {
    let pid = state.pid;
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("a process");
    let path_of =
        |line: &str| line.splitn(3, ':').nth(2).expect("a path").trim_start_matches('/').to_owned();
    let one = text.lines().find(|line| {
        line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == "memory"))
    });
    let file = match one {
        Some(line) => mounted("memory").join(path_of(line)).join("memory.usage_in_bytes"),
        None => mounted("cgroup2")
            .join(path_of(text.lines().find(|line| line.starts_with("0::")).expect("v2")))
            .join("memory.current"),
    };
    assert!(
        file.display().to_string().contains(&state.id),
        "{} is not the service's",
        file.display()
    );
    fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        .trim()
        .parse()
        .expect("a number")
}

/// Where cgroup v1's memory controller, or v2, is mounted.
#[must_use]
#[track_caller]
pub fn mounted(which: &str) -> PathBuf {
    let text = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let is_it = |line: &&str| {
        let fields: Vec<_> = line.split(' ').collect();
        if which == "cgroup2" {
            fields[2] == "cgroup2"
        } else {
            fields[2] == "cgroup" && fields[3].split(',').any(|option| option == which)
        }
    };
    text.lines()
        .find(is_it)
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_else(|| panic!("no {which} is mounted"))
        .into()
}

/// Whether the memory controller is cgroup v1's.
#[must_use]
pub fn is_v1() -> bool {
    fs::read_to_string("/proc/self/mounts")
        .expect("mounts")
        .lines()
        .any(|line| line.contains(" cgroup ") && line.contains("memory"))
}
