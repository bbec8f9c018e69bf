//! What is on disk before each act, and what becomes of journals that are torn, damaged, newer, or
//! no files at all.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    must_run,
    proxy::{Moment, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

#[test]
fn the_intent_is_on_disk_before_the_engine_is_asked() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let held = [1, 2].map(|nth| proxy.hold("pause", nth, Moment::Before));
    let run = site.makeroom(["--pause", &services.all(), "true"]).spawn();
    for held in &held {
        held.wait();
    }
    let [journal] = &site.journals()[..] else { panic!("one journal: {:?}", site.journals()) };
    let text = fs::read_to_string(journal).expect("a journal");
    for state in services.states().into_iter().flatten() {
        let has = |line: &str| line.contains("\"taking\"") && line.contains(&state.id) && line.contains(&state.started_at);
        assert!(text.lines().any(has), "{}: {text}", state.id);
    }
    for held in &held {
        held.release();
    }
    run.wait().expect_code(0);
}

#[test]
fn the_journal_names_the_program_and_none_of_its_arguments() {
    let site = Site::new();
    let services = site.services(1);
    let script = format!("{UNTIL_GO} # hunter2");
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", &script]).env("TOKEN", "hunter2").spawn();
    site.child();
    let text = fs::read_to_string(&site.journals()[0]).expect("a journal");
    assert!(text.contains("\"program\":\"sh\"") && !text.contains("hunter2") && !text.contains("while"), "{text}");
    site.go();
    run.wait().expect_code(7);
}

/// A lease that lost both its processes, and its journal.
fn abandoned(site: &Site, services: &Services) -> PathBuf {
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.kill_with_keeper();
    site.again();
    assert!(services.are("paused"));
    let journals = site.journals();
    let [journal] = &journals[..] else { panic!("one journal: {journals:?}") };
    journal.clone()
}

#[test]
fn a_journal_that_is_torn_at_its_end_is_read_up_to_there() {
    let site = Site::new();
    let services = site.services(2);
    let torn: [fn(&str) -> String; 4] = [
        |text| text.to_owned() + "1234",
        |text| text.to_owned() + "89abcdef {\"record\":\"restored\",\"id\":",
        // A whole line, but for its end.
        |text| text[..text.len() - 1].to_owned(),
        |text| text[..text.len() - 20].to_owned(),
    ];
    for tear in torn {
        let journal = abandoned(&site, &services);
        let text = fs::read_to_string(&journal).expect("a journal");
        fs::write(&journal, tear(&text)).expect("written");
        site.makeroom(["recover"]).run().expect_code(0).expect_said("2 services running again");
        assert!(services.are("running") && site.journals().is_empty());
    }
}

#[test]
fn a_journal_without_a_whole_line_is_taken_away() {
    let site = Site::new();
    site.makeroom(["true"]).run().expect_code(0);
    for text in ["", "0123"] {
        fs::write(site.state().join("leases/0123456789ab.journal"), text).expect("written");
        site.makeroom(["recover"]).run().expect_code(0);
        assert!(site.journals().is_empty(), "{text}");
    }
}

/// What cannot be read is said, kept byte for byte, and what it may hold is not touched.
#[track_caller]
fn is_left_alone(site: &Site, services: &Services, journal: &Path, says: &str) {
    let bytes = fs::read(journal).expect("a journal");
    site.makeroom(["recover"]).run().expect_code(125).expect_said(says).expect_said(&journal.to_string_lossy());
    site.makeroom(["sh", "-c", "exit 3"]).run().expect_code(3).expect_said(says).expect_said("left alone");
    assert_eq!(fs::read(journal).expect("kept"), bytes);
    assert!(services.are("paused"));
    fs::remove_file(journal).expect("removed");
    (0..services.count()).for_each(|index| services.tell(index, "unpause"));
}

#[test]
fn a_journal_that_is_damaged_is_said_loudly_kept_and_left_alone() {
    let site = Site::new();
    let services = site.services(1);
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[12] ^= 1,
        |bytes| bytes[0] = b'x',
        |bytes| {
            // The first line is gone.
            let end = bytes.iter().position(|&byte| byte == b'\n').expect("a line");
            bytes[..=end].fill(0);
        },
    ];
    for damage in damages {
        let journal = abandoned(&site, &services);
        let mut bytes = fs::read(&journal).expect("a journal");
        damage(&mut bytes);
        fs::write(&journal, bytes).expect("written");
        is_left_alone(&site, &services, &journal, "damaged");
    }
}

#[test]
fn a_journal_of_a_newer_version_is_said_loudly_kept_and_left_alone() {
    let site = Site::new();
    let services = site.services(1);
    let journal = abandoned(&site, &services);
    let text = fs::read_to_string(&journal).expect("a journal");
    let (first, rest) = text.split_once('\n').expect("lines");
    let json = first[9..].replace("\"version\":5", "\"version\":99");
    assert_ne!(json, first[9..]);
    fs::write(&journal, format!("{:08x} {json}\n{rest}", crc32fast::hash(json.as_bytes()))).expect("written");
    is_left_alone(&site, &services, &journal, "99");
}

#[test]
fn what_is_no_file_in_a_journals_place_holds_nobody_up() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["true"]).run().expect_code(0);
    let leases = site.state().join("leases");
    must_run(std::process::Command::new("mkfifo").arg(leases.join("a.journal")));
    fs::create_dir(leases.join("b.journal")).expect("a directory");
    std::os::unix::fs::symlink("/etc/passwd", leases.join("c.journal")).expect("a link");
    let done = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run();
    done.expect_code(3).expect_within(Duration::from_secs(5)).expect_said("1 service paused");
    assert!(services.are("running"));
    assert_eq!(site.journals().len(), 3);
}

#[test]
fn a_journal_larger_than_any_of_ours_is_not_read_and_kept() {
    let site = Site::new();
    let services = site.services(1);
    let journal = abandoned(&site, &services);
    fs::OpenOptions::new().append(true).open(&journal).and_then(|file| file.set_len(1 << 31)).expect("a size");
    for (words, code) in [(&["recover"][..], 125), (&["sh", "-c", "exit 3"], 3)] {
        let done = site.makeroom(words).run();
        done.expect_code(code).expect_said("it has 2147483648 bytes, and none of ours has more than 16777216").expect_said("left alone");
        assert!(done.took < Duration::from_secs(5), "{:?}", done.took);
    }
    assert_eq!(fs::metadata(&journal).expect("kept").len(), 1 << 31);
    assert!(services.are("paused"));
    services.tell(0, "unpause");
}

/// Makes a file one that even root cannot open for writing, until it is dropped.
struct Unopenable(PathBuf);

impl Unopenable {
    fn new(path: &Path) -> Self {
        must_run(std::process::Command::new("chattr").arg("+i").arg(path));
        Self(path.to_owned())
    }
}

impl Drop for Unopenable {
    fn drop(&mut self) {
        let _ = std::process::Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

#[test]
fn where_a_journal_cannot_be_opened_no_room_is_made_and_nothing_changed() {
    let site = Site::new();
    let services = site.services(1);
    let first = site.makeroom(["--pause", "none-*", "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let journal = site.journals()[0].clone();
    let unopenable = Unopenable::new(&journal);
    let options = ["--pause", &services.all()];
    let done = site.makeroom(options).args(["sh", "-c", "exit 3"]).run();
    done.expect_code(3).expect_said("cannot look at the journal").expect_said(&journal.to_string_lossy());
    done.expect_said("another lease may hold something: nothing is changed");
    assert!(!done.err.contains("service paused"), "{}", done.err);
    site.makeroom(options).args(["--strict", "true"]).run().expect_code(125);
    site.makeroom(["start"]).args(options).run().expect_code(125);
    site.makeroom(["recover"]).run().expect_code(125).expect_said("cannot look at the journal");
    site.makeroom(["stop", "nightly"]).run().expect_code(125).expect_said("whether it is to be stopped is not known");
    drop(unopenable);
    site.go();
    first.wait().expect_code(7);
    site.makeroom(options).args(["sh", "-c", "exit 3"]).run().expect_code(3).expect_said("1 service paused");
}

#[test]
fn swap_that_a_lease_may_need_that_cannot_be_seen_stays_and_is_recorded() {
    let (turn, site) = (swap::turn(), Site::at("/nonexistent/docker.sock".into()));
    let area = turn.dir().join("area");
    let build = |name: &str| {
        let script = format!("touch {name}; while ! [ -e {name}-go ]; do sleep 0.02; done");
        let mut run = site.makeroom(["--swap", &swap::more(64), "--swap-file"]);
        let run = run.args([area.as_os_str()]).args(["sh", "-c", &script]).spawn();
        wait_until("the build runs", || site.work().join(name).exists());
        run
    };
    let end = |name: &str| fs::write(site.work().join(format!("{name}-go")), "").expect("written");
    let one = build("one");
    let [first] = &site.journals()[..] else { panic!("one journal") };
    let two = build("two");
    let second = site.journals().into_iter().find(|journal| journal != first).expect("another journal");
    assert!(fs::read_to_string(&second).expect("a journal").contains("area_joined"));
    let unopenable = Unopenable::new(&second);
    end("one");
    let done = one.wait();
    done.expect_code(0).expect_said("cannot look at the journal").expect_said("swap that another lease may need stays");
    assert!(turn.new_areas().contains(&area), "the other build needs it");
    assert!(first.exists(), "it is still recorded");
    drop(unopenable);
    end("two");
    two.wait().expect_code(0);
    site.makeroom(["recover"]).run().expect_code(0);
    assert_eq!((turn.new_areas(), site.journals()), (vec![], vec![]));
}

#[test]
fn too_many_open_files_are_no_other_leases_and_nothing_is_changed() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["true"]).run().expect_code(0);
    // Leases of dead holders that need an engine which is gone: each is looked at and kept.
    for index in 0..60 {
        let lease = format!("{index:012x}");
        let json = format!(
            r#"{{"record":"opened","version":4,"lease":"{lease}","kind":"run","name":null,"program":"sh","engine":"unix:///nonexistent/s","at":"1970-01-01T00:00:00Z"}}"#
        );
        let target = r#"{"record":"taking","target":{"id":"c","name":"n","started_at":"t","project":null,"service":null,"depends_on":[]},"method":"pause"}"#;
        let line = |json: &str| format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        let path = site.state().join(format!("leases/{lease}.journal"));
        fs::write(path, line(&json) + &line(target)).expect("written");
    }
    let limit = libc::rlimit { rlim_cur: 48, rlim_max: 48 };
    let mut run = site.makeroom(["--restore-timeout", "0s", "--pause", &services.all(), "sh", "-c", "exit 3"]);
    let limited = move || {
        // SAFETY: a system call that reads what is ours.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    let done = run.before_exec(limited).run();
    done.expect_code(3).expect_said("Too many open files").expect_said("another lease may hold something: nothing is changed");
    assert!(!done.err.contains("service paused") && services.are("running"), "{}", done.err);
    assert_eq!(site.journals().len(), 60);
}
