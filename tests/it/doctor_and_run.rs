//! The doctor says what a run does: for each state of a place that matters, the reason that a run
//! gives is the doctor's, and where the doctor sees nothing a run has nothing to say.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    thread,
};

use crate::support::{
    disk::Disk,
    makeroom::{Done, Run},
    site::Site,
    swap,
};

const MEBIBYTES: u64 = 64;

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

/// makeroom with these first words, which wants swap at this path.
fn wanting(site: &Site, without: &[&str], words: &[&str], path: &Path) -> Run {
    let program = env!("CARGO_BIN_EXE_makeroom");
    let mut run = site.command(without.first().unwrap_or(&program));
    if !without.is_empty() {
        run.args(&without[1..]).args([program]);
    }
    run.args(words).args(["--swap", &swap::more(MEBIBYTES), "--swap-file"]).args([path]);
    run
}

/// What the doctor says of swap, with the fix.
#[track_caller]
fn of_swap(done: &Done) -> (&str, &str) {
    let mut lines = done.out.lines();
    let line = lines.find(|line| line.split_ascii_whitespace().nth(1) == Some("swap"));
    let line = line.unwrap_or_else(|| panic!("nothing of swap in:\n{}", done.out));
    (line, lines.next().unwrap_or_default().trim())
}

/// A run's reason not to make any.
fn reason(done: &Done) -> Option<&str> {
    let (_, rest) =
        done.err.lines().find(|line| line.contains("no swap is made"))?.split_once(": ")?;
    // What comes first is `warning`, and then where.
    Some(
        rest.rsplit_once("swap is made at ")
            .map_or(rest, |(_, at)| at.split_once(": ").map_or(at, |(_, why)| why)),
    )
}

#[track_caller]
fn assert_same(site: &Site, without: &[&str], path: &Path, expected: Option<&str>) {
    let doctor = wanting(site, without, &["doctor"], path).run();
    let plan = wanting(site, without, &["plan"], path).run();
    let run = wanting(site, without, &[], path).args(["true"]).run();
    let said = reason(run.expect_code(0));
    assert_eq!(said.is_some(), expected.is_some(), "{expected:?}: {}", run.err);
    let (line, fix) = of_swap(&doctor);
    let (Some(said), Some(expected)) = (said, expected) else {
        assert!(line.starts_with("ok "), "{line}");
        assert!(!plan.err.contains("no swap would be made"), "{}", plan.err);
        return;
    };
    assert!(said.contains(expected), "{said} should say {expected}");
    assert!(line.starts_with("FIX ") && line.contains(said), "{line} should say {said}");
    assert!(plan.err.contains(said), "{} should say {said}", plan.err);
    for hint in [fix, &run.err] {
        let is_elsewhere = hint.contains("--swap-file PATH");
        assert_eq!(is_elsewhere, !said.contains("not permitted"), "{said}: {hint}");
    }
}

#[test]
fn what_keeps_a_run_from_making_swap_is_what_the_doctor_says() {
    type Make = fn(&Path);
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let (tmpfs, overlay) = (Disk::tmpfs(), Disk::overlay());
    let nothing: Make = |_| {};
    let cases: [(&str, PathBuf, Make, Option<&str>); 9] = [
        ("well", disk.folder("well"), nothing, None),
        ("tmpfs", tmpfs.folder("swap"), nothing, Some("is on tmpfs")),
        ("overlay", overlay.folder("swap"), nothing, Some("is on overlayfs")),
        ("missing", disk.path("missing"), nothing, Some("is not a directory")),
        (
            "a file",
            disk.folder("file"),
            |path| fs::write(path, "theirs").expect("a file"),
            Some("it exists and is not makeroom's"),
        ),
        (
            "a folder",
            disk.folder("dir"),
            |path| fs::create_dir(path).expect("a folder"),
            Some("it is a directory"),
        ),
        (
            "a link",
            disk.folder("link"),
            |path| symlink("/nowhere", path).expect("a link"),
            Some("it is a link"),
        ),
        (
            "theirs",
            disk.folder("theirs"),
            |path| crate::support::stranger::give_away(path.parent().expect("a directory")),
            Some("belongs to user 1234"),
        ),
        ("well again", disk.folder("again"), nothing, None),
    ];
    for (name, dir, make, expected) in cases {
        let path = dir.join("area");
        make(&path);
        eprintln!("{name}");
        assert_same(&site, &[], &path, expected);
    }
}

#[test]
fn where_root_may_make_no_swap_no_other_place_is_named() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let path = disk.folder("swap").join("area");
    // As a container's root is.
    let without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
    assert_same(&site, &without, &path, Some("swapon: Operation not permitted"));
    let strict = wanting(&site, &without, &["--strict"], &path).args(["true"]).run();
    strict.expect_code(125);
    assert!(!path.exists() && disk.areas().is_empty());
    let on = wanting(&site, &without, &["swap", "on"], &path).run();
    on.expect_code(125).expect_said("Operation not permitted").expect_said("on the machine itself");
    assert!(!on.err.contains("name another place"), "{}", on.err);
}

/// What containerd's socket says to whoever connects, before it breaks the connection off.
const SETTINGS: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0x40, 0];

#[test]
fn a_socket_of_containerds_is_named_as_such_by_its_name_and_by_what_it_answers() {
    let scene = site();
    for (name, says) in [
        ("containerd.sock", "it is containerd's socket, which has no Docker API"),
        ("crio.sock", "it is CRI-O's socket, which has no Docker API"),
        ("some.sock", "it speaks gRPC, as containerd and CRI-O do, and not Docker's API"),
    ] {
        let path = scene.path(name);
        let listener = UnixListener::bind(&path).expect("a socket");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.expect("a connection").write_all(&SETTINGS);
            }
        });
        let site = Site::at(path);
        let hint = "name the socket of dockerd or of `podman system service`";
        let run = site.makeroom(["--pause", "x", "true"]).run();
        run.expect_code(0).expect_said(says).expect_said(hint);
        site.makeroom(["--strict", "--pause", "x", "true"]).run().expect_code(125);
        let doctor = site.makeroom(["doctor"]).run();
        assert!(doctor.out.contains(says) && doctor.out.contains(hint), "{}", doctor.out);
    }
}
