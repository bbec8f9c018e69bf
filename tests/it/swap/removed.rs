//! Gone after a crash, too; shared by runs, of which the last one removes it.

use std::{fs, path::Path, process::Command};

use crate::support::{
    disk::Disk,
    makeroom::{Running, wait_until_gone},
    must_run, process,
    site::{Site, UNTIL_GO},
    swap, wait_for, wait_for_line, wait_until,
};

use super::{LOOK, assert_nothing_left, seen, site, wishing};

/// A build that runs until `$0.go` is there.
const NAMED: &str = r#"echo $$ >"$0.pid"; while ! [ -e "$0.go" ]; do sleep 0.02; done"#;

/// A run of this name that shares this area, and has begun.
fn begin_named(site: &Site, wish: &str, area: &Path, name: &str) -> Running {
    let options = ["--swap", wish, "--swap-file"];
    let run = site.makeroom(options).args([area]).args(["sh", "-c", NAMED, name]).spawn();
    wait_for_line(&site.work().join(format!("{name}.pid")));
    run
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
        let begin = |name: &str| begin_named(&site, &wish, &path, name);
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
    let begin = |name: &str| begin_named(&site, &wish, &path, name);
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
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert!(turn.new_areas().is_empty() && disk.areas().is_empty() && !path.exists());
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}
