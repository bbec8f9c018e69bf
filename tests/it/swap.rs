//! Swap for a run: made where it is missing, only as much as is missing, and gone afterwards, on
//! success and after a crash; shared by runs; and nothing that was there before ever touched.
//! No engine is needed here. Each test has the machine's swap to itself.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    disk::Disk,
    makeroom::{Run, wait_until_gone},
    must_run, process,
    site::{Site, UNTIL_GO},
    swap, wait_for, wait_for_line, wait_until, wait_within,
};

/// A build that writes down which swap there is while it runs, and what lies at and around `$0`.
const LOOK: &str =
    r#"cp /proc/swaps swaps; stat -c '%a %u' "$0" >area 2>&1; ls -A "${0%/*}" >around; echo built"#;
/// A build that runs until `$0.go` is there.
const NAMED: &str = r#"echo $$ >"$0.pid"; while ! [ -e "$0.go" ]; do sleep 0.02; done"#;

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

fn wishing(site: &Site, mebibytes: u64, path: &Path) -> Run {
    site.makeroom([
        OsString::from("--swap"),
        swap::more(mebibytes).into(),
        "--swap-file".into(),
        path.into(),
    ])
}

fn looking(site: &Site, mebibytes: u64, path: &Path) -> Run {
    let mut run = wishing(site, mebibytes, path);
    run.args(["sh", "-c", LOOK]).args([path]);
    run
}

/// The areas of a `/proc/swaps` with their sizes in KiB; blanks and their like are octal there.
fn areas_of(text: &str) -> Vec<(PathBuf, u64)> {
    let plain = |name: &str| {
        [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
            .iter()
            .fold(name.to_owned(), |name, (code, letter)| name.replace(code, letter))
    };
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        (PathBuf::from(plain(fields[0])), fields[2].parse().expect("a size"))
    };
    text.lines().skip(1).map(line).collect()
}

/// The size of the area at this path while [`LOOK`] ran.
fn seen(site: &Site, path: &Path) -> Option<u64> {
    let text = fs::read_to_string(site.work().join("swaps")).expect("the build looked");
    areas_of(&text).into_iter().find(|(area, _)| area == path).map(|(_, kib)| kib)
}

fn active() -> Vec<PathBuf> {
    areas_of(&fs::read_to_string("/proc/swaps").expect("/proc/swaps"))
        .into_iter()
        .map(|(path, _)| path)
        .collect()
}

fn names_in(dir: &Path) -> Vec<OsString> {
    fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect()
}

#[track_caller]
fn assert_nothing_left(disk: &Disk, site: &Site, dir: &Path) {
    assert_eq!(disk.areas(), Vec::<PathBuf>::new());
    assert_eq!(names_in(dir), Vec::<OsString>::new());
    assert_eq!(site.journals(), Vec::<PathBuf>::new());
}

/// An area that somebody else made, gone with its value.
struct Theirs(PathBuf);

impl Theirs {
    fn activate(path: PathBuf, mebibytes: u64) -> Self {
        must_run(Command::new("fallocate").args(["-l", &format!("{mebibytes}MiB")]).arg(&path));
        must_run(Command::new("chmod").arg("600").arg(&path));
        must_run(Command::new("mkswap").args(["-q", "-L", "theirs"]).arg(&path));
        must_run(Command::new("swapon").arg(&path));
        Self(path)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).status();
    }
}

fn an_area_is_made_for_the_build_and_gone_after_it(kind: &str) {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new(kind, 512), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    let done = looking(&site, 200, &path).run();
    done.expect_code(0).expect_said("of swap made for this run").expect_said("swap removed");
    let kib = seen(&site, &path).expect("it was active");
    assert!((200 << 10..=202 << 10).contains(&kib), "{kib} KiB");
    // Nobody but root reads what was swapped out, and there is no second name or helper file.
    assert_eq!(fs::read_to_string(site.work().join("area")).expect("looked"), "600 0\n");
    assert_eq!(fs::read_to_string(site.work().join("around")).expect("looked"), "area\n");
    assert_nothing_left(&disk, &site, &dir);
}

#[test]
fn on_ext4_an_area_is_made_for_the_build_and_gone_after_it() {
    an_area_is_made_for_the_build_and_gone_after_it("ext4");
}

#[test]
fn on_xfs_an_area_is_made_for_the_build_and_gone_after_it() {
    an_area_is_made_for_the_build_and_gone_after_it("xfs");
}

#[test]
fn on_btrfs_an_area_is_made_for_the_build_and_gone_after_it() {
    an_area_is_made_for_the_build_and_gone_after_it("btrfs");
}

#[test]
fn the_area_is_gone_also_after_a_build_that_fails_is_killed_or_times_out() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    let dir = disk.folder("swap");
    for (script, options, code) in [
        ("exit 7", &[][..], Some(7)),
        ("kill -9 $$", &[], None),
        ("sleep 60", &["--timeout", "100ms"], Some(124)),
    ] {
        let done =
            wishing(&site, 64, &dir.join("area")).args(options).args(["sh", "-c", script]).run();
        assert_eq!(done.code(), code, "{script}: {}", done.err);
        done.expect_said("made for this run").expect_said("swap removed");
        assert_nothing_left(&disk, &site, &dir);
    }
}

#[test]
fn a_path_may_hold_blanks_quotes_dollars_and_backslashes() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    let dir = disk.folder("a  folder");
    for name in ["two words", "it's \"$HOME\" `id`", "back\\slash \\040", " -n"] {
        let path = dir.join(name);
        looking(&site, 64, &path).run().expect_code(0).expect_said("swap removed");
        assert!(
            seen(&site, &path).is_some(),
            "{name}: {:?}",
            fs::read_to_string(site.work().join("swaps"))
        );
        assert_nothing_left(&disk, &site, &dir);
    }
}

#[test]
fn without_a_place_named_it_is_the_default_one_with_mode_0700() {
    let own = Path::new("/var/lib/makeroom");
    let _turn = swap::turn();
    let (site, was_there) = (site(), own.exists());
    let path = own.join("swapfile");
    wait_within(std::time::Duration::from_mins(1), "nobody uses the default place", || {
        !path.exists()
    });
    site.makeroom(["--swap", &swap::more(64), "sh", "-c", LOOK])
        .args([&path])
        .run()
        .expect_code(0)
        .expect_said("swap removed");
    assert!(seen(&site, &path).is_some());
    assert!(!path.exists() && !active().contains(&path));
    if !was_there {
        assert_eq!(fs::metadata(own).expect("made").mode() & 0o7777, 0o700);
        fs::remove_dir(own).expect("nothing else is in it");
    }
}

#[test]
fn swap_that_is_active_and_free_is_neither_added_to_nor_touched() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let theirs = Theirs::activate(disk.path("theirs"), 300);
    let before = fs::metadata(&theirs.0).expect("theirs");
    let head = fs::read(&theirs.0).expect("theirs")[..4096].to_vec();
    let path = disk.path("ours");
    for wish in ["250MiB", "299MiB"] {
        let done = site
            .makeroom(["--swap", wish, "--swap-file"])
            .args([&path])
            .args(["sh", "-c", LOOK])
            .args([&path])
            .run();
        done.expect_code(0);
        assert!(
            !done.err.contains("made for this run") && !done.err.contains("swap removed"),
            "{}",
            done.err
        );
        assert_eq!(seen(&site, &path), None);
        assert!(!path.exists());
    }
    let after = fs::metadata(&theirs.0).expect("theirs");
    assert!(active().contains(&theirs.0));
    assert_eq!(
        (before.ino(), before.mtime_nsec(), before.mode(), head),
        (
            after.ino(),
            after.mtime_nsec(),
            after.mode(),
            fs::read(&theirs.0).expect("theirs")[..4096].to_vec()
        )
    );
}

#[test]
fn only_what_is_missing_is_made() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 600), site());
    let theirs = Theirs::activate(disk.path("theirs"), 200);
    let path = disk.path("ours");
    looking(&site, 150, &path).run().expect_code(0).expect_said("swap removed");
    let kib = seen(&site, &path).expect("made");
    assert!((150 << 10..=152 << 10).contains(&kib), "{kib} KiB");
    assert!(!path.exists() && active().contains(&theirs.0));
}

#[test]
fn swap_off_and_swap_0_make_none() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    let dir = disk.folder("swap");
    for wish in ["off", "0"] {
        let path = dir.join("area");
        site.makeroom(["--swap", wish, "--swap-file"])
            .args([&path])
            .args(["sh", "-c", LOOK])
            .args([&path])
            .run()
            .expect_code(0);
        assert_eq!(seen(&site, &path), None);
        assert_nothing_left(&disk, &site, &dir);
    }
}

/// Everything about what lies at a path that a careless hand would change.
fn fingerprint(path: &Path) -> String {
    let Ok(found) = fs::symlink_metadata(path) else { return "nothing".to_owned() };
    let content = if found.is_file() { fs::read(path).expect("read") } else { Vec::new() };
    let inside = if found.is_dir() { names_in(path) } else { Vec::new() };
    format!(
        "{:?} ino {} mode {:o} nlink {} owner {} mtime {}.{} crc {:08x} of {} link {:?} inside {inside:?}",
        found.file_type(),
        found.ino(),
        found.mode(),
        found.nlink(),
        found.uid(),
        found.mtime(),
        found.mtime_nsec(),
        crc32fast::hash(&content),
        content.len(),
        fs::read_link(path).ok(),
    )
}

/// With a warning the build runs; with `--strict` it does not. Neither touches anything.
#[track_caller]
fn assert_refused(site: &Site, mebibytes: u64, path: &Path, reason: &str) {
    let dir = path.parent().expect("a directory");
    let look = || (fingerprint(path), fingerprint(dir), active());
    let before = look();
    let done = wishing(site, mebibytes, path).args(["echo", "built"]).run();
    done.expect_code(0)
        .expect_said("warning:")
        .expect_said(reason)
        .expect_said(&path.display().to_string())
        .expect_said("hint:");
    assert_eq!((done.out.as_str(), look()), ("built\n", before.clone()), "{reason}");
    let done = wishing(site, mebibytes, path)
        .args(["--strict", "sh", "-c", "echo built; : >strictly"])
        .run();
    done.expect_code(125)
        .expect_said(reason)
        .expect_said(&path.display().to_string())
        .expect_said("the command was not started");
    assert_eq!((done.out.as_str(), look()), ("", before), "{reason}, strict");
    assert!(!site.work().join("strictly").exists());
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn what_exists_at_the_path_is_never_touched() {
    type Make = fn(&Path);
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let precious = disk.path("precious");
    fs::write(&precious, vec![7_u8; 3 << 20]).expect("written");
    let before = fingerprint(&precious);
    let cases: [(&str, Make); 8] = [
        ("it exists", |path| fs::write(path, vec![42_u8; 3 << 20]).expect("a file")),
        ("it exists", |path| fs::write(path, "").expect("an empty file")),
        // As a makeroom that was killed elsewhere, with another state directory, left it.
        ("it exists", |path| {
            must_run(Command::new("fallocate").args(["-l", "100MiB"]).arg(path));
            must_run(Command::new("mkswap").args(["-q", "-L", "mr-0123456789ab"]).arg(path));
        }),
        ("it is a link", |path| symlink(path.with_file_name("../precious"), path).expect("a link")),
        ("it is a link", |path| symlink("/nonexistent/nowhere", path).expect("a link")),
        ("it is a directory", |path| fs::create_dir(path).expect("a folder")),
        ("it is a link", |path| {
            symlink(path.parent().expect("a directory"), path).expect("a link")
        }),
        ("it exists", |path| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO")
        }),
    ];
    for (number, (reason, make)) in cases.iter().enumerate() {
        let path = disk.folder(&format!("case{number}")).join("area");
        make(&path);
        assert_refused(&site, 100, &path, reason);
    }
    assert!(fs::symlink_metadata(disk.path("case7/area")).expect("a FIFO").file_type().is_fifo());
    assert_eq!(fingerprint(&precious), before);
}

#[test]
fn an_area_of_somebody_else_that_is_active_at_the_path_stays_active() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let theirs = Theirs::activate(disk.folder("swap").join("area"), 100);
    assert_refused(&site, 100, &theirs.0, "it exists");
    assert!(active().contains(&theirs.0));
}

#[test]
fn file_systems_that_cannot_hold_swap_are_named() {
    let _turn = swap::turn();
    let (tmpfs, overlay, site) = (Disk::tmpfs(), Disk::overlay(), site());
    assert_refused(&site, 64, &tmpfs.folder("swap").join("area"), "is on tmpfs");
    assert_refused(&site, 64, &overlay.folder("swap").join("area"), "is on overlayfs");
}

#[test]
fn a_disk_without_room_is_left_alone() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 64), site());
    assert_refused(&site, 100, &disk.folder("swap").join("area"), "MiB free");
}

#[test]
fn a_directory_that_others_write_to_is_refused() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    for (name, mode) in
        [("all", 0o777), ("sticky", 0o1777), ("group", 0o770), ("write-only", 0o702)]
    {
        let dir = disk.folder(name);
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("a mode");
        assert_refused(&site, 100, &dir.join("area"), "can be written by others");
    }
    let dir = disk.folder("theirs");
    std::os::unix::fs::chown(&dir, Some(1000), None).expect("an owner");
    assert_refused(&site, 100, &dir.join("area"), "belongs to user 1000");
    symlink(disk.folder("real"), disk.path("link")).expect("a link");
    assert_refused(&site, 100, &disk.path("link/area"), "which is the one to name");
    assert_refused(&site, 100, &disk.path("missing/area"), "is not a directory");
    assert!(names_in(&disk.path("real")).is_empty() && !disk.path("missing").exists());
}

#[test]
fn after_sigkill_of_supervisor_and_keeper_recover_removes_the_area() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    let mut run = wishing(&site, 100, &path).args(["sh", "-c", UNTIL_GO]).spawn();
    let child = site.child();
    run.kill_with_keeper();
    assert_eq!(disk.areas(), [path]);
    site.makeroom(["recover"])
        .run()
        .expect_code(0)
        .expect_said("lost its holder")
        .expect_said("its swap removed");
    assert_nothing_left(&disk, &site, &dir);
    site.makeroom(["recover"]).run().expect_code(0).expect_said("nothing to recover");
    process::signal(child, libc::SIGKILL);
}

#[test]
fn the_next_run_removes_what_a_killed_one_left_and_makes_its_own() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    let wish = swap::more(100);
    let mut run = wishing(&site, 100, &path).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.kill_with_keeper();
    assert_eq!(disk.areas(), std::slice::from_ref(&path));
    let done = site
        .makeroom(["--swap", &wish, "--swap-file"])
        .args([&path])
        .args(["sh", "-c", LOOK])
        .args([&path])
        .run();
    done.expect_code(0).expect_said("its swap removed").expect_said("made for this run");
    assert!(seen(&site, &path).is_some(), "{:?}", fs::read_to_string(site.work().join("swaps")));
    assert_nothing_left(&disk, &site, &dir);
}

#[test]
fn what_is_killed_while_an_area_is_being_made_leaves_none() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    // The step hangs where it would write for the first time; its intent is in the journal.
    disk.freeze();
    let mut run = wishing(&site, 100, &path).args(["sh", "-c", UNTIL_GO]).spawn();
    let is_begun = || {
        site.journals().iter().any(|journal| {
            fs::read_to_string(journal).is_ok_and(|text| text.contains("area_making"))
        })
    };
    wait_until("the area is announced", is_begun);
    let keeper = run.keeper();
    let steps = wait_for("a step that hangs", || {
        let all = process::with_environment(&site.mark());
        let hangs = all.iter().any(|&pid| process::stat(pid).is_some_and(|stat| stat.state == 'D'));
        hangs.then(|| {
            all.into_iter()
                .filter(|&pid| process::stat(pid).is_some_and(|stat| stat.parent == keeper))
                .collect::<Vec<_>>()
        })
    });
    run.kill_with_keeper();
    let mut recover = site.makeroom(["recover"]).spawn();
    // Depending on how far the step was: it still makes the area, which is let finish, or is not
    // seen at it.
    let waits = |pid: &i32| {
        let is_new = |parent: i32| !steps.contains(&parent) && !steps.contains(pid);
        let hangs =
            process::stat(*pid).is_some_and(|stat| stat.state == 'D' && is_new(stat.parent));
        hangs || process::status(*pid, "Name").is_some_and(|name| name == "sleep")
    };
    wait_until("recover is through, or waits for the disk or the step", || {
        !recover.is_running() || process::with_environment(&site.mark()).iter().any(waits)
    });
    disk.thaw();
    recover.wait().expect_code(0);
    wait_until_gone(crate::support::PATIENCE, "the step", &steps);
    site.makeroom(["recover"]).run().expect_code(0);
    assert_nothing_left(&disk, &site, &dir);
}

#[test]
fn an_area_that_cannot_be_switched_off_stays_is_said_and_is_removed_by_recover() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    let run = wishing(&site, 100, &path).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    // The kernel opens it for writing to switch it off, which it refuses for an immutable file.
    must_run(Command::new("chattr").arg("+i").arg(&path));
    site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("stays")
        .expect_said(&path.display().to_string())
        .expect_said("makeroom recover");
    assert_eq!(disk.areas(), std::slice::from_ref(&path));
    site.makeroom(["recover"]).run().expect_code(125).expect_said("stays");
    assert!(path.exists());
    must_run(Command::new("chattr").arg("-i").arg(&path));
    site.makeroom(["recover"]).run().expect_code(0).expect_said("its swap removed");
    assert_nothing_left(&disk, &site, &dir);
}

#[test]
fn two_runs_share_an_area_and_the_last_one_removes_it() {
    let _turn = swap::turn();
    for (first, last) in [("a", "b"), ("b", "a")] {
        let (disk, site) = (Disk::new("ext4", 512), site());
        let dir = disk.folder("swap");
        let path = dir.join("area");
        let wish = swap::more(100);
        let begin = |name: &str| {
            let run = site
                .makeroom(["--swap", &wish, "--swap-file"])
                .args([&path])
                .args(["sh", "-c", NAMED, name])
                .spawn();
            wait_for_line(&site.work().join(format!("{name}.pid")));
            run
        };
        let (a, b) = (begin("a"), begin("b"));
        assert_eq!(disk.areas(), std::slice::from_ref(&path), "one area is enough for both");
        let mut runs = [("a", Some(a)), ("b", Some(b))];
        let mut end = |name: &str| {
            fs::write(site.work().join(format!("{name}.go")), "").expect("written");
            let (_, run) = runs.iter_mut().find(|(of, _)| *of == name).expect("a run");
            run.take().expect("running").wait()
        };
        end(first).expect_code(0).expect_said("swap left to another run");
        assert_eq!(disk.areas(), std::slice::from_ref(&path));
        end(last).expect_code(0).expect_said("swap removed");
        assert_nothing_left(&disk, &site, &dir);
    }
}

#[test]
fn the_area_stays_for_the_other_run_when_the_one_that_made_it_is_killed() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    let wish = swap::more(100);
    let begin = |name: &str| {
        let run = site
            .makeroom(["--swap", &wish, "--swap-file"])
            .args([&path])
            .args(["sh", "-c", NAMED, name])
            .spawn();
        wait_for_line(&site.work().join(format!("{name}.pid")));
        run
    };
    let (mut a, b) = (begin("a"), begin("b"));
    a.kill_with_keeper();
    site.makeroom(["recover"]).run().expect_code(0);
    assert_eq!(disk.areas(), std::slice::from_ref(&path));
    fs::write(site.work().join("b.go"), "").expect("written");
    b.wait().expect_code(0).expect_said("swap removed");
    assert_nothing_left(&disk, &site, &dir);
}

#[test]
fn a_keeper_that_dies_while_swap_is_removed_is_replaced_by_one_that_finishes_it() {
    let turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), Site::new());
    let services = site.services(2);
    let path = disk.folder("swap").join("area");
    let run =
        wishing(&site, 100, &path).args(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    // The file's removal waits for the disk.
    disk.freeze();
    site.go();
    wait_until("it is said that it takes long", || run.written("err").contains("removing swap"));
    let keeper = run.keeper();
    process::signal(keeper, libc::SIGKILL);
    wait_until("it is replaced", || run.keeper_other_than(keeper) != keeper);
    disk.thaw();
    run.wait().expect_code(7).expect_said("2 services running again");
    assert!(turn.new_areas().is_empty() && disk.areas().is_empty() && !path.exists());
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}
