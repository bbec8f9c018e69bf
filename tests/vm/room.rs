//! The whole job in a VM: services paused, their memory in the VM's swap, and everything as before.

use std::collections::BTreeMap;

use crate::{
    place::{AREA, Place, expect_no_swap_here},
    support::site::UNTIL_GO,
};

/// Three round trips at most make room; the last of them stays, for the samples.
const MOST_CALLS: usize = 3;

fn whole_job(place: &Place) {
    let hogs = place.hogs(3, 90);
    let (before, held, sums) = (hogs.states(), hogs.memory(), hogs.sums());
    assert!(held > 270 << 20, "the services hold {held} bytes");
    let disk = place.vm.disk_bytes();

    let run = place.makeroom(["--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO]).spawn();
    place.wait_for_build();
    let (made, running) = place.calls("colima");
    assert!(made.len() < MOST_CALLS && running.len() == 1, "{made:#?}\nrunning {running:#?}");
    assert!(hogs.are("paused"), "{:?}", hogs.states());
    let left = hogs.memory();
    assert!(left <= held / 20, "{left} of {held} bytes are left");
    assert_eq!(place.vm.areas(), [AREA]);
    assert_eq!(place.vm.word(&format!("stat -c '%a %u' {AREA}")), "600 0");
    expect_no_swap_here();
    let grown = place.vm.disk_bytes().saturating_sub(disk);

    place.site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("3 containers paused")
        .expect_said(" given back in ")
        .expect_said(" available in colima");
    done.expect_said("of swap made for this run")
        .expect_said("the room is in colima; `sh` runs on this machine and does not use it");
    done.expect_said("lowest available in colima")
        .expect_said("3 containers running again")
        .expect_said("swap removed");
    assert!(!done.err.contains("warning"), "{}", done.err);
    assert_eq!(hogs.states(), before);
    assert_eq!(hogs.sums_again(), sums);
    place.expect_nothing_left();
    // What was swapped out was on the disk, and `fstrim` has given it back to this machine.
    let kept = place.vm.disk_bytes().saturating_sub(disk);
    assert!(
        grown > 200 << 20 && kept < 32 << 20,
        "the disk grew by {grown} bytes and {kept} are kept"
    );
}

#[test]
fn through_colima_memory_of_services_makes_room_in_the_vm_and_everything_comes_back() {
    whole_job(&Place::colima());
}

/// The newest generation of pages in each cgroup and node; the kernel remembers some that are gone.
fn generations(place: &Place) -> BTreeMap<String, u64> {
    let read = r#"awk '$1 == "memcg" { path = $3 } $1 == "node" { node = $2 } $1 ~ /^[0-9]+$/ { newest[path " " node] = $1 }
        END { for (at in newest) print at, newest[at] }' /sys/kernel/debug/lru_gen |
        while read -r path rest; do [ ! -d "/sys/fs/cgroup$path" ] || echo "$path $rest"; done"#;
    let lines = place.vm.sh(read);
    lines
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(at, newest)| (at.to_owned(), newest.parse().expect("a generation is a number")))
        .collect()
}

#[test]
fn what_is_idle_in_the_vm_is_older_to_the_kernel_than_what_the_build_takes_once_room_is_made() {
    let place = Place::colima();
    let hogs = place.hogs(1, 90);
    let before = generations(&place);
    let run = place.makeroom(["--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO]).spawn();
    place.wait_for_build();
    let made = generations(&place);
    place.site.go();
    run.wait().expect_code(7);
    let stayed: Vec<_> = before
        .iter()
        .filter_map(|(at, newest)| made.get(at).map(|now| (at, *newest, *now)))
        .collect();
    assert!(
        stayed.iter().any(|(at, ..)| at.starts_with("/system.slice/ssh.service ")),
        "{before:#?}"
    );
    let young: Vec<_> = stayed.iter().filter(|(_, before, now)| now - before < 2).collect();
    assert!(young.is_empty(), "newest generations before and now: {young:#?}");
}

#[test]
fn the_whole_job_is_done_also_where_the_shell_and_every_tool_in_the_vm_are_busyboxs() {
    let place = Place::colima();
    // First in the steps' own PATH, and in sudo's.
    place.vm.sh("busybox --install -s /usr/local/sbin");
    assert_eq!(
        place.vm.word("readlink -f /usr/local/sbin/sh /usr/local/sbin/swapon | sort -u"),
        "/usr/bin/busybox"
    );
    whole_job(&place);
}

#[test]
fn dash_reads_the_steps_of_the_other_tests() {
    assert_eq!(Place::bare().vm.word("readlink -f /bin/sh"), "/usr/bin/dash");
}
