//! Where an area may lie, and what others may call themselves: nobody but root has a hand in a
//! directory that root makes swap in, nor in one above it, also when they try at the very moment;
//! what is there all the same is named with whose it is and what to type; and a process is no step
//! of ours because it says so.

use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::support::{
    disk::Disk,
    makeroom::Done,
    must_run, process,
    site::{Site, UNTIL_GO},
    stranger::{STRANGER, become_stranger, give_away, label_in_sight},
    swap, wait_until,
};

const MEBIBYTES: u64 = 32;

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

fn run(site: &Site, path: &Path) -> Done {
    site.makeroom(["--swap", &swap::more(MEBIBYTES), "--swap-file"])
        .args([path])
        .args(["echo", "built"])
        .run()
}

fn kept(site: &Site, words: &[&str], path: &Path) -> Done {
    site.makeroom(["swap"])
        .args(words)
        .args(["--swap-file"])
        .args([path])
        .limit(Duration::from_mins(2))
        .run()
}

/// A directory of root's in one that this does something to.
fn inside(disk: &Disk, name: &str, prepare: impl Fn(&Path)) -> PathBuf {
    let outer = disk.folder(name);
    let inner = outer.join("d");
    fs::create_dir(&inner).expect("a directory");
    prepare(&outer);
    inner
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_directory_that_somebody_else_can_move_holds_no_swap_and_is_named_with_whose_it_is() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    let deep = inside(&disk, "deep", give_away).join("e");
    fs::create_dir(&deep).expect("a directory");
    let link = disk.path("link");
    symlink(inside(&disk, "real", |_| {}).parent().expect("a directory"), &link).expect("a link");
    let (theirs, wide) =
        (inside(&disk, "theirs", give_away), inside(&disk, "wide", |path| mode(path, 0o757)));
    let group = inside(&disk, "group", |path| mode(path, 0o775));
    let at =
        |dir: &Path, up: usize| dir.ancestors().nth(up).expect("a directory").display().to_string();
    for (dir, reason) in [
        (
            &theirs,
            format!(
                "{} belongs to user 1234, who can put another directory in the place of {}",
                at(&theirs, 1),
                at(&theirs, 0)
            ),
        ),
        (
            &deep,
            format!(
                "{} belongs to user 1234, who can put another directory in the place of {}",
                at(&deep, 2),
                at(&deep, 1)
            ),
        ),
        (
            &wide,
            format!(
                "{} can be written by others (mode 757), who can put another directory",
                at(&wide, 1)
            ),
        ),
        (
            &group,
            format!(
                "{} can be written by others (mode 775), who can put another directory",
                at(&group, 1)
            ),
        ),
        (
            &link.join("d"),
            format!(
                "{} leads to {}, which is the one to name",
                at(&link.join("d"), 0),
                disk.path("real/d").display()
            ),
        ),
    ] {
        let path = dir.join("area");
        let done = run(&site, &path);
        done.expect_code(0)
            .expect_said(&format!("no swap is made at {}: {reason}", path.display()))
            .expect_said("hint: name another place");
        let on = kept(&site, &["on", "--persist", "--swap", &swap::more(MEBIBYTES)], &path);
        on.expect_code(125)
            .expect_said(&format!("no swap is made at {}: {reason}", path.display()))
            .expect_said("nothing was changed");
        on.expect_said("hint: name another place");
        let doctor = site
            .makeroom(["doctor", "--swap", &swap::more(MEBIBYTES), "--swap-file"])
            .args([&path])
            .run();
        assert!(
            doctor.out.contains(&format!("none can be made at {}: {reason}", path.display())),
            "{}",
            doctor.out
        );
        assert_eq!(fs::read_dir(dir).expect("a directory").count(), 0, "{reason}");
        assert!(disk.areas().is_empty() && site.journals().is_empty(), "{reason}");
    }
}

#[test]
fn in_a_sticky_directory_nobody_moves_what_is_roots() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    for name in ["area", "-area", "--help"] {
        let _ = fs::remove_dir_all(disk.path("sticky"));
        let path = inside(&disk, "sticky", |path| mode(path, 0o1777)).join(name);
        run(&site, &path)
            .expect_code(0)
            .expect_said("made for this run")
            .expect_said("swap removed");
        assert!(disk.areas().is_empty() && !path.exists());
    }
    // Somebody else's directory in it is still somebody else's.
    let path = disk.path("sticky/theirs/d/area");
    fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
    give_away(&disk.path("sticky/theirs"));
    run(&site, &path).expect_code(0).expect_said("belongs to user 1234");
}

#[test]
fn an_area_in_a_directory_that_became_somebody_elses_stays_recorded_and_is_named_with_what_to_type()
{
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    let dir = inside(&disk, "outer", |_| {});
    let (outer, path) = (disk.path("outer"), dir.join("area"));
    let typed = format!("sudo swapoff {0} && sudo rm {0}", path.display());
    for is_mended in [false, true] {
        site.again();
        let mut run = site.makeroom(["--swap", &swap::more(MEBIBYTES), "--swap-file"]);
        let mut run = run.args([&path]).args(["sh", "-c", UNTIL_GO]).spawn();
        let child = site.child();
        run.kill_with_keeper();
        // As a makeroom before this one took it.
        give_away(&outer);
        let recover = || site.makeroom(["recover"]).run();
        let done = recover();
        done.expect_code(125)
            .expect_said("belongs to user 1234, who can put another directory")
            .expect_said(&typed);
        assert_eq!((disk.areas(), site.journals().len()), (vec![path.clone()], 1));
        // Hidden, it is not gone.
        let aside = outer.join("aside");
        for hide in [false, true] {
            fs::rename(&dir, &aside).expect("moved");
            if hide {
                fs::create_dir(&dir).expect("a directory");
            }
            recover()
                .expect_code(125)
                .expect_said(&format!("it is active as {}", aside.join("area").display()));
            assert_eq!(site.journals().len(), 1);
            if hide {
                fs::remove_dir(&dir).expect("removed");
            }
            fs::rename(&aside, &dir).expect("moved back");
        }
        if is_mended {
            chown(&outer, Some(0), Some(0)).expect("root's again");
            recover().expect_code(0).expect_said("its swap removed");
        } else {
            must_run(Command::new("sh").args(["-c", &typed.replace("sudo ", "")]));
            recover().expect_code(0);
            chown(&outer, Some(0), Some(0)).expect("root's again");
        }
        assert!(disk.areas().is_empty() && site.journals().is_empty() && !path.exists());
        process::signal(child, libc::SIGKILL);
    }
}

#[test]
fn no_line_of_fstab_leads_through_somebody_elses_directory() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    let path = inside(&disk, "outer", |_| {}).join("area");
    let before = fs::read("/etc/fstab").ok();
    kept(&site, &["on", "--swap", &swap::more(MEBIBYTES)], &path)
        .expect_code(0)
        .expect_said("swap is on");
    give_away(&disk.path("outer"));
    let done = kept(&site, &["on", "--persist", "--swap", &swap::more(MEBIBYTES)], &path);
    if before.is_some() {
        done.expect_code(125)
            .expect_said("belongs to user 1234")
            .expect_said("/etc/fstab is as it was");
    }
    assert_eq!(fs::read("/etc/fstab").ok(), before);
    kept(&site, &["off"], &path)
        .expect_code(125)
        .expect_said("belongs to user 1234")
        .expect_said("sudo swapoff");
    assert_eq!(disk.areas(), std::slice::from_ref(&path));
    chown(disk.path("outer"), Some(0), Some(0)).expect("root's again");
    kept(&site, &["off"], &path).expect_code(0).expect_said("is off and deleted");
}

/// A process of this user that calls itself so until it is dropped.
struct Named(Child);

impl Named {
    fn start(user: u32, program: &str, name: &str, words: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .arg0(name)
            .args(words)
            .uid(user)
            .gid(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect("started"))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nobody_is_waited_for_because_of_what_he_calls_himself() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 256), site());
    let path = disk.folder("swap").join("area");
    let label = "makeroom-kept";
    let _others = [
        Named::start(STRANGER, "/bin/sleep", label, &["70"]),
        // The very words of a step.
        Named::start(STRANGER, "/bin/sh", "/bin/sh", &["-s", label]),
        // What becomes root by itself, or is root's and is called as somebody else likes.
        Named::start(0, "/bin/cat", "sh", &["-s", label]),
        Named::start(0, "/bin/sh", "sh", &["-c", "read line", label]),
    ];
    let on = kept(&site, &["on", "--swap", &swap::more(MEBIBYTES)], &path);
    on.expect_code(0).expect_said("swap is on").expect_within(Duration::from_secs(20));
    kept(&site, &["off"], &path)
        .expect_code(0)
        .expect_said("is off and deleted")
        .expect_within(Duration::from_secs(20));
}

/// Somebody who owns the directory above, and moves things about in it as fast as he can.
struct Racer {
    done: Arc<AtomicBool>,
    moves: Arc<AtomicU64>,
    threads: [JoinHandle<()>; 2],
}

impl Racer {
    /// `outer` is his. `trap`, a directory of his, holds links to what is precious by the names
    /// that a step writes to; `roots` is a directory of root's.
    fn start(outer: &Path, trap: &Path, roots: &Path, precious: &Path) -> Self {
        let (done, moves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let act = |act: Box<dyn Fn() + Send>| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                become_stranger();
                while !done.load(Ordering::Relaxed) {
                    act();
                }
            })
        };
        let (links, precious, count) = (trap.to_owned(), precious.to_owned(), Arc::clone(&moves));
        let look = move || {
            // The label of the area that is being made is an argument of its step.
            if let Some(label) = label_in_sight() {
                let _ = symlink(&precious, links.join(format!("area.{label}")));
            }
        };
        let (dir, aside, others) =
            (outer.join("d"), outer.join("aside"), [trap.to_owned(), roots.to_owned()]);
        let shuffle = move || {
            for other in &others {
                // Long enough for what is made in the right one to be written to in the wrong one.
                thread::sleep(Duration::from_millis(3));
                let result = fs::rename(&dir, &aside).and_then(|()| symlink(other, &dir));
                thread::sleep(Duration::from_millis(3));
                let _ = fs::remove_file(&dir).and_then(|()| fs::rename(&aside, &dir));
                count.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
            }
        };
        let threads = [act(Box::new(look)), act(Box::new(shuffle))];
        Self { done, moves, threads }
    }

    fn stop(self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("it ended");
        }
        self.moves.load(Ordering::Relaxed)
    }
}

/// How long the race is: longer by hand.
fn race_seconds() -> u64 {
    env::var("MAKEROOM_RACE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

#[test]
fn a_race_for_the_directory_gets_nothing_of_roots_overwritten_or_activated() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let (precious, roots, trap) =
        (disk.path("precious"), disk.folder("roots"), disk.folder("trap"));
    // Large enough to be swap, and what a step would take for its own.
    fs::write(&precious, vec![7_u8; 4 << 20]).expect("written");
    mode(&precious, 0o600);
    give_away(&trap);
    let (mut runs, mut made, mut moves) = (0, 0, 0);
    for (name, is_theirs) in [("theirs", true), ("sticky", false)] {
        let dir = inside(
            &disk,
            name,
            |path| if is_theirs { give_away(path) } else { mode(path, 0o1777) },
        );
        let racer = Racer::start(&disk.path(name), &trap, &roots, &precious);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(race_seconds().div_ceil(2)) {
            let done = run(&site, &dir.join("area"));
            assert_eq!(done.expect_code(0).out, "built\n");
            runs += 1;
            made += u32::from(done.err.contains("made for this run"));
            let found = fs::metadata(&precious).expect("there");
            assert_eq!((found.len(), found.mode() & 0o7777), (4 << 20, 0o600), "{}", done.err);
            assert!(
                fs::read(&precious).expect("read").iter().all(|&byte| byte == 7),
                "it was written to: {}",
                done.err
            );
            assert_eq!(
                fs::read_dir(&roots).expect("a directory").count(),
                0,
                "something is left in root's: {}",
                done.err
            );
            assert!(
                disk.areas().is_empty() && !is_theirs | !done.err.contains("made for this run"),
                "{}",
                done.err
            );
        }
        let count = racer.stop();
        assert_eq!(count > 0, is_theirs, "{name}: {count} moves");
        moves += count;
    }
    wait_until("all is given back", || site.journals().is_empty());
    eprintln!("{runs} runs, {made} of them with swap, {moves} moves");
    assert!(made > 0, "in the sticky directory there is swap");
}
