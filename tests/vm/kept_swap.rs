//! `makeroom swap on --persist`: swap that stays in the VM, over a boot as well, and is undone to
//! the last byte; and swap that somebody made by hand, which is only looked at.

use crate::place::{Place, expect_no_swap_here};

const KEPT: &str = "/var/lib/makeroom/swap";

/// Every byte of fstab, and when it was last written.
fn fstab(place: &Place) -> String {
    place.vm.sh("stat -c '%i %y %a %u' /etc/fstab; od -c /etc/fstab")
}

fn fstab_bytes(place: &Place) -> String {
    place.vm.sh("od -c /etc/fstab")
}

fn lines_for_swap(place: &Place) -> u64 {
    place.vm.number("awk '$3 == \"swap\"' /etc/fstab | wc -l")
}

#[test]
fn swap_that_is_kept_survives_a_boot_and_off_leaves_fstab_as_it_was() {
    let place = Place::colima();
    let before = fstab_bytes(&place);
    let on = place.makeroom(["swap", "on", "--persist"]).run();
    on.expect_code(0).expect_said("2.0 GiB").expect_said("in colima").expect_said("/etc/fstab");
    assert_eq!(place.vm.areas(), [KEPT]);
    assert_eq!(place.vm.word(&format!("stat -c '%a %u' {KEPT}")), "600 0");
    // Swap's own head takes a page, and a file has whole MiB.
    let mebibytes = place.vm.number(&format!("stat -c %s {KEPT}")) >> 20;
    assert!((2048..=2049).contains(&mebibytes), "{mebibytes} MiB");
    assert_eq!(lines_for_swap(&place), 1);
    expect_no_swap_here();

    let once = fstab(&place);
    place.makeroom(["swap", "on", "--persist"]).run().expect_code(0).expect_said("is on already");
    assert_eq!(fstab(&place), once);
    assert_eq!(place.vm.areas(), [KEPT]);

    place.vm.shut_down();
    place.vm.boot();
    place.connect_colima();
    assert_eq!(place.vm.areas(), [KEPT]);
    let status = place.makeroom(["swap", "status"]).run();
    assert!(
        status
            .expect_code(0)
            .out
            .contains("/var/lib/makeroom/swap  by `makeroom swap on --persist`, at every boot"),
        "{}",
        status.out
    );
    place.makeroom(["swap", "on", "--persist"]).run().expect_code(0).expect_said("is on already");
    assert_eq!(fstab(&place), once);

    // A run finds it, and neither makes another nor takes it away.
    let run = place.makeroom(["--", "true"]).run();
    assert!(
        !run.expect_code(0).err.contains("swap made") && !run.err.contains("swap removed"),
        "{}",
        run.err
    );
    assert_eq!(place.vm.areas(), [KEPT]);

    place
        .makeroom(["swap", "off"])
        .run()
        .expect_code(0)
        .expect_said("off and deleted")
        .expect_said("out of /etc/fstab");
    assert_eq!(fstab_bytes(&place), before);
    assert_eq!(place.vm.areas(), Vec::<String>::new());
    assert_eq!(place.vm.word("find /var/lib/makeroom -type f; find /etc -name '*makeroom*'"), "");
    place.makeroom(["swap", "off"]).run().expect_code(0).expect_said("nothing is changed");
    assert_eq!(fstab_bytes(&place), before);
}

#[test]
fn an_fstab_without_an_end_of_its_last_line_is_given_back_without_one() {
    let place = Place::colima();
    place.vm.sh("text=$(cat /etc/fstab); printf %s \"$text\" >/etc/fstab");
    let before = fstab_bytes(&place);
    place.makeroom(["swap", "on", "--swap", "64MiB", "--persist"]).run().expect_code(0);
    assert_eq!((place.vm.areas(), lines_for_swap(&place)), (vec![KEPT.to_owned()], 1));
    let once = fstab(&place);
    place.makeroom(["swap", "on", "--swap", "64MiB", "--persist"]).run().expect_code(0);
    assert_eq!(fstab(&place), once);
    place.makeroom(["swap", "off"]).run().expect_code(0);
    assert_eq!(fstab_bytes(&place), before);
    assert_eq!(place.vm.areas(), Vec::<String>::new());
}

#[test]
fn swap_made_by_hand_is_recognised_and_left_alone() {
    let place = Place::colima();
    place.vm.sh("fallocate -l 256M /swap; chmod 600 /swap; mkswap -q /swap; swapon /swap; echo '/swap none swap sw 0 0' >>/etc/fstab");
    let (file, lines) = (place.vm.sh("stat -c '%i %s %a %Y' /swap"), fstab(&place));
    place
        .makeroom(["swap", "on", "--swap", "200MiB", "--persist"])
        .run()
        .expect_code(0)
        .expect_said("(`/swap`); nothing is changed");
    place.makeroom(["swap", "off"]).run().expect_code(0).expect_said("nothing is changed");
    // As much as a run wants free is there.
    let done = place.makeroom(["--swap", "200MiB", "--", "true"]).run();
    assert!(!done.expect_code(0).err.contains("swap made"), "{}", done.err);
    // More than is there is made beside it, and only that is taken away again.
    let done = place.makeroom(["--swap", "400MiB", "--", "true"]).run();
    done.expect_code(0).expect_said("of swap made for this run").expect_said("swap removed");
    assert_eq!(place.vm.areas(), ["/swap"]);
    assert_eq!((place.vm.sh("stat -c '%i %s %a %Y' /swap"), fstab(&place)), (file, lines));
}
