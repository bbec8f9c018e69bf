//! Room across CI steps: `start` makes it and goes, `stop` puts it back; a lease ends also by its
//! time, with a process, or when its keeper is killed; and `status` shows what is held.

mod ended;
mod held;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{makeroom::Done, schema, services::Services, site::Site, wait_until};

/// Starts a lease of all these services; gives its id.
#[track_caller]
fn start(site: &Site, services: &Services, options: &[&str]) -> String {
    let done = site.makeroom(["start", "--pause", &services.all()]).args(options).run();
    done.expect_code(0);
    id_of(&done)
}

/// The id is all that stdout holds: `LEASE=$(makeroom start)`.
#[track_caller]
fn id_of(done: &Done) -> String {
    let id = done.out.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {:?}", done.out));
    assert!(id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{:?}", done.out);
    id.to_owned()
}

#[track_caller]
fn stop(site: &Site, words: &[&str]) -> Done {
    site.makeroom(["stop"]).args(words).run()
}

#[track_caller]
fn status(site: &Site) -> Value {
    let done = site.makeroom(["status", "--json"]).run();
    done.expect_code(0);
    let told = serde_json::from_str(&done.out);
    let told = told.unwrap_or_else(|error| panic!("{error}: {}", done.out));
    schema::must_fit("status", &told);
    told
}

#[track_caller]
fn assert_nothing_held(site: &Site) {
    assert_eq!(site.journals(), Vec::<PathBuf>::new());
    wait_until("no keeper is left", || site.keepers().is_empty());
    let left = std::fs::read_dir(site.state().join("leases")).into_iter().flatten().count();
    assert_eq!(left, 0, "something is left beside the journals");
    assert_eq!(status(site)["leases"], Value::Array(vec![]));
}
