//! The keeper's own cgroup, on a machine with systemd and on one of cgroup v2 without it: whatever
//! kills all of the build's cgroup leaves the keeper, which puts everything back; and no limit and
//! no slice is left.

use std::time::{Duration, Instant};

use crate::{
    inside::{BUILD, Inside, LOOKING},
    support::crowd,
};

/// The longest that the services may be away after such a kill.
const SOON: Duration = Duration::from_secs(2);

/// Kills the cgroup that the script prints, as systemd-oomd does, once the keeper has said where it
/// is; requires that the services run soon after.
#[track_caller]
pub fn kill_all_of(inside: &Inside, cgroup: &str) {
    let begun = Instant::now();
    let times = inside.sh(&format!(
        "within has_said; is_paused
        begun=$(uptime); echo 1 >/sys/fs/cgroup$({cgroup})/cgroup.kill
        within runs; echo $begun $(uptime)"
    ));
    let times: Vec<f64> =
        times.split_whitespace().map(|time| time.parse().expect("seconds")).collect();
    let (took, allowed) = (times[1] - times[0], crowd::allowed(SOON, begun));
    eprintln!("the services ran {took:.2} s after the kill; allowed are {allowed:?} here and now");
    assert!(took <= allowed.as_secs_f64(), "{took} s");
    inside.expect_nothing_left();
}

#[test]
fn whatever_kills_all_of_a_scope_leaves_the_keeper_and_the_services_run_soon() {
    let inside = Inside::new();
    inside.sh(&format!(
        "fresh; systemd-run --quiet --scope --collect --unit=job -- $m {BUILD} &
        within test -e /run/test/ran"
    ));
    kill_all_of(&inside, "systemctl show --property ControlGroup --value job.scope");
}

#[test]
fn a_keeper_that_follows_a_killed_one_has_a_cgroup_of_its_own_as_well() {
    let inside = Inside::new();
    inside.sh(&format!(
        "fresh; systemd-run --quiet --scope --collect --unit=job -- $m {BUILD} &
        within test -e /run/test/ran
        within has_said; first=$(keeper); kill -9 $first
        another() {{ now=$(keeper) && [ $now != $first ]; }}
        within another
        is_there() {{ case $(where_keeper) in */makeroom-keeper-*-$now.scope) ;; *) false ;; esac; }}
        within is_there"
    ));
    kill_all_of(&inside, "systemctl show --property ControlGroup --value job.scope");
}

#[test]
fn a_unit_with_a_limit_keeps_its_keeper_and_a_slice_is_never_left() {
    let inside = Inside::new();
    for (options, limit) in [
        ("--scope -p MemoryMax=1G", Some("memory.max")),
        ("--scope -p MemoryHigh=1G", Some("memory.high")),
        ("--scope -p MemorySwapMax=1G", Some("memory.swap.max")),
        ("--scope -p TasksMax=200", Some("pids.max")),
        ("--scope -p CPUQuota=90%", Some("cpu.max")),
        ("--scope -p IPAddressDeny=10.9.8.7", Some("IPAddressDeny")),
        ("--wait --pipe -p TasksMax=200", Some("pids.max")),
        ("--scope", None),
        ("--wait --pipe", None),
        ("--scope --slice=ci-jobs.slice -p TasksMax=infinity", None),
    ] {
        inside.sh(&format!("fresh; systemd-run --quiet --collect {options} -- $m {LOOKING}"));
        let (said, found) = (inside.written("said"), inside.written("where"));
        let lines: Vec<&str> = found.lines().collect();
        let parent = |path: &str| path.rsplit_once('/').expect("a path").0.to_owned();
        if let Some(limit) = limit {
            assert!(said.contains(&format!("has a limit ({limit})")), "{options}: {said}");
            assert_eq!((lines.len(), lines[0]), (2, lines[1]), "{options}: {found}");
        } else {
            assert!(said.contains("the keeper is in a cgroup of its own"), "{options}: {said}");
            assert!(lines[0].contains("/makeroom-keeper-") && lines.len() == 3, "{found}");
            assert_eq!(parent(lines[0]), parent(lines[1]), "{options}: the same slice");
        }
        inside.expect_nothing_left();
    }
}

#[test]
fn without_anything_to_put_back_no_unit_appears() {
    let inside = Inside::new();
    let units = inside.sh(
        "fresh; ${m%% --swap*} --swap off -- sh -c \
            'systemctl list-units --all --no-legend \"makeroom*\"; echo over' 2>/run/test/said; units",
    );
    assert_eq!(units, "over\n");
    assert!(!inside.written("said").contains("the keeper"), "nobody looked");
    inside.expect_nothing_left();
}

/// A machine without systemd: root in a cgroup below others.
const WITHOUT_SYSTEMD: &str = r#"fresh; mkdir -p /sys/fs/cgroup/ci/job
    echo 'mount -t tmpfs none /run/systemd
        echo $$ >/sys/fs/cgroup/ci/job/cgroup.procs
        exec "$@"' >/run/test/without
    without="unshare -m sh /run/test/without""#;

#[test]
fn without_systemd_root_has_a_cgroup_beside_the_builds_and_it_is_gone_afterwards() {
    let inside = Inside::new();
    inside.sh(&format!(
        "{WITHOUT_SYSTEMD}
        $without $m {BUILD} & within test -e /run/test/ran; within has_said
        case $(where_keeper) in /ci/makeroom-keeper-*) ;; *) cat /run/test/said >&2; false ;; esac
        kill -9 $(keeper); again() {{ [ $(grep -c 'the keeper is in' /run/test/said) = 2 ]; }}
        within again
        [ $(find /sys/fs/cgroup/ci -name 'makeroom-keeper*' | wc -l) = 1 ]
        touch /run/test/go; within no_keeper"
    ));
    inside.expect_nothing_left();
    inside.sh(&format!("{WITHOUT_SYSTEMD}; $without $m {BUILD} & within test -e /run/test/ran"));
    kill_all_of(&inside, "echo /ci/job");
    // The one that is left is gone when the keeper ends.
    inside.sh(&format!(
        "{WITHOUT_SYSTEMD}; $without $m {BUILD} & within test -e /run/test/ran; within has_said
        echo 1 >/sys/fs/cgroup/ci/job/cgroup.kill
        within rmdir /sys/fs/cgroup/ci/job 2>/dev/null; within runs"
    ));
    inside.expect_nothing_left();
    inside.sh("echo +memory >/sys/fs/cgroup/ci/cgroup.subtree_control");
    inside.sh(&format!(
        "{WITHOUT_SYSTEMD}; echo 900M >/sys/fs/cgroup/ci/job/memory.max
        $without $m {LOOKING} || true; says 'job has a limit (memory.max)'"
    ));
    inside.expect_nothing_left();
    inside.sh("rmdir /sys/fs/cgroup/ci/job /sys/fs/cgroup/ci");
}
