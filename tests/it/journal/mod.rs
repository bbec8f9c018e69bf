//! What is on disk before each act, and what becomes of journals that are torn, damaged, newer, or
//! no files at all.

mod damaged;
mod written;

use std::path::PathBuf;

use crate::support::{
    services::Services,
    site::{Site, UNTIL_GO},
};

/// A lease that lost both its processes, and its journal.
fn abandoned(site: &Site, services: &Services) -> PathBuf {
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.kill_with_keeper();
    site.again();
    assert!(services.are("paused"));
    let journals = site.journals();
    let [journal] = &journals[..] else { panic!("one journal: {journals:?}") };
    journal.clone()
}
