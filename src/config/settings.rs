//! Owns what was decided: the settings that everything else reads, made of all levels as one, with
//! the defaults. A new option has its field here, or in what a room or its guard is asked for.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    config::{error::ConfigError, found::Refused, layer::Layer},
    core::{
        machine::{pressure, swap::OWN_DIR},
        run::{
            hook,
            room_settings::{Afterwards, RoomSettings},
        },
        values::{ColorWish, NeedWish, NonZeroSpan, Span},
    },
};

/// `--restore-timeout` where nothing is said.
const RESTORE_TIMEOUT: Span = Span(Duration::from_secs(30));
/// `--grace` where nothing is said.
const GRACE: Span = Span(Duration::from_secs(10));

/// Everything that was decided.
#[derive(Debug)]
pub struct Settings {
    /// What the keeper is asked for.
    pub room: RoomSettings,
    /// How the build is run.
    pub run: RunSettings,
    /// How much is said.
    pub ui: UiSettings,
    /// `--state-dir`.
    pub state_dir: PathBuf,
    /// It was named, and is not the default one.
    pub is_state_dir_named: bool,
    /// Files that were found and are somebody else's.
    pub refused: Vec<Refused>,
    /// Variables and keys that cannot be used, where that keeps nobody from restoring or looking.
    pub faults: Vec<ConfigError>,
}

/// How the build is run.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// `--need`.
    pub need: Option<NeedWish>,
    /// `--strict`.
    pub strict: bool,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--grace`.
    pub grace: Duration,
    /// `--wait`.
    pub wait: Option<Duration>,
    /// `--report`.
    pub report: Option<PathBuf>,
    /// `--record-arguments`.
    pub record_arguments: bool,
}

/// How much is said, and how.
#[derive(Clone, Copy, Debug)]
pub struct UiSettings {
    /// `--quiet`.
    pub quiet: bool,
    /// `--verbose`.
    pub verbose: bool,
    /// `--color`.
    pub color: ColorWish,
}

impl Settings {
    /// What all levels as one come to.
    ///
    /// # Errors
    /// [`ConfigError`] for a path that nobody could be told, or that is not known.
    pub(super) fn of(all: Layer) -> Result<Self, ConfigError> {
        let Layer { room, child, common } = all;
        let guard = pressure::Wish {
            then: child.guard.then.unwrap_or_default(),
            pressure: child.guard.pressure.unwrap_or(pressure::PRESSURE),
            floor_bytes: child.guard.floor.map(|floor| floor.bytes),
            abort_after: limit(child.guard.abort_on_thrash),
        };
        let room_settings = RoomSettings {
            pause: room.pause.unwrap_or_default(),
            keep: room.keep,
            keep_typed: 0,
            method: room.method.unwrap_or_default(),
            no_reclaim: room.no_reclaim.0.unwrap_or(false),
            swap: room.swap.unwrap_or_default(),
            swap_file: room.swap_file.map(|path| whole("swap_file", &path)).transpose()?,
            engine: room.host.engine,
            context: room.host.context,
            vm_shell: room.host.vm_shell,
            stop_timeout: time(room.stop_timeout),
            restore_timeout: room.restore_timeout.unwrap_or(RESTORE_TIMEOUT).0,
            insist: room.insist.0.unwrap_or(false),
            linger: time(child.linger).filter(|linger| !linger.is_zero()),
            hooks: hook::Commands {
                on_room_made: command(room.hooks.on_room_made),
                on_pressure: command(child.guard.on_pressure),
                on_restored: command(room.hooks.on_restored),
            },
            afterwards: Afterwards { wait_healthy: time(room.wait_healthy), warm: time(room.warm) },
            // Nothing would come of it.
            guard: (!guard.then.is_empty() || guard.abort_after.is_some()).then_some(guard),
        };
        let run = RunSettings {
            need: room.need,
            strict: room.strict.0.unwrap_or(false),
            timeout: limit(child.timeout),
            grace: child.grace.unwrap_or(GRACE).0,
            wait: time(child.wait),
            report: child.report,
            record_arguments: child.record_arguments.0.unwrap_or(false),
        };
        let ui = UiSettings {
            quiet: common.quiet.0.unwrap_or(false),
            verbose: common.verbose.0.unwrap_or(false),
            color: common.color.unwrap_or_default(),
        };
        let is_state_dir_named = common.state_dir.is_some();
        let state_dir = common.state_dir.map_or_else(default_state_dir, Ok)?;
        whole("state_dir", &state_dir)?;
        let (refused, faults) = (vec![], vec![]);
        Ok(Self { room: room_settings, run, ui, state_dir, is_state_dir_named, refused, faults })
    }
}

fn limit(span: Option<NonZeroSpan>) -> Option<Duration> {
    time(span.map(|span| span.0))
}

fn time(span: Option<Span>) -> Option<Duration> {
    span.map(|span| span.0)
}

/// An empty command takes a farther level's away.
fn command(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// A path as journals, keepers and scripts on the host are told it: as text, and from the root,
/// because they are in other directories. A relative one stays as it is where there is no working
/// directory.
///
/// # Errors
/// [`ConfigError::NotText`]: half of them would take another one.
fn whole(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole
        .into_os_string()
        .into_string()
        .map_err(|path| ConfigError::NotText { key, path: path.into() })
}

/// The user's own file.
pub(super) fn user_file() -> Option<PathBuf> {
    Some(xdg("XDG_CONFIG_HOME", ".config")?.join("makeroom/makeroom.toml"))
}

fn default_state_dir() -> Result<PathBuf, ConfigError> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from(OWN_DIR));
    }
    xdg("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("makeroom")).ok_or(ConfigError::NoHome)
}

/// An XDG directory's variable, which counts only where it is an absolute path (XDG Base Directory
/// Specification).
fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    // Without a HOME it is the one that the system knows of.
    named.or_else(|| Some(env::home_dir().filter(|home| home.is_absolute())?.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::values::{Percent, Size, SwapWish};

    fn settled(toml: &str) -> Settings {
        let mut layer: Layer = toml::from_str(toml).expect(toml);
        layer.common.state_dir.get_or_insert_with(|| PathBuf::from("/s"));
        Settings::of(layer).expect("settings")
    }

    #[test]
    fn without_a_word_the_defaults_are_the_documented_ones() {
        let Settings { room, run, .. } = settled("");
        assert_eq!(room.swap, SwapWish::Free(Size { bytes: 2 << 30 }));
        assert_eq!((room.swap_file, room.vm_shell, room.guard), (None, None, None));
        assert_eq!(
            (run.grace, room.restore_timeout),
            (Duration::from_secs(10), Duration::from_secs(30))
        );
        assert!(room.pause.is_empty() && run.timeout.is_none() && !run.strict);
    }

    #[test]
    fn memory_is_watched_only_where_something_would_come_of_it() {
        assert_eq!(settled("floor = '1G'\npressure = '20%'").room.guard, None);
        let guard = settled("then = ['a']").room.guard.expect("steps");
        assert_eq!(
            (guard.then.len(), guard.pressure, guard.floor_bytes, guard.abort_after),
            (1, Percent(10), None, None)
        );
        let guard = settled("abort_on_thrash = '30s'\nfloor = '1G'").room.guard.expect("an end");
        assert_eq!(
            (guard.floor_bytes, guard.abort_after),
            (Some(1 << 30), Some(Duration::from_secs(30)))
        );
    }

    #[test]
    fn an_empty_command_and_no_time_to_linger_are_none() {
        let room = settled("on_room_made = ' '\non_restored = 'x'\nlinger = '0s'").room;
        assert_eq!((room.hooks.on_room_made, room.linger), (None, None));
        assert_eq!(room.hooks.on_restored, Some("x".to_owned()));
    }

    #[test]
    fn a_path_is_whole_and_one_that_is_no_text_is_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        let path = Path::new(OsStr::from_bytes(b"/s/\xff"));
        let refused = whole("state_dir", path).expect_err("no text").to_string();
        assert!(
            refused.starts_with("state_dir: /s/") && refused.contains("is not UTF-8"),
            "{refused}"
        );
        let here = env::current_dir().expect("a directory").join("ä/b");
        assert_eq!(settled("swap_file = 'ä/b'").room.swap_file.as_deref(), here.to_str());
    }
}
