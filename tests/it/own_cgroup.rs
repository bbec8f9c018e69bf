//! Where the keeper lives. What it is like with systemd and on cgroup v2 is tested in the VM
//! (`tests/vm/own_cgroup.rs`).

use std::{fs, path::PathBuf};

use crate::support::{
    makeroom::Done,
    process,
    services::Recipe,
    site::{Site, UNTIL_GO},
};

const MOVED: &str = "the keeper is in a cgroup of its own: ";
const STAYS: &str = "the keeper stays in the build's cgroup: ";

fn cgroups(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups")
}

/// The cgroups of this keeper's own on this machine.
fn of_keeper(pid: i32) -> Vec<PathBuf> {
    let is_its = |name: &str| {
        name.starts_with("makeroom-keeper-")
            && name.trim_end_matches(".scope").ends_with(&format!("-{pid}"))
    };
    let (mut waiting, mut found) = (vec![PathBuf::from("/sys/fs/cgroup")], Vec::new());
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(is_its(&entry.file_name().to_string_lossy()).then(|| entry.path()));
                waiting.push(entry.path());
            }
        }
    }
    found
}

fn lines(done: &Done) -> Vec<&str> {
    done.err.lines().filter(|line| line.contains(MOVED) || line.contains(STAYS)).collect()
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "there are no cgroups")]
fn the_keeper_is_where_it_says_and_under_cgroup_v1_that_is_where_it_was() {
    let site = Site::new();
    let services = site.start(&Recipe::default(), 1);
    let run = site.makeroom(["-v", "--pause", &services.all(), "--", "sh", "-c", UNTIL_GO]).spawn();
    let child = site.child();
    crate::support::wait_until("it says where the keeper is", || {
        [MOVED, STAYS].iter().any(|words| run.written("err").contains(words))
    });
    let pid = run.keeper();
    let (keeper, build) = (cgroups(pid), cgroups(child));
    assert_eq!(of_keeper(pid).is_empty(), keeper == build, "{keeper}{build}");
    site.go();
    let done = run.wait();
    done.expect_code(7).expect_said("running again");
    let is_version_1 = build.lines().any(|line| line.split(':').nth(1) == Some("memory"));
    let said = lines(&done);
    assert_eq!(said.len(), 1, "{}", done.err);
    assert_eq!(said[0].contains(STAYS), keeper == build, "{keeper}{build}{}", done.err);
    if is_version_1 {
        assert!(said[0].ends_with("memory is counted by cgroup v1 here"), "{}", done.err);
    }
    crate::support::wait_until("its cgroup is gone", || of_keeper(pid).is_empty());
    assert!(process::with_environment(&site.mark()).is_empty());
}

#[test]
fn without_anything_to_put_back_nobody_looks_for_a_cgroup() {
    let site = Site::new();
    let done = site.makeroom(["-v", "--", "true"]).run();
    done.expect_code(0);
    assert_eq!(lines(&done), [""; 0], "{}", done.err);
}
