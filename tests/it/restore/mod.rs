//! What a run changes is put back, and nothing else: after success, failure, every signal, and
//! SIGKILL of one or both of makeroom's processes.

mod ended;
mod killed;

use crate::support::{makeroom::Running, services::Services, site::Site};

/// Starts a build under makeroom that pauses all of these, and waits until it runs.
#[track_caller]
fn build(site: &Site, services: &Services, script: &str) -> Running {
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", script]).spawn();
    site.child();
    run
}
