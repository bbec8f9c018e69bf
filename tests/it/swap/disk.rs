//! The disk that an area is on keeps room for the build: a smaller area is made, or none; it is said,
//! and `plan` knows it before.

use std::{fs, path::Path};

use crate::support::{disk::Disk, makeroom::Done, schema, site::Site, swap};

use super::{assert_nothing_left, names_in, seen, site, wishing};

const MIB: u64 = 1 << 20;
/// A build that writes down how many KiB are free where `$0` is, and which swap there is.
const FREE: &str = r#"df -Pk "${0%/*}" | awk 'END { print $4 }' >free; cp /proc/swaps swaps"#;

fn free_mib(site: &Site) -> u64 {
    let text = fs::read_to_string(site.work().join("free")).expect("the build looked");
    text.trim().parse::<u64>().expect("a number") >> 10
}

fn warning(done: &Done, path: &Path) {
    let instead = format!("of swap instead of 2.0 GiB at {}", path.display());
    done.expect_said("warning: only 1.").expect_said(&instead);
    done.expect_said("1.0 GiB of the disk stay free").expect_said("hint:");
}

#[test]
fn an_area_leaves_a_gibibyte_of_a_small_disk_and_says_that_it_is_smaller() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::exactly("ext4", 2500), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    let run = |options: &[&str]| {
        let mut run = wishing(&site, 2048, &path);
        run.args(options).args(["sh", "-c", FREE]).args([&path]).run()
    };
    let done = run(&[]);
    warning(done.expect_code(0), &path);
    let kib = seen(&site, &path).expect("an area");
    assert!((1000 << 10..2000 << 10).contains(&kib), "{kib} KiB");
    assert!((1000..1100).contains(&free_mib(&site)), "{} MiB are free", free_mib(&site));
    assert_nothing_left(&disk, &site, &dir);
    // Said also where nothing else is.
    warning(run(&["-q"]).expect_code(0), &path);
    fs::remove_file(site.work().join("free")).expect("removed");
    run(&["--strict"]).expect_code(125).expect_said("the command was not started");
    assert!(!site.work().join("free").exists());
    assert_nothing_left(&disk, &site, &dir);
}

#[test]
fn plan_reckons_with_what_the_disk_has_room_for() {
    let _turn = swap::turn();
    for (mebibytes, said) in [
        (2500, "of swap instead of 2.0 GiB can be made at"),
        (1100, "no swap can be made at"),
        (3600, ""),
    ] {
        let (disk, site) = (Disk::exactly("ext4", mebibytes), site());
        let path = disk.folder("swap").join("area");
        let wish = swap::more(2048);
        let plan = |options: &[&str]| {
            site.makeroom(["plan", "--swap", &wish, "--swap-file"])
                .args([&path])
                .args(options)
                .run()
        };
        let shown = plan(&[]).expect_code(0).out.clone();
        let told = serde_json::from_str(&plan(&["--json"]).out).expect("JSON");
        schema::must_fit("plan", &told);
        let have = told["swap_to_have_bytes"].as_u64().expect("a number") / MIB;
        let free = swap::free_mib();
        match said {
            "" => assert!(!shown.contains("of the disk") && have >= free + 2047, "{shown}"),
            _ => assert!(shown.contains(said) && have < free + 2000, "{have} MiB: {shown}"),
        }
        assert!(names_in(&disk.path("swap")).is_empty());
    }
}

#[test]
fn permanent_swap_leaves_as_much() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::exactly("ext4", 2500), site());
    let dir = disk.folder("swap");
    let path = dir.join("area");
    let wish = swap::more_in_all(2048);
    let on = site.makeroom(["swap", "on", "--swap", &wish, "--swap-file"]).args([&path]).run();
    warning(on.expect_code(0), &path);
    assert_eq!(disk.areas(), std::slice::from_ref(&path));
    site.makeroom(["swap", "off", "--swap-file"]).args([&path]).run().expect_code(0);
    assert_nothing_left(&disk, &site, &dir);
    let small = Disk::exactly("ext4", 1100);
    let path = small.folder("swap").join("area");
    let on = site.makeroom(["swap", "on", "--swap", &wish, "--swap-file"]).args([&path]).run();
    on.expect_code(125).expect_said("1024 MiB of its disk stay free");
    assert!(names_in(&small.path("swap")).is_empty());
}
