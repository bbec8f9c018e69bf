//! Room that is really made: paused memory goes out to swap and comes back unharmed; swap areas
//! are made, shared and taken away; what is not makeroom's is never touched. One test at a time:
//! the machine has one swap.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{
    makeroom::Run,
    must_run, process,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    swap::{self, SwapTurn},
    wait_for, wait_until,
};

const MIB: u64 = 1 << 20;

/// So much more swap than is free already that an area has to be made, whatever the machine has:
/// what is smaller than a twentieth of the wish counts as enough.
fn wish(mebibytes: u64) -> String {
    let text = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let free = text.lines().find_map(|line| line.strip_prefix("SwapFree:")).expect("SwapFree").trim().trim_end_matches(" kB");
    let free = free.parse::<u64>().expect("a number") * 1024;
    (free + (mebibytes * MIB).max(free / 16)).to_string()
}

/// makeroom that makes an area in the turn's directory.
fn with_swap(site: &Site, turn: &SwapTurn, mebibytes: u64) -> Run {
    let mut run = site.makeroom(["--swap", &wish(mebibytes), "--swap-file"]);
    run.args([turn.dir().join("area")]).limit(Duration::from_mins(1));
    run
}

/// The resident memory of all of them, in bytes, whatever the version of cgroups.
fn resident(services: &Services) -> u64 {
    let of = |pid: i64| {
        let text = process::status(i32::try_from(pid).expect("a pid"), "VmRSS").expect("VmRSS");
        text.trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    };
    services.states().into_iter().flatten().map(|state| of(state.pid)).sum()
}

/// The hog's sums so far.
fn sums(services: &Services, index: usize, count: usize) -> Vec<String> {
    let sums = || services.log(index).lines().map(str::to_owned).collect::<Vec<_>>();
    wait_for(&format!("{count} sums of {}", services.name(index)), || Some(sums()).filter(|sums| sums.len() >= count))
}

#[test]
fn of_500_mib_of_services_at_most_25_stay_during_the_build_and_all_come_back_unharmed() {
    let turn = swap::turn();
    let site = Site::new();
    let services = site.start(&Recipe::hog(250), 2);
    let sum: Vec<_> = (0..2).map(|index| sums(&services, index, 1).remove(0)).collect();
    let before = services.states();
    assert!(resident(&services) >= 500 * MIB);

    let run = with_swap(&site, &turn, 1024).args(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("paused"));
    assert!(resident(&services) <= 25 * MIB, "{} MiB stay", resident(&services) / MIB);
    assert_eq!(turn.new_areas(), [turn.dir().join("area")]);
    site.go();
    run.wait().expect_code(7).expect_said("given back").expect_said("swap removed");

    assert_eq!(services.states(), before);
    for (index, sum) in sum.iter().enumerate() {
        services.tell(index, "kill?signal=SIGUSR1");
        assert_eq!(&sums(&services, index, 2)[1], sum);
    }
    turn.is_as_before();
}

#[test]
fn the_area_is_for_roots_eyes_only() {
    use std::os::unix::fs::MetadataExt as _;
    let turn = swap::turn();
    let site = Site::new();
    let run = with_swap(&site, &turn, 64).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let found = fs::metadata(turn.dir().join("area")).expect("an area");
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o600, 0));
    site.go();
    run.wait().expect_code(7);
    turn.is_as_before();
}

#[test]
fn with_enough_free_swap_none_is_made_and_what_is_there_stays() {
    let turn = swap::turn();
    let site = Site::new();
    let own = turn.dir().join("not makerooms");
    must_run(Command::new("fallocate").args(["-l", "67108864"]).arg(&own));
    must_run(Command::new("chmod").arg("600").arg(&own));
    must_run(Command::new("mkswap").arg(&own));
    must_run(Command::new("swapon").arg(&own));
    let run = site.makeroom(["--swap", "32MiB", "--swap-file"]).args([turn.dir().join("area")]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert_eq!(turn.new_areas(), std::slice::from_ref(&own));
    site.go();
    run.wait().expect_code(7);
    assert_eq!(turn.new_areas(), std::slice::from_ref(&own));
    must_run(Command::new("swapoff").arg(&own));
    fs::remove_file(&own).expect("removed");
    turn.is_as_before();
}

#[test]
fn of_two_builds_that_share_an_area_the_last_takes_it_away() {
    let turn = swap::turn();
    let site = Site::new();
    let build = |name: &str, run: &mut Run| {
        let script = format!("touch child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done; exit 7");
        let run = run.args(["sh", "-c", &script]).spawn();
        wait_until("the build runs", || site.work().join(format!("child-{name}")).exists());
        run
    };
    let wish = wish(64);
    let mut second = site.makeroom(["--swap", &wish, "--swap-file"]);
    let a = build("a", &mut with_swap(&site, &turn, 64));
    let b = build("b", second.args([turn.dir().join("area")]));
    assert_eq!(turn.new_areas(), [turn.dir().join("area")], "one is enough for both");
    fs::write(site.work().join("go-a"), "").expect("written");
    a.wait().expect_code(7);
    assert_eq!(turn.new_areas(), [turn.dir().join("area")]);
    fs::write(site.work().join("go-b"), "").expect("written");
    b.wait().expect_code(7);
    turn.is_as_before();
}

#[test]
fn after_sigkill_of_both_recover_takes_the_area_away() {
    let turn = swap::turn();
    let site = Site::new();
    let services = site.services(1);
    let mut run = with_swap(&site, &turn, 64).args(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.kill_with_keeper();
    assert_eq!(turn.new_areas(), [turn.dir().join("area")]);
    site.makeroom(["recover"]).run().expect_code(0).expect_said("swap removed");
    assert!(services.are("running") && site.journals().is_empty());
    turn.is_as_before();
}

/// A path that is not to be touched: named, the build runs; with `--strict` it does not.
#[track_caller]
fn is_never_touched(path: &Path, says: &str) {
    let turn = swap::turn();
    let site = Site::new();
    let wish = wish(64);
    for (strict, code) in [(false, 3), (true, 125)] {
        let mut run = site.makeroom(["--swap", &wish, "--swap-file"]);
        let done = run.args([path]).args(strict.then_some("--strict")).args(["sh", "-c", "exit 3"]).run();
        done.expect_code(code).expect_said(says).expect_said(&path.to_string_lossy());
    }
    assert!(turn.new_areas().is_empty() && site.journals().is_empty());
}

#[test]
fn a_swap_path_that_is_something_else_is_never_touched() {
    let dir = swap::directory();
    let (file, link, folder) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("folder"));
    fs::write(&file, "mine").expect("written");
    symlink(dir.path().join("elsewhere"), &link).expect("a link");
    fs::create_dir(&folder).expect("a directory");
    is_never_touched(&file, "not makeroom's");
    assert_eq!(fs::read_to_string(&file).expect("kept"), "mine");
    is_never_touched(&link, "link");
    assert!(!dir.path().join("elsewhere").exists());
    is_never_touched(&folder, "directory");
    assert_eq!(fs::read_dir(&folder).expect("there").count(), 0);
    is_never_touched(&dir.path().join("none/area"), "not a directory");
}

#[test]
fn where_swap_cannot_or_should_not_be_none_is_made() {
    let memory = tempfile::tempdir_in("/dev/shm").expect("a directory");
    is_never_touched(&memory.path().join("area"), "tmpfs");
    // Others could put something in the place of what root makes here.
    is_never_touched(&PathBuf::from("/tmp").join(crate::support::unique("area")), "can be written by others");
}

#[test]
fn without_room_on_the_disk_none_is_made_and_nothing_is_left() {
    let dir = swap::directory();
    let small = dir.path().join("small");
    must_run(Command::new("truncate").args(["-s", "32M"]).arg(&small));
    must_run(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&small));
    let point = dir.path().join("mounted");
    fs::create_dir(&point).expect("a directory");
    must_run(Command::new("mount").args(["-o", "loop"]).arg(&small).arg(&point));
    let tried = std::panic::catch_unwind(|| is_never_touched(&point.join("area"), "free"));
    let left =
        fs::read_dir(&point).expect("there").filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != "lost+found")).count();
    must_run(Command::new("umount").arg(&point));
    tried.expect("see above");
    assert_eq!(left, 0);
}
