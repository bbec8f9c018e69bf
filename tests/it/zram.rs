//! Swap in zram, which is memory: what is paused goes to an area on a disk, which is filled first;
//! where there is none, `plan` and the run say what that gives. What the services hold here does not
//! compress.

use std::fs;

use crate::support::{
    disk::Disk,
    services::Recipe,
    site::{Site, UNTIL_GO},
    swap,
    zram::Zram,
};

const MIB: u64 = 1 << 20;

#[test]
fn beside_zram_an_area_is_made_that_is_filled_first_and_gives_back_all() {
    let _turn = swap::turn();
    let zram = Zram::activate(2048, 100);
    let (disk, site) = (Disk::new("ext4", 512), Site::new());
    let services = site.hogs(&Recipe::hog(100), 2);
    let path = disk.folder("swap").join("area");
    // There is more swap than that, in zram.
    let mut run = site.makeroom(["--pause", &services.all(), "--swap", "300MiB", "--swap-file"]);
    let run = run.args([&path]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let swaps = fs::read_to_string("/proc/swaps").expect("/proc/swaps");
    let line = swaps.lines().find(|line| line.starts_with(&path.display().to_string()));
    assert!(line.is_some_and(|line| line.ends_with("\t101")), "{swaps}");
    assert!(zram.occupied_bytes() < 20 * MIB, "{} bytes", zram.occupied_bytes());
    site.go();
    let done = run.wait();
    done.expect_code(7).expect_said("2 containers paused").expect_said("swap removed");
    assert!(!done.err.contains("zram"), "{}", done.err);
    assert!(fs::read_to_string("/proc/swaps").expect("/proc/swaps").contains("/dev/zram"));
}

#[test]
fn where_there_is_zram_alone_the_run_says_why_little_was_given_back_and_plan_does_not_promise_it() {
    let _turn = swap::turn();
    let zram = Zram::activate(1024, 100);
    let site = Site::new();
    let services = site.hogs(&Recipe::hog(100), 1);
    let options = ["--swap", "off", "--method", "pause", "--pause", &services.all()];
    let plan = || {
        let shown = site.makeroom(["plan"]).args(options).run();
        shown.expect_code(0);
        shown.out.clone()
    };
    let fresh = plan();
    assert!(fresh.contains("zram, which is memory: 50 of 100 bytes stay in use"), "{fresh}");
    let run = site.makeroom(options).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(zram.occupied_bytes() > 80 * MIB, "{} bytes", zram.occupied_bytes());
    // By what it holds now, there is nothing to gain.
    assert!(plan().contains("100 of 100 bytes stay in use"), "{}", plan());
    site.go();
    run.wait().expect_code(7).expect_said("compressed swap (zram, zswap) is memory, and took");
}

#[test]
fn auto_stops_what_zram_has_no_room_for_once_compressed() {
    let _turn = swap::turn();
    let _zram = Zram::activate(128, 100);
    let site = Site::new();
    let services = site.hogs(&Recipe::hog(100), 1);
    // 128 MiB of zram are reckoned as 64.
    let run = site.makeroom(["--swap", "off", "--pause", &services.all(), "sh", "-c", UNTIL_GO]);
    let mut run = run;
    let run = run.spawn();
    site.child();
    assert_eq!(services.statuses(), ["exited"]);
    site.go();
    run.wait().expect_code(7).expect_said("1 container stopped");
}
