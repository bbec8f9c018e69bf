//! Owns the surroundings of a round: its services in the engine, its state directory, and what both
//! were like before anything happened.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::{
    plan::{Before, Command, Round, SlowStop},
    stranger::Ground,
    support::{
        dockerd::engine,
        must_run,
        proxy::Proxy,
        services::{Recipe, Services, State},
        site::Site,
        stalled::Stalled,
        swap, unique, wait_until,
    },
};

/// The surroundings of a round.
pub struct World {
    pub site: Site,
    pub services: Vec<Services>,
    /// What each was like.
    pub before: Vec<State>,
    /// Where the round's swap areas are.
    pub swap_dir: tempfile::TempDir,
    /// In front of the engine.
    pub proxy: Option<Proxy>,
    /// Where the stranger is.
    pub ground: Option<Ground>,
    /// The stderr of each command, where nobody reads it.
    pub stalled: Vec<Option<Stalled>>,
    label: String,
    disk: Option<Disk>,
}

/// A small file system for the state directory, gone at drop.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).expect("a directory");
        must_run(
            std::process::Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs"])
                .arg(&path),
        );
        Self(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: what a failing round left open shall not keep it.
        must_run(std::process::Command::new("umount").arg("-l").arg(&self.0));
    }
}

impl World {
    /// Starts what the round needs.
    pub fn new(round: &Round) -> Self {
        let proxy = round.has_proxy().then(Proxy::start);
        let socket = proxy.as_ref().map_or_else(|| engine().socket(), Proxy::socket);
        let is_theirs = round.stranger.is_some_and(|stranger| stranger.has_state);
        let site = Site::with_state_at(socket, if is_theirs { "theirs/state" } else { "state" });
        fs::create_dir_all(site.state().parent().expect("a directory")).expect("a directory");
        let swap_dir = swap::directory();
        let disk = round.fills_the_disk().then(|| Disk::mount(site.state()));
        let ground =
            round.stranger.map(|stranger| Ground::prepare(stranger, &site, swap_dir.path()));
        let stderr = |command: &Command| command.surroundings().full_stderr.map(Stalled::full);
        let stalled = round.commands.iter().map(|(_, command)| stderr(command)).collect();
        let label = unique("chaos");
        let services: Vec<_> = (0..round.services.len())
            .map(|index| site.start(&recipe(round, index, &label), 1))
            .collect();
        for (service, planned) in services.iter().zip(&round.services) {
            wait_until("a service runs", || service.are("running"));
            match planned.before {
                Before::Running => {}
                Before::Paused => service.tell(0, "pause"),
                Before::Stopped => service.tell(0, "stop"),
            }
        }
        let before = services.iter().map(|service| service.state(0).expect("just made")).collect();
        Self { site, services, before, swap_dir, proxy, ground, stalled, label, disk }
    }

    /// Where the swap area is to be.
    #[must_use]
    pub fn area(&self) -> PathBuf {
        self.ground.as_ref().map_or_else(|| self.swap_dir.path().join("area"), Ground::area)
    }

    /// What selects all services of the round and nothing else.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("label:chaos={}", self.label)
    }

    /// What selects the first of them alone.
    #[must_use]
    pub fn selector_of_first(&self) -> String {
        self.services[0].name(0).to_owned()
    }

    /// Where this command's build tells that it has begun.
    #[must_use]
    pub fn begun(&self, command: usize) -> PathBuf {
        self.site.work().join(format!("begun-{command}"))
    }

    /// Fills the state directory's file system, or gives the room back.
    pub fn fill_disk(&self, is_full: bool) {
        let Some(Disk(path)) = &self.disk else { return };
        let filler = path.join("filler");
        if is_full {
            // It ends with what does not fit: that is what it is for.
            let _ = fs::write(filler, vec![0; 1 << 20]);
        } else {
            let _ = fs::remove_file(filler);
        }
    }
}

fn recipe(round: &Round, index: usize, label: &str) -> Recipe {
    let planned = &round.services[index];
    let mut recipe = Recipe::default().label("chaos", label).restart(planned.policy);
    if planned.auto_remove {
        recipe = recipe.auto_remove();
    }
    if let Some(SlowStop { takes_ms, timeout }) = planned.slow_stop {
        let sleep = format!("sleep {}.{:03}", takes_ms / 1000, takes_ms % 1000);
        recipe = recipe.script(&format!(
            "trap '{sleep}; exit 0' TERM; while :; do sleep 3600 & wait $!; done"
        ));
        if let Some(timeout) = timeout {
            recipe = recipe.field("StopTimeout", json!(timeout));
        }
    }
    if planned.has_health_check {
        recipe = recipe.field("Healthcheck", json!({ "Test": ["CMD", "/bin/true"], "Interval": 200_000_000, "Timeout": 1_000_000_000 }));
    }
    if round.is_project {
        let needs = index
            .checked_sub(1)
            .map_or(String::new(), |before| format!("s{before}:service_started:false"));
        recipe = recipe
            .label("com.docker.compose.project", label)
            .label("com.docker.compose.service", &format!("s{index}"));
        recipe = recipe.label("com.docker.compose.depends_on", &needs);
    }
    recipe
}
