//! The state directory's lock, held by somebody who does not let go: what is given back all the
//! same, and what stays because another live run needs it. And how long makeroom itself holds it.

use std::{
    fs::{self, File},
    time::Duration,
};

use crate::support::{
    makeroom::{Running, wait_until_gone},
    services::Services,
    site::Site,
    wait_for_line,
};

/// A release waits 20 s for the lock.
const LIMIT: Duration = Duration::from_mins(1);

fn build(site: &Site, services: &Services, name: &str) -> Running {
    let script =
        format!("echo $$ >child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done; exit 7");
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", &script]).limit(LIMIT).spawn();
    wait_for_line(&site.work().join(format!("child-{name}")));
    run
}

fn go(site: &Site, name: &str) {
    fs::write(site.work().join(format!("go-{name}")), "").expect("written");
}

fn busy(site: &Site) -> File {
    let lock = File::open(site.state().join("lock")).expect("the lock's file");
    lock.lock().expect("locked");
    lock
}

#[test]
fn a_release_without_the_lock_leaves_what_another_live_run_has() {
    let site = Site::new();
    let services = site.services(1);
    let before = services.states();
    let (a, b) = (build(&site, &services, "a"), build(&site, &services, "b"));
    let lock = busy(&site);
    go(&site, "a");
    a.wait().expect_code(7).expect_said("is busy for 20 s");
    assert!(services.are("paused"), "{:?}", services.statuses());
    drop(lock);
    go(&site, "b");
    b.wait().expect_code(7);
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn of_two_releases_at_once_without_the_lock_neither_leaves_it_to_the_other() {
    let site = Site::new();
    let services = site.services(1);
    let before = services.states();
    let mut dead = build(&site, &services, "dead");
    dead.kill_with_keeper();
    let (a, b) = (build(&site, &services, "a"), build(&site, &services, "b"));
    let lock = busy(&site);
    go(&site, "a");
    go(&site, "b");
    for run in [a, b] {
        run.wait().expect_code(7).expect_said("is busy for 20 s");
    }
    assert_eq!(services.states(), before);
    drop(lock);
    site.makeroom(["recover"]).run().expect_code(0);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn recover_has_let_the_lock_go_when_its_hooks_run() {
    let site = Site::new();
    let services = site.services(1);
    let mut dead = build(&site, &services, "dead");
    let keeper = dead.keeper();
    dead.kill_with_keeper();
    wait_until_gone(LIMIT, "the keeper", &[keeper]);
    let hook =
        format!("flock --nonblock '{}' echo nobody holds it", site.state().join("lock").display());
    site.makeroom(["recover"])
        .env("MAKEROOM_ON_RESTORED", hook)
        .run()
        .expect_code(0)
        .expect_said("on_restored: nobody holds it");
    assert!(services.are("running") && site.journals().is_empty());
}
