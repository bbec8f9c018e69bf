//! Settings of the kernel that a lease changed, put back by `recover`: by one that no other test and no
//! run touches, because a setting is the whole machine's. That a run changes them is shown in the VM.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::support::{makeroom::Done, site::Site};

const PATH: &str = "/proc/sys/vm/stat_interval";

/// The setting is this test's until it is dropped; then it is as it was.
struct Interval {
    was: String,
    _turn: MutexGuard<'static, ()>,
}

impl Interval {
    fn turn() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self { was: now(), _turn: turn }
    }
}

impl Drop for Interval {
    fn drop(&mut self) {
        fs::write(PATH, &self.was).expect("root sets it");
    }
}

fn now() -> String {
    fs::read_to_string(PATH).expect("a setting").trim().to_owned()
}

/// A journal whose holder is dead and had changed this setting from `was` to `is`.
fn abandoned(site: &Site, name: &str, was: u64, is: u64) -> PathBuf {
    site.makeroom(["true"]).run().expect_code(0);
    let records = [
        r#"{"record":"opened","version":3,"lease":"abcdefabcdef","kind":"run","name":null,"program":"sh","engine":null,"at":"2026-01-01T00:00:00Z"}"#.to_owned(),
        format!(r#"{{"record":"setting_changing","setting":{{"name":"{name}","was":{was},"is":{is}}}}}"#),
    ];
    let line = |json: &String| format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    let path = site.state().join("leases/abcdefabcdef.journal");
    fs::write(&path, records.iter().map(line).collect::<String>()).expect("written");
    path
}

fn recover(site: &Site) -> Done {
    site.makeroom(["recover"]).run()
}

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

#[test]
fn what_a_dead_holder_had_changed_is_shown_and_put_back() {
    let (_interval, site) = (Interval::turn(), site());
    let journal = abandoned(&site, "stat_interval", 3, 7);
    fs::write(PATH, "7").expect("root sets it");
    let status = site.makeroom(["status"]).run();
    assert!(status.expect_code(0).out.contains("setting  vm.stat_interval is 7, was 3"), "{}", status.out);
    recover(&site).expect_code(0).expect_said("a lease of `sh` begun 2026-01-01 00:00:00 UTC had lost its holder");
    assert_eq!(now(), "3");
    assert!(!journal.exists());
}

#[test]
fn what_somebody_else_has_changed_since_is_theirs() {
    let (_interval, site) = (Interval::turn(), site());
    let journal = abandoned(&site, "stat_interval", 3, 7);
    fs::write(PATH, "5").expect("root sets it");
    recover(&site).expect_code(0);
    assert_eq!(now(), "5");
    assert!(!journal.exists());
}

#[test]
fn a_name_that_leads_out_of_the_directory_is_refused_and_stays_recorded() {
    let (_interval, site) = (Interval::turn(), site());
    let journal = abandoned(&site, "../vm/stat_interval", 3, 7);
    fs::write(PATH, "7").expect("root sets it");
    let done = recover(&site);
    done.expect_said("vm.../vm/stat_interval stays changed: ").expect_said("makeroom recover");
    assert_ne!(done.code(), Some(0));
    assert_eq!(now(), "7");
    assert!(journal.exists());
}

#[test]
fn the_step_of_a_dead_keeper_is_ended_also_where_other_processes_end_while_it_is_looked_for() {
    let (_interval, site) = (Interval::turn(), site());
    abandoned(&site, "stat_interval", 3, 7);
    fs::write(PATH, "7").expect("root sets it");
    let step = site.command("sh").args(["-c", "while :; do sleep 0.1; done", "out-abcdefabcdef"]).spawn();
    // As grep does where a file of its list is gone: with what it found in the others.
    let grep = site.program("grep", "#!/bin/sh\n/bin/grep \"$@\"\nexit 2\n");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", grep.parent().expect("a directory").display());
    site.makeroom(["recover"]).env("PATH", path).run().expect_code(0);
    assert_eq!(step.wait().signal(), Some(libc::SIGKILL));
    assert_eq!(now(), "3");
}
