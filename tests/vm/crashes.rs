//! What is put back when whoever made the room is gone, or the VM itself was.

use crate::{
    place::{AREA, PATIENCE, Place},
    support::{process, site::UNTIL_GO, wait_within},
};

#[test]
fn with_supervisor_and_keeper_killed_recover_restores_by_the_recorded_way() {
    let place = Place::colima();
    let hogs = place.hogs(2, 60);
    let (before, sums) = (hogs.states(), hogs.sums());
    let mut run = place.makeroom(["--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO]).spawn();
    place.wait_for_build();
    run.kill_with_keeper();
    place.site.go();
    assert!(hogs.are("paused"), "nobody is left who could put them back");
    assert_eq!(place.vm.areas(), [AREA]);
    let status = place.makeroom(["status"]).run();
    assert!(
        status.expect_code(0).out.contains("its holder is dead: makeroom recover"),
        "{}",
        status.out
    );
    // Neither this home's context nor its socket is asked: the journal tells the engine and the
    // way.
    std::fs::remove_dir_all(place.site.path("home/.docker")).expect("removed");
    place
        .makeroom(["recover"])
        .run()
        .expect_code(0)
        .expect_said("2 containers running again; its swap removed");
    assert_eq!(hogs.states(), before);
    assert_eq!(hogs.sums_again(), sums);
    place.expect_nothing_left();
    place.makeroom(["recover"]).run().expect_code(0).expect_said("nothing to recover");
}

#[test]
fn a_killed_keeper_is_replaced_and_the_build_goes_on_and_everything_is_put_back() {
    let place = Place::colima();
    let hogs = place.hogs(2, 60);
    let before = hogs.states();
    let run = place.makeroom(["--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO]).spawn();
    place.wait_for_build();
    let keeper = run.keeper();
    process::signal(keeper, libc::SIGKILL);
    run.keeper_other_than(keeper);
    assert!(hogs.are("paused"), "{:?}", hogs.states());
    place.site.go();
    run.wait().expect_code(7).expect_said("2 containers running again").expect_said("swap removed");
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
}

#[test]
fn a_vm_that_dies_in_mid_build_and_comes_back_has_its_services_again_and_no_swap() {
    let place = Place::colima();
    let hogs = place.hogs(2, 60);
    let run = place
        .makeroom(["--restore-timeout", "3s", "--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO])
        .spawn();
    place.wait_for_build();
    // What the engine has written of its containers would be lost with the power otherwise.
    place.vm.sh("sync");
    place.vm.die();
    place.site.go();
    let done = run.wait();
    // The build itself did not need the VM.
    done.expect_code(7)
        .expect_said("NOT running again")
        .expect_said(AREA)
        .expect_said("makeroom recover");
    assert_eq!(place.site.journals().len(), 1);

    place.vm.boot();
    place.connect_colima();
    assert!(hogs.are("exited"), "{:?}", hogs.states());
    assert_eq!(place.vm.word(&format!("ls {AREA}")), AREA, "the file outlived the swap on it");
    place.makeroom(["recover"]).run().expect_code(0).expect_said("2 containers running again");
    assert!(hogs.are("running"), "{:?}", hogs.states());
    place.expect_nothing_left();
}

#[test]
fn an_interrupt_while_room_is_made_in_the_vm_leaves_it_as_it_was() {
    let place = Place::colima();
    let hogs = place.hogs(3, 60);
    let before = hogs.states();
    let run = place.makeroom(["--pause", hogs.all(), "--", "sh", "-c", "touch ran"]).spawn();
    // The next step pushes their memory out.
    wait_within(PATIENCE, "the services are paused", || hogs.are("paused"));
    run.signal(libc::SIGINT);
    let done = run.wait();
    assert!(
        done.signal() == Some(libc::SIGINT) || done.code() == Some(130),
        "{}\n{}",
        done.status,
        done.err
    );
    assert!(!place.site.work().join("ran").exists());
    assert_eq!(hogs.states(), before);
    place.wait_until_swap_is_gone();
    place.expect_nothing_left();
}
