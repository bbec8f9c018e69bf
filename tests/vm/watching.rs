//! Looking at the VM: `status`, and the samples during a build, which must not load the VM.

use crate::{
    place::{PATIENCE, Place, mib_said},
    support::{site::UNTIL_GO, wait_within},
};

/// The seconds that processes are counted for.
const SECONDS: u64 = 20;

/// How many processes are started in the VM meanwhile; the same shell counts before and after.
fn started(place: &Place) -> u64 {
    let count = "count() { while read -r name value; do [ $name != processes ] || echo $value; done </proc/stat; }";
    let text = place.vm.sh(&format!("{count}; count; sleep {SECONDS}; count"));
    let counts: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    counts[1] - counts[0]
}

#[test]
fn sampling_starts_no_process_in_the_vm_and_sees_the_build_go_by() {
    let place = Place::colima();
    let _hogs = place.hogs(5, 5);
    let idle = started(&place);
    let run = place.makeroom(["--swap", "off", "--", "sh", "-c", UNTIL_GO]).spawn();
    let sampler = "grep -lsF makeroom-sample /proc/[0-9]*/cmdline || true";
    wait_within(PATIENCE, "samples are taken", || {
        place.site.work().join("child").exists() && !place.vm.word(sampler).is_empty()
    });
    let sampling = started(&place);
    let available_kib = place.vm.number("awk '/^MemAvailable:/ { print $2 }' /proc/meminfo");
    let available = f64::from(u32::try_from(available_kib).expect("a VM's memory")) / 1024.0;
    // Held for longer than from one sample to the next, and gone before the build ends.
    place.vm.sh("timeout 60 /opt/makeroom-test/image/bin/grower 400 3");
    place.site.go();
    let done = run.wait();
    let said = mib_said(done.expect_code(7), "lowest available in colima ");
    assert!(
        said < available - 200.0,
        "nobody looked: {said} MiB at the lowest, {available} MiB without the 400 MiB"
    );
    // One for each sample would be as many as there are seconds.
    assert!(sampling < idle + SECONDS, "{sampling} processes in {SECONDS} s, {idle} in an idle VM");
    place.expect_nothing_left();
}

#[test]
fn status_shows_the_vm_its_memory_and_its_swap() {
    let place = Place::colima();
    let hogs = place.hogs(1, 10);
    let total = place.vm.number("awk '/^MemTotal:/ { print $2 }' /proc/meminfo") << 10;
    let run = place
        .makeroom(["--swap", "128MiB", "--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO])
        .spawn();
    place.wait_for_build();
    let status = place.makeroom(["status", "--json"]).run();
    let told: serde_json::Value = serde_json::from_str(&status.expect_code(0).out).expect("JSON");
    assert_eq!(
        (told["host"].as_str(), told["memory"]["total_bytes"].as_u64()),
        (Some("colima"), Some(total)),
        "{}",
        status.out
    );
    assert_eq!(told["swap"][0]["path"].as_str(), Some(crate::place::AREA), "{}", status.out);
    assert_eq!(told["leases"][0]["targets"].as_array().map(Vec::len), Some(1), "{}", status.out);
    let shown = place.makeroom(["status"]).run().out;
    assert!(
        shown.contains("host        colima\n") && shown.contains(" available of 1.4 GiB"),
        "{shown}"
    );
    place.site.go();
    run.wait().expect_code(7);
    place.expect_nothing_left();
}
