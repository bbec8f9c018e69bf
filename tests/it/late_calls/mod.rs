//! A stop that takes its time, and a pause that is held back on its way: what the engine may still
//! do to a service though nobody waits for the answer any more is not forgotten. makeroom returns
//! by its time and names the service; the lease stays recorded, and the keeper, or `recover`, waits
//! for it with nobody's lock held.

mod pauses;
mod stops;

use std::{fs, time::Duration};

use serde_json::json;

use crate::support::{
    makeroom::Running,
    process,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_until, wait_within,
};

/// Longer than any time that a call which nobody waits for was ever given.
const LONGER: Duration = Duration::from_secs(16);

/// A service that has been told to stop, and does so once there is a file `open`.
struct Slow {
    site: Site,
    services: Services,
}

impl Slow {
    fn new(stop_timeout: i64) -> Self {
        Self::at(Site::new(), stop_timeout)
    }

    fn at(site: Site, stop_timeout: i64) -> Self {
        let gate = site.path("gate");
        fs::create_dir(&gate).expect("a directory");
        let script = "trap 'echo told >/gate/told; while ! [ -e /gate/open ]; do sleep 0.05; done; exit 0' TERM; while :; do sleep 0.05; done";
        let recipe = Recipe::default()
            .script(script)
            .host("Binds", json!([format!("{}:/gate", gate.display())]));
        let services = site.start(&recipe.field("StopTimeout", json!(stop_timeout)), 1);
        Self { site, services }
    }

    #[track_caller]
    fn wait_until_told(&self) {
        wait_until("the service is told to stop", || self.site.path("gate/told").exists());
    }

    fn open(&self) {
        fs::write(self.site.path("gate/open"), "").expect("written");
    }

    fn run(&self) -> Running {
        self.site
            .makeroom(["--method", "stop", "--pause", &self.services.all(), "sh", "-c", UNTIL_GO])
            .spawn()
    }

    /// It ran again after it was stopped, and nothing is recorded any more.
    #[track_caller]
    fn expect_back(&self, before: &[Option<crate::support::services::State>]) {
        wait_until("it was started again", || {
            let now = self.services.state(0).expect("there");
            now.status == "running"
                && now.started_at != before[0].as_ref().expect("there").started_at
        });
        wait_until("nothing is recorded", || self.site.journals().is_empty());
    }
}

/// Nothing is given up for longer than it was before: neither the lease nor its keeper.
#[track_caller]
fn expect_waiting(site: &Site, keeper: i32) {
    let begun = std::time::Instant::now();
    wait_within(LONGER + Duration::from_secs(1), "a while is over", || {
        assert!(
            process::runs(keeper) && site.journals().len() == 1,
            "given up after {:?}",
            begun.elapsed()
        );
        begun.elapsed() >= LONGER
    });
}
