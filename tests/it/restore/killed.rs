//! After SIGKILL of one or both of makeroom's processes.

use std::time::Duration;

use nix::sys::resource::Resource;

use crate::support::{
    makeroom::wait_until_gone,
    process,
    site::{STUBBORN, Site, UNTIL_GO},
    wait_within,
};

use super::build;

#[test]
fn after_sigkill_of_the_supervisor_the_keeper_ends_the_build_and_restores_within_a_second() {
    let site = Site::new();
    let services = site.services(3);
    let before = services.states();
    let mut run = build(&site, &services, "echo $$ >child; exec sleep 60");
    let keeper = run.keeper();
    run.kill();
    wait_within(Duration::from_secs(2), "all run", || services.are("running"));
    assert!(!process::runs(site.child()));
    assert_eq!(services.states(), before);
    wait_until_gone(Duration::from_secs(2), "the keeper", &[keeper]);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn after_sigkill_of_the_supervisor_a_stubborn_build_is_killed_and_all_run_within_four_seconds() {
    let site = Site::new();
    let services = site.services(2);
    let mut run = build(&site, &services, STUBBORN);
    run.kill();
    wait_within(Duration::from_secs(5), "all run", || services.are("running"));
    assert!(!process::runs(site.child()), "no build beside services that run");
}

#[test]
fn a_killed_keeper_is_replaced_and_everything_is_restored_all_the_same() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let run = build(&site, &services, UNTIL_GO);
    let first = run.keeper();
    process::signal(first, libc::SIGKILL);
    let second = run.keeper_other_than(first);
    assert!(services.are("paused"), "the build goes on, so room stays made");
    process::signal(second, libc::SIGKILL);
    run.keeper_other_than(second);
    site.go();
    run.wait().expect_code(7);
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_keeper_told_to_end_restores_at_once() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let site = Site::new();
        let services = site.services(1);
        let run = build(&site, &services, UNTIL_GO);
        process::signal(run.keeper(), signal);
        services.wait_until_all("running");
        assert!(process::runs(site.child()), "the build goes on");
        site.go();
        run.wait().expect_code(7);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn after_sigkill_of_both_recover_restores() {
    let site = Site::new();
    let services = site.services(3);
    let before = services.states();
    let mut run = build(&site, &services, UNTIL_GO);
    run.kill_with_keeper();
    assert!(services.are("paused"), "nobody is left who could");
    assert_eq!(site.journals().len(), 1);
    site.makeroom(["recover"]).run().expect_code(0).expect_said("3 containers running again");
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
    site.makeroom(["recover"]).run().expect_code(0).expect_said("nothing to recover");
}

#[test]
fn after_sigkill_of_both_the_next_run_restores_first() {
    let site = Site::new();
    let services = site.services(2);
    let mut run = build(&site, &services, UNTIL_GO);
    run.kill_with_keeper();
    site.makeroom(["true"]).run().expect_code(0).expect_said("lost its holder");
    assert!(services.are("running"));
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn where_no_keeper_ever_began_nothing_is_said_to_be_left() {
    let site = Site::new();
    let services = site.services(1);
    // Enough for a supervisor and its child, and too few for a keeper's runtime.
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 6"]);
    let done = run.limit_resource(Resource::RLIMIT_NOFILE, 13, 13).run();
    done.expect_code(6).expect_said("no keeper can be started");
    assert!(!done.err.contains("not known to run again"), "{}", done.err);
    assert!(services.are("running"));
    assert_eq!(
        site.makeroom(["recover"]).run().expect_code(0).err.matches("nothing to recover").count(),
        1
    );
}
