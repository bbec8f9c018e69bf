//! The build's peak beside what others measure of it, and what the last runs took.

use std::fs;

use serde_json::Value;

use crate::support::{process, programs, site::UNTIL_GO};

use super::{MIB, reported, site};

#[test]
#[cfg_attr(makeroom_portable, ignore = "memory is sampled on Linux only")]
fn the_peak_of_eight_processes_at_once_is_what_they_hold_together() {
    let site = site();
    // Each holds 64 MiB of its own, and goes on doing so for some samples once all do.
    let fill = "a = bytearray(64 << 20); a[::4096] = b'x' * (len(a) // 4096); import glob, os, time; open(f'held-{os.getpid()}', 'w')";
    let all_hold = "[time.sleep(0.02) for _ in iter(lambda: len(glob.glob('held-*')) < 8, False)]; time.sleep(1.5)";
    let hold = format!("{fill}; {all_hold}");
    let script = format!("for i in 1 2 3 4 5 6 7 8; do python3 -c \"{hold}\" & done; wait");
    let (done, told) = reported(&site, &["sh", "-c", &script]);
    done.expect_code(0);
    let peak = told["memory"]["build_peak_bytes"].as_u64().expect("bytes");
    // An interpreter has some 9 MiB beside.
    let expected = 8 * 73 * MIB;
    assert!(peak.abs_diff(expected) * 10 <= expected, "{} MiB", peak / MIB);
    assert_eq!(told["memory"]["build_peak_source"], "process_tree");
}

#[test]
fn a_need_of_auto_is_what_the_last_runs_of_the_same_command_took() {
    let site = site();
    let words = [
        "python3",
        "-c",
        "a = bytearray(300 << 20); a[::4096] = b'x' * (len(a) // 4096); import time; time.sleep(0.6)",
    ];
    let unknown = site.makeroom(["--need", "auto"]).args(words).run();
    unknown.expect_code(0).expect_said("no earlier run of this command is known");
    let known = site.makeroom(["--need", "auto"]).args(words).run();
    known.expect_code(0).expect_said("nothing paused for a build of 3");
    let plan = site.makeroom(["plan", "--json", "--"]).args(words).run();
    let told: Value = serde_json::from_str(&plan.expect_code(0).out).expect("JSON");
    assert_eq!(told["need"]["source"], "history", "{told}");
    let bytes = told["need"]["bytes"].as_u64().expect("bytes");
    assert!((300 * MIB..340 * MIB).contains(&bytes), "{} MiB", bytes / MIB);
    let history = fs::read_to_string(site.state().join("history")).expect("a history");
    assert!(!history.contains("bytearray"), "no argument is kept: {history}");
    let other = site.makeroom(["plan", "--json", "--", "python3", "-c", "other"]).run();
    assert!(other.out.contains("\"need\": null"), "{}", other.out);
}

#[test]
fn a_history_that_is_garbage_costs_the_history_only() {
    let site = site();
    site.makeroom(["true"]).run().expect_code(0);
    fs::write(site.state().join("history"), b"\xff\xfe{{{\n\0\0\n{\"version\":7}\n")
        .expect("written");
    let run = site.makeroom(["--need", "auto", "sh", "-c", "exit 3"]).run();
    run.expect_code(3).expect_said("no earlier run of this command is known");
    fs::remove_file(site.state().join("history")).expect("there");
    fs::create_dir(site.state().join("history")).expect("a directory");
    let run = site.makeroom(["--need", "auto", "sh", "-c", "exit 3"]).run();
    run.expect_code(3).expect_said("the history cannot be read");
}

/// What the kernel says of this command's largest process, as `/usr/bin/time -v` prints it.
fn largest_process_bytes(words: &[&str]) -> u64 {
    let script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); \
                  print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let output = std::process::Command::new("python3")
        .args(["-c", script])
        .args(words)
        .output()
        .expect("python3");
    String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().expect("a number") * 1024
}

#[test]
fn the_peak_of_one_process_is_within_a_twentieth_of_what_time_says() {
    let (site, grower) = (site(), programs::grower().display().to_string());
    // One that is sampled, and one that is over before the first sample.
    for seconds in ["1", "0"] {
        let words = [grower.as_str(), "300", seconds];
        let expected = largest_process_bytes(&words);
        let (_, told) = reported(&site, &words);
        let peak = told["memory"]["build_peak_bytes"].as_u64().expect("bytes");
        assert!(
            peak.abs_diff(expected) * 20 <= expected,
            "{} MiB, and {} MiB by rusage",
            peak / MIB,
            expected / MIB
        );
    }
}

#[test]
fn a_keeper_that_died_is_no_part_of_the_builds_peak() {
    let site = site();
    let run = site.makeroom(["--report", "report.json", "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let keeper = run.keeper();
    let held = fs::read_to_string(format!("/proc/{keeper}/status")).expect("a process");
    let largest_kib = held.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    process::signal(keeper, libc::SIGKILL);
    run.keeper_other_than(keeper);
    site.go();
    run.wait().expect_code(7);
    let told: Value = serde_json::from_str(
        &fs::read_to_string(site.work().join("report.json")).expect("a report"),
    )
    .expect("JSON");
    let peak = told["memory"]["build_peak_bytes"].as_u64().expect("bytes");
    let largest = largest_kib.expect("a figure") << 10;
    // A shell has some 5 MiB.
    assert!(peak * 2 < largest, "{} KiB, and the keeper had {} KiB", peak >> 10, largest >> 10);
}

#[test]
fn a_child_that_lived_between_two_samples_counts() {
    let (site, grower) = (site(), programs::grower().display().to_string());
    let (_, told) = reported(&site, &["sh", "-c", &format!("'{grower}' 200 0; sleep 0.1")]);
    let peak = told["memory"]["build_peak_bytes"].as_u64().expect("bytes");
    assert!(peak >= 200 * MIB, "{} MiB", peak / MIB);
}
