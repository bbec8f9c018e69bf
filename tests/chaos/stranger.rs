//! Owns the stranger: another user who, for a whole round, moves about what lies in directories
//! that he can write to, and plants what is not root's where root looks; and what must not have
//! come of it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::json;

use crate::{
    plan::Stranger,
    support::{
        journal::Journal,
        services::{Services, State},
        site::Site,
        stranger::{become_stranger, give_away, label_in_sight},
        swap,
    },
};

static PRECIOUS: [u8; 1 << 20] = [7; 1 << 20];
/// Long enough for what is made in one directory to be written to in another one.
const MOMENT: Duration = Duration::from_millis(2);

/// Where he is.
pub struct Ground {
    /// Root's; he can make what he likes in it.
    site: PathBuf,
    state: PathBuf,
    /// Where the directory of the swap areas is.
    yard: PathBuf,
    /// Root's: nothing is to be left in it.
    roots: PathBuf,
    /// Root's, and large enough to be swap.
    precious: PathBuf,
    /// His.
    trap: PathBuf,
    /// A service that nobody makes room with.
    bystander: Services,
    before: State,
}

/// He is at it.
pub struct Race {
    done: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Ground {
    /// Prepares it, in the site's directory and the one of the swap areas.
    #[must_use]
    pub fn prepare(plan: Stranger, site: &Site, swap_dir: &Path) -> Self {
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
        };
        let folder = |name: &str| {
            let path = swap_dir.join(name);
            fs::create_dir(&path).expect("a directory");
            path
        };
        let his =
            |path: &Path, is_his: bool| if is_his { give_away(path) } else { mode(path, 0o1777) };
        mode(swap_dir, 0o711);
        let (yard, roots, trap, precious) =
            (folder("yard"), folder("roots"), folder("trap"), swap_dir.join("precious"));
        fs::create_dir(yard.join("d")).expect("a directory");
        his(&yard, plan.has_swap);
        give_away(&trap);
        fs::write(&precious, PRECIOUS).expect("written");
        mode(&precious, 0o600);
        his(&site.path(""), false);
        if plan.has_state {
            his(site.state().parent().expect("a directory"), true);
        }
        if plan.comes_late && !site.state().exists() {
            fs::create_dir(site.state()).expect("a directory");
            mode(&site.state(), 0o700);
        }
        let bystander = site.services(1);
        let before = bystander.state(0).expect("just made");
        Self {
            site: site.path(""),
            state: site.state(),
            yard,
            roots,
            precious,
            trap,
            bystander,
            before,
        }
    }

    /// Where the round's swap area is to be.
    #[must_use]
    pub fn area(&self) -> PathBuf {
        self.yard.join("d/area")
    }

    /// Lets him begin.
    #[must_use]
    pub fn race(&self) -> Race {
        let done = Arc::new(AtomicBool::new(false));
        let paths = [&self.site, &self.state, &self.yard, &self.roots, &self.precious, &self.trap]
            .map(Clone::clone);
        let (name, is_done) = (self.bystander.name(0).to_owned(), Arc::clone(&done));
        let thread = thread::spawn(move || {
            become_stranger();
            let [site, state, yard, roots, precious, trap] = &paths;
            let his = site.join("his");
            prepare_state(&his, &trap.join("vm"), roots);
            let _ = symlink(precious, trap.join("area"));
            let toml = format!(
                "pause = [\"{name}\"]\non_room_made = \"touch {}/obeyed\"\n",
                roots.display()
            );
            let mut got = 0;
            for turn in 0.. {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                plant_settings(site, precious, &toml, turn);
                // What is looked for is there for longer than that.
                if let Some(label) = (turn % 4 == 0).then(label_in_sight).flatten() {
                    let _ = symlink(precious, trap.join(format!("area.{label}")));
                }
                let swap = exchange(
                    &yard.join("d"),
                    &yard.join("aside"),
                    if turn % 2 == 0 { trap } else { roots },
                    false,
                );
                let state = exchange(state, &state.with_extension("aside"), &his, turn % 2 == 0);
                got += u64::from(swap) + u64::from(state);
            }
            let _ = fs::remove_file(site.join("makeroom.toml"));
            got
        });
        Race { done, thread }
    }

    /// What he got, a line each.
    #[must_use]
    pub fn judge(&self, kills_the_engine: bool) -> Vec<String> {
        let found = fs::metadata(&self.precious).expect("there");
        let is_whole = fs::read(&self.precious).is_ok_and(|bytes| bytes == PRECIOUS);
        let left: Vec<_> = fs::read_dir(&self.roots)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        let now = self.bystander.state(0);
        let is_as_before = if kills_the_engine {
            now.is_none_or(|now| now.status != "paused")
        } else {
            now.as_ref() == Some(&self.before)
        };
        let lines = [
            (!is_whole || (found.uid(), found.mode() & 0o7777) != (0, 0o600))
                .then(|| "a file of root's was changed".to_owned()),
            swap::areas().contains(&self.precious).then(|| "a file of root's is swap".to_owned()),
            (!left.is_empty()).then(|| format!("a stranger was obeyed: {left:?}")),
            (!is_as_before).then(|| "a service was touched that only a stranger named".to_owned()),
        ];
        lines.into_iter().flatten().collect()
    }
}

impl Race {
    /// He gives up, and puts back what he moved; how often something of his had a name of root's.
    pub fn stop(self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ended")
    }
}

/// For a moment something else has this name, which was root's; tells whether it had.
fn exchange(path: &Path, aside: &Path, other: &Path, by_itself: bool) -> bool {
    let is_moved = fs::rename(path, aside).is_ok();
    let planted = if by_itself { fs::rename(other, path) } else { symlink(other, path) };
    thread::sleep(MOMENT);
    if planted.is_ok() {
        let _ = if by_itself { fs::rename(path, other) } else { fs::remove_file(path) };
    }
    if is_moved {
        let _ = fs::rename(aside, path);
    }
    thread::sleep(MOMENT);
    planted.is_ok()
}

/// A state directory in which a dead lease has a command to run.
fn prepare_state(dir: &Path, vm: &Path, roots: &Path) {
    const LEASE: &str = "00112233445566ff";
    let journal = dir.join(format!("leases/{LEASE}.journal"));
    fs::create_dir_all(dir.join("leases")).expect("his own");
    Journal::of(LEASE).with_area_behind(&json!([vm])).write(&journal);
    fs::write(vm, format!("#!/bin/sh\ntouch {}/obeyed\n", roots.display())).expect("written");
    for (path, mode) in [(dir, 0o700), (&dir.join("leases"), 0o700), (&journal, 0o600), (vm, 0o755)]
    {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }
}

/// Settings above the working directory: his own, a link to what only root can read, what a reader
/// waits for, and nonsense.
fn plant_settings(site: &Path, precious: &Path, toml: &str, turn: u64) {
    let made = site.join("his.toml");
    let _ = match turn % 4 {
        0 => fs::write(&made, toml),
        1 => symlink(precious, &made),
        2 => mkfifo(&made, Mode::from_bits_truncate(0o644)).map_err(Into::into),
        _ => fs::write(&made, "= no settings ="),
    };
    let _ = fs::rename(&made, site.join("makeroom.toml"));
}
