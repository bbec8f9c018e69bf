//! Made where it is missing, only as much as is missing, and gone after the build, however it ends.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use crate::support::{disk::Disk, swap, wait_within};

use super::{LOOK, Theirs, active, assert_nothing_left, looking, seen, site, wishing};

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
