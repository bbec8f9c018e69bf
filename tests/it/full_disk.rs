//! A state directory whose disk is full: before a run, after its lease was opened, while containers
//! are paused, and in mid-build. What cannot be recorded is not done, what was done is put back,
//! and the build runs.

use std::{fs, path::PathBuf};

use crate::support::{
    disk::Disk,
    dockerd::engine,
    process,
    proxy::{Moment, Proxy},
    services::{Recipe, Services, State},
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

/// What a disk that is called full still takes is what fits into the last block of a file.
const BLOCK_BYTES: usize = 4096;

/// Two services that run and one that a stranger paused, each with so much to record that it needs
/// a block of its own.
fn services(site: &Site) -> (Services, Vec<Option<State>>) {
    let services = site
        .start(&Recipe::default().label("com.docker.compose.project", &"x".repeat(BLOCK_BYTES)), 3);
    services.tell(2, "pause");
    let before = services.states();
    (services, before)
}

/// A site whose state directory is on a disk that is not full yet.
fn site(engine: PathBuf) -> (Disk, Site) {
    let disk = Disk::small(256);
    let site = Site::on(&disk, engine);
    site.makeroom(["true"]).run().expect_code(0);
    (disk, site)
}

#[test]
fn a_disk_that_is_full_before_a_run_leaves_everything_as_it_is_and_the_build_runs() {
    type Fill = fn(&Disk);
    let fills: [(&str, Fill); 2] = [("no room", Disk::fill), ("no names", Disk::fill_names)];
    for (what, fill) in fills {
        let (disk, site) = site(engine().socket());
        let (services, before) = services(&site);
        fill(&disk);
        let done = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
        site.child();
        assert_eq!(services.states(), before, "{what}");
        // Paused by somebody else in mid-build: what was not taken is not given back.
        services.tell(0, "pause");
        site.go();
        done.wait()
            .expect_code(7)
            .expect_said("nothing is changed")
            .expect_said("No space left on device");
        assert_eq!(services.statuses(), ["paused", "running", "paused"], "{what}");
        services.tell(0, "unpause");
        site.makeroom(["--strict", "--pause", &services.all(), "touch", "started"])
            .run()
            .expect_code(125);
        assert!(!site.work().join("started").exists(), "{what}");
        assert_eq!(services.states(), before, "{what}");
        assert!(site.journals().is_empty(), "{what}: {:?}", site.journals());
    }
}

#[test]
fn a_lease_that_cannot_be_recorded_is_not_started() {
    type Fill = fn(&Disk);
    for fill in [Disk::fill as Fill, Disk::fill_names] {
        let (disk, site) = site(engine().socket());
        let (services, before) = services(&site);
        fill(&disk);
        let done = site.makeroom(["start", "--name", "ci", "--pause", &services.all()]).run();
        done.expect_code(125).expect_said("No space left on device");
        assert_eq!(done.out, "");
        wait_until("the keeper is gone", || site.keepers().is_empty());
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn a_disk_that_is_full_when_targets_are_to_be_recorded_lets_none_be_taken() {
    let proxy = Proxy::start();
    let (disk, site) = site(proxy.socket());
    let (services, before) = services(&site);
    // The two that run were looked at for their pids before the lease was opened; this is the first
    // look after it.
    let held = proxy.hold("inspect", 3, Moment::Before);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    held.wait();
    assert_ne!(fs::metadata(&site.journals()[0]).expect("a journal").len(), 0, "the lease is open");
    disk.fill();
    held.release();
    site.child();
    assert_eq!(services.states(), before);
    services.tell(0, "pause");
    site.go();
    run.wait()
        .expect_code(7)
        .expect_said("no container is paused")
        .expect_said("No space left on device");
    assert_eq!(
        services.statuses(),
        ["paused", "running", "paused"],
        "who paused it afterwards was somebody else"
    );
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_started_lease_whose_targets_cannot_be_recorded_ends_and_puts_everything_back() {
    let proxy = Proxy::start();
    let (disk, site) = site(proxy.socket());
    let (services, before) = services(&site);
    let held = proxy.hold("inspect", 3, Moment::Before);
    let run = site.makeroom(["start", "--strict", "--pause", &services.all()]).spawn();
    held.wait();
    disk.fill();
    held.release();
    run.wait().expect_code(125).expect_said("No space left on device");
    wait_until("the keeper is gone", || site.keepers().is_empty());
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_disk_that_is_full_while_containers_are_paused_keeps_none_of_them_from_running_again() {
    for moment in [Moment::Before, Moment::After] {
        let proxy = Proxy::start();
        let (disk, site) = site(proxy.socket());
        let (services, before) = services(&site);
        let held = proxy.hold("pause", 1, moment);
        let run = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).spawn();
        held.wait();
        disk.fill();
        held.release();
        run.wait().expect_code(3);
        assert_eq!(services.states(), before, "{moment:?}");
        assert!(site.journals().is_empty(), "{moment:?}: {:?}", site.journals());
    }
}

#[test]
fn a_disk_that_is_full_in_mid_build_keeps_nothing_from_being_put_back_whoever_does_it() {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Who {
        Keeper,
        NextKeeper,
        Orphaned,
        Recover,
        NextRun,
    }
    for who in [Who::Keeper, Who::NextKeeper, Who::Orphaned, Who::Recover, Who::NextRun] {
        let (disk, site) = site(engine().socket());
        let (services, before) = services(&site);
        let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
        let child = site.child();
        assert!(services.are("paused"), "{:?}", services.statuses());
        disk.fill();
        let keeper = run.keeper();
        match who {
            Who::Keeper => {}
            Who::NextKeeper => {
                process::signal(keeper, libc::SIGKILL);
                run.keeper_other_than(keeper);
            }
            Who::Orphaned => run.kill(),
            Who::Recover | Who::NextRun => run.kill_with_keeper(),
        }
        site.go();
        match who {
            Who::Keeper | Who::NextKeeper => {
                run.wait().expect_code(7);
            }
            Who::Orphaned => drop(wait_until("the keeper is gone", || site.keepers().is_empty())),
            Who::Recover => drop(
                site.makeroom(["recover"])
                    .run()
                    .expect_code(0)
                    .expect_said("2 containers running again"),
            ),
            Who::NextRun => drop(
                site.makeroom(["sh", "-c", "exit 3"])
                    .run()
                    .expect_code(3)
                    .expect_said("2 containers running again"),
            ),
        }
        assert_eq!(services.states(), before, "{who:?}");
        assert!(site.journals().is_empty(), "{who:?}: {:?}", site.journals());
        wait_until("the build is gone", || !process::runs(child));
    }
}

#[test]
fn an_area_that_cannot_be_recorded_is_not_made() {
    let turn = swap::turn();
    let (disk, site) = site(PathBuf::from("/nonexistent/docker.sock"));
    // The first step that goes this way takes the rest of the disk; the lease was opened before.
    let filler = disk.path("filler");
    let way = site.program(
        "way",
        &format!(
            "#!/bin/sh\ncat /dev/zero 2>/dev/null >'{}'\nshift\nexec \"$@\"\n",
            filler.display()
        ),
    );
    let area = turn.dir().join("area");
    let prepared = |wish: &str, padding: usize| {
        let way = format!("{} {} env", way.display(), "x".repeat(padding));
        let mut run = site.makeroom(["--swap", wish, "--vm-shell", &way, "--swap-file"]);
        run.args([&area]).args(["sh", "-c", UNTIL_GO]);
        run
    };
    // The way is part of what is recorded then: as long as the rest of the block that this is in,
    // but for some bytes.
    let run = prepared("off", 1).spawn();
    site.child();
    let opened = fs::read_to_string(&site.journals()[0])
        .expect("a journal")
        .lines()
        .next()
        .expect("a line")
        .len();
    site.go();
    run.wait().expect_code(7);
    fs::remove_file(&filler).expect("the host was sampled meanwhile");
    site.again();
    let run = prepared(&swap::more(64), BLOCK_BYTES - opened - 32).spawn();
    site.child();
    assert!(!area.exists() && turn.new_areas().is_empty());
    site.go();
    run.wait().expect_code(7).expect_said("no swap is made").expect_said("No space left on device");
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}
