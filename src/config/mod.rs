//! Owns the settings: flags over environment over files, and who may set what. A `makeroom.toml`
//! that comes with a repository is somebody else's: it may say what to pause, keep and for how
//! long, never which programs, paths or engines are used. One that is another user's does not count
//! at all.

mod environment;
mod file;
mod found;
mod layer;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

pub use found::Refused;
use found::Us;
use layer::Layer;

use crate::{
    cli::{ChildArgs, CommonArgs, RoomArgs},
    core::{
        machine::{pressure, way::Prefix},
        run::hook,
        target::selector::Selector,
        values::{ColorWish, MethodWish, NeedWish, Percent, Size, SwapWish},
    },
    host::swap::OWN_DIR,
};

/// Why the settings cannot be used; one line, with the place and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}:{line}: {message}", path.display())]
    File { path: PathBuf, line: usize, message: String },
    #[error("{}:{line}: `{key}` may not be set by a makeroom.toml that comes with a repository; set it in {}", path.display(), user.display())]
    NotTrusted { path: PathBuf, line: usize, key: String, user: PathBuf },
    #[error("{}:{line}: `{key}` is one hour at most in a makeroom.toml that comes with a repository; set more in {}", path.display(), user.display())]
    TooLong { path: PathBuf, line: usize, key: String, user: PathBuf },
    #[error("{}", .0.reason())]
    Refused(Refused),
    #[error("{variable}: {message}")]
    Environment { variable: String, message: String },
    #[error("{key}: {} is not UTF-8, and a lease's journal could not name it", path.display())]
    NotText { key: &'static str, path: PathBuf },
    #[error("neither HOME nor XDG_STATE_HOME is set; name a state directory with --state-dir DIR")]
    NoHome,
}

impl ConfigError {
    /// What a person can do about it, where the error does not say so.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Self::Refused(refused) = self { Some(refused.hint()) } else { None }
    }

    /// The same without a word of what is in the file.
    fn without_content(self) -> Self {
        match self {
            Self::File { path, line, .. } => {
                let message = "not what a makeroom.toml holds; it is a link, and what it leads to is not shown".to_owned();
                Self::File { path, line, message }
            }
            other => other,
        }
    }
}

/// Everything that was decided.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct Settings {
    pub pause: Vec<Selector>,
    pub keep: Vec<Selector>,
    pub method: MethodWish,
    pub no_reclaim: bool,
    pub need: Option<NeedWish>,
    pub swap: SwapWish,
    pub swap_file: Option<PathBuf>,
    pub engine: Option<String>,
    pub context: Option<String>,
    pub vm_shell: Option<Prefix>,
    pub stop_timeout: Option<Duration>,
    pub restore_timeout: Duration,
    pub wait_healthy: Option<Duration>,
    pub warm: Option<Duration>,
    pub insist: bool,
    pub strict: bool,
    pub hooks: hook::Commands,
    pub then: Vec<Selector>,
    pub pressure: Percent,
    pub floor: Option<Size>,
    pub abort_on_thrash: Option<Duration>,
    pub timeout: Option<Duration>,
    pub grace: Duration,
    pub linger: Option<Duration>,
    pub wait: Option<Duration>,
    pub report: Option<PathBuf>,
    pub record_arguments: bool,
    pub state_dir: PathBuf,
    /// Files that were found and are somebody else's.
    pub refused: Vec<Refused>,
    /// It was named, and is not the default one.
    pub is_state_dir_named: bool,
    pub quiet: bool,
    pub verbose: bool,
    pub color: ColorWish,
}

/// Puts the layers together.
///
/// # Errors
/// [`ConfigError`] for the first thing that cannot be understood or is not allowed; with `strict`
/// also for a file that is somebody else's.
pub fn settle(
    room: &RoomArgs,
    child: &ChildArgs,
    common: &CommonArgs,
) -> Result<Settings, ConfigError> {
    let settings = settle_from(room, child, common, Some(&env::current_dir().unwrap_or_default()))?;
    match settings.refused.first() {
        Some(refused) if settings.strict => Err(ConfigError::Refused(refused.clone())),
        _ => Ok(settings),
    }
}

/// The same without what lies in or above the working directory, for what puts back, looks, or
/// concerns no build: a repository is not to keep anybody from that.
///
/// # Errors
/// [`ConfigError`] for the first thing that cannot be understood or is not allowed.
pub fn settle_apart(room: &RoomArgs, common: &CommonArgs) -> Result<Settings, ConfigError> {
    settle_from(room, &ChildArgs::default(), common, None)
}

fn settle_from(
    room: &RoomArgs,
    child: &ChildArgs,
    common: &CommonArgs,
    from: Option<&Path>,
) -> Result<Settings, ConfigError> {
    let mut layers = vec![Layer::of_flags(room, child, common), environment::read(env::vars_os())?];
    let named = layers[0].config.clone().or_else(|| layers[1].config.clone());
    let mut refused = vec![];
    if let Some(path) = named {
        layers.push(file::read(&path)?);
    } else {
        let safe: Vec<PathBuf> =
            layers.iter().flat_map(|layer| layer.safe_directory.clone()).collect();
        let found = file::find(
            Us::look(),
            &safe,
            from,
            user_file().as_deref(),
            Path::new("/etc/makeroom/makeroom.toml"),
        )?;
        layers.extend(found.layers);
        refused = found.refused;
    }
    let settings = Settings { refused, ..merge(&layers, default_state_dir)? };
    must_be_text("state_dir", Some(&settings.state_dir))?;
    must_be_text("swap_file", settings.swap_file.as_deref())?;
    Ok(settings)
}

/// A path that journals, keepers and steps on the host are told, all of them as text: half of them
/// would take another one.
fn must_be_text(key: &'static str, path: Option<&Path>) -> Result<(), ConfigError> {
    let Some(path) = path else { return Ok(()) };
    // A relative one lies in a directory that has to be told as well.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if whole.to_str().is_some() { Ok(()) } else { Err(ConfigError::NotText { key, path: whole }) }
}

fn merge(
    layers: &[Layer],
    state_dir: impl Fn() -> Result<PathBuf, ConfigError>,
) -> Result<Settings, ConfigError> {
    fn nearest<T: Clone>(layers: &[Layer], pick: impl Fn(&Layer) -> &Option<T>) -> Option<T> {
        layers.iter().find_map(|layer| pick(layer).clone())
    }
    // An empty one takes a farther one away.
    let command = |pick: fn(&Layer) -> &Option<String>| {
        nearest(layers, pick).filter(|command| !command.trim().is_empty())
    };
    // An engine and a context that are named at different levels: the nearer one wins, whichever it
    // is.
    let engine = layers.iter().find(|layer| layer.engine.is_some() || layer.context.is_some());
    Ok(Settings {
        pause: nearest(layers, |layer| &layer.pause).unwrap_or_default(),
        keep: layers.iter().flat_map(|layer| layer.keep.clone()).collect(),
        method: nearest(layers, |layer| &layer.method).unwrap_or_default(),
        no_reclaim: nearest(layers, |layer| &layer.no_reclaim).unwrap_or(false),
        need: nearest(layers, |layer| &layer.need),
        swap: nearest(layers, |layer| &layer.swap)
            .unwrap_or(SwapWish::Free(Size { bytes: 2 << 30 })),
        swap_file: nearest(layers, |layer| &layer.swap_file),
        engine: engine.and_then(|layer| layer.engine.clone()),
        context: engine.and_then(|layer| layer.context.clone()),
        vm_shell: nearest(layers, |layer| &layer.vm_shell),
        stop_timeout: nearest(layers, |layer| &layer.stop_timeout).map(|span| span.0),
        restore_timeout: nearest(layers, |layer| &layer.restore_timeout)
            .map_or(Duration::from_secs(30), |span| span.0),
        wait_healthy: nearest(layers, |layer| &layer.wait_healthy).map(|span| span.0),
        warm: nearest(layers, |layer| &layer.warm).map(|span| span.0),
        insist: nearest(layers, |layer| &layer.insist).unwrap_or(false),
        strict: nearest(layers, |layer| &layer.strict).unwrap_or(false),
        hooks: hook::Commands {
            on_room_made: command(|layer| &layer.on_room_made),
            on_pressure: command(|layer| &layer.on_pressure),
            on_restored: command(|layer| &layer.on_restored),
        },
        then: nearest(layers, |layer| &layer.then).unwrap_or_default(),
        pressure: nearest(layers, |layer| &layer.pressure).unwrap_or(pressure::PRESSURE),
        floor: nearest(layers, |layer| &layer.floor),
        abort_on_thrash: nearest(layers, |layer| &layer.abort_on_thrash).map(|span| span.0),
        timeout: nearest(layers, |layer| &layer.timeout).map(|span| span.0),
        grace: nearest(layers, |layer| &layer.grace).map_or(Duration::from_secs(10), |span| span.0),
        linger: nearest(layers, |layer| &layer.linger)
            .map(|span| span.0)
            .filter(|linger| !linger.is_zero()),
        wait: nearest(layers, |layer| &layer.wait).map(|span| span.0),
        report: nearest(layers, |layer| &layer.report),
        record_arguments: nearest(layers, |layer| &layer.record_arguments).unwrap_or(false),
        state_dir: nearest(layers, |layer| &layer.state_dir).map_or_else(state_dir, Ok)?,
        refused: vec![],
        is_state_dir_named: layers.iter().any(|layer| layer.state_dir.is_some()),
        quiet: nearest(layers, |layer| &layer.quiet).unwrap_or(false),
        verbose: nearest(layers, |layer| &layer.verbose).unwrap_or(false),
        color: nearest(layers, |layer| &layer.color).unwrap_or_default(),
    })
}

/// An XDG directory's variable, which counts only where it is an absolute path (XDG Base Directory
/// Specification).
fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    // Without a HOME it is the one that the system knows of.
    named.or_else(|| Some(env::home_dir().filter(|home| home.is_absolute())?.join(below_home)))
}

fn user_file() -> Option<PathBuf> {
    Some(xdg("XDG_CONFIG_HOME", ".config")?.join("makeroom/makeroom.toml"))
}

fn default_state_dir() -> Result<PathBuf, ConfigError> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from(OWN_DIR));
    }
    xdg("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("makeroom")).ok_or(ConfigError::NoHome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(toml: &str) -> Layer {
        file::parse(Path::new("test.toml"), toml, file::Trust::Full).expect(toml)
    }

    fn texts(selectors: &[Selector]) -> Vec<String> {
        selectors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_nearest_level_wins_and_keep_adds_up() {
        let layers = [
            layer("pause = ['near']\nkeep = ['k1']\nswap = 'off'"),
            layer(
                "pause = ['far', 'farther']\nkeep = ['k2']\nmethod = 'stop'\nswap = '1G'\ncontext = 'c'",
            ),
            layer("engine = 'unix:///x'\ngrace = '3s'\nstate_dir = '/s'"),
        ];
        let settled = merge(&layers, || Err(ConfigError::NoHome)).expect("settings");
        assert_eq!(
            (texts(&settled.pause), texts(&settled.keep)),
            (vec!["near".to_owned()], vec!["k1".to_owned(), "k2".to_owned()])
        );
        assert_eq!((settled.method, settled.swap), (MethodWish::Stop, SwapWish::Off));
        assert_eq!((settled.engine, settled.context), (None, Some("c".to_owned())));
        assert_eq!(
            (settled.grace, settled.state_dir),
            (Duration::from_secs(3), PathBuf::from("/s"))
        );
    }

    #[test]
    fn without_a_word_the_defaults_are_the_documented_ones() {
        let settled = merge(&[], || Ok(PathBuf::from("/s"))).expect("settings");
        assert_eq!(settled.swap, SwapWish::Free(Size { bytes: 2 << 30 }));
        assert_eq!((settled.swap_file, settled.vm_shell), (None, None));
        assert_eq!(
            (settled.grace, settled.restore_timeout),
            (Duration::from_secs(10), Duration::from_secs(30))
        );
        assert_eq!(
            (settled.pressure, settled.floor, settled.abort_on_thrash),
            (Percent(10), None, None)
        );
        assert!(
            settled.pause.is_empty()
                && settled.then.is_empty()
                && settled.timeout.is_none()
                && !settled.strict
        );
    }

    #[test]
    fn a_path_that_is_no_text_is_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        let path = Path::new(OsStr::from_bytes(b"/s/\xff"));
        let refused = must_be_text("state_dir", Some(path)).expect_err("no text").to_string();
        assert!(
            refused.starts_with("state_dir: /s/") && refused.contains("is not UTF-8"),
            "{refused}"
        );
        must_be_text("swap_file", Some(Path::new("ä/b"))).expect("text");
    }
}
