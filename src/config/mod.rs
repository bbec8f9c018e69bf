//! Owns the settings: flags over environment over files, and who may set what. A `makeroom.toml`
//! that comes with a repository is somebody else's: it may say what to pause, keep and for how
//! long, never which programs, paths or engines are used. One that is another user's does not count
//! at all.

mod environment;
mod error;
mod file;
mod found;
mod layer;
mod settings;
mod trust;
mod unknown;
mod value;

use std::{env, path::Path};

pub use environment::is_known;
pub use error::ConfigError;
pub use found::Refused;
pub use layer::Layer;
pub use settings::{RunSettings, Settings, UiSettings};
pub use unknown::UnknownVariable;

use environment::Environment;
use file::Found;
use found::Us;

const SYSTEM_FILE: &str = "/etc/makeroom/makeroom.toml";

/// What settings are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A build, or room for one: the files in and above the working directory count, and an unknown
    /// variable is an error, because it may have named what was to be kept.
    Build,
    /// Telling what a build would find: the same, but an unknown variable keeps nobody from that.
    Advice,
    /// Restoring, looking, and what concerns no build: neither a repository nor an unknown variable
    /// is to keep anybody from that.
    Upkeep,
}

/// Puts the levels together.
///
/// # Errors
/// [`ConfigError`] for the first thing that cannot be understood or is not allowed; but for upkeep,
/// with `strict` also for a file that is somebody else's.
pub fn settle(flags: &Layer, purpose: Purpose) -> Result<Settings, ConfigError> {
    let Environment { layer: environment, unknown } = environment::read(env::vars_os())?;
    if purpose == Purpose::Build
        && let Some(unknown) = unknown.first()
    {
        return Err(ConfigError::UnknownVariable(unknown.clone()));
    }
    let Found { layers, refused } = match flags.config().or(environment.config()) {
        Some(path) => Found { layers: vec![file::read(path)?], refused: vec![] },
        None => find(&[flags, &environment], purpose)?,
    };
    let all = Layer::merged([flags.clone(), environment].into_iter().chain(layers));
    let mut settings = Settings { refused, unknown, ..Settings::of(all)? };
    // The nearest level comes first.
    settings.room.keep_typed = flags.room.keep.len();
    match settings.refused.first() {
        Some(refused) if settings.run.strict && purpose != Purpose::Upkeep => {
            Err(ConfigError::Refused(refused.clone()))
        }
        _ => Ok(settings),
    }
}

fn find(nearer: &[&Layer], purpose: Purpose) -> Result<Found, ConfigError> {
    let here = env::current_dir().unwrap_or_default();
    let from = Some(here.as_path()).filter(|_| purpose != Purpose::Upkeep);
    let safe: Vec<_> =
        nearer.iter().flat_map(|layer| layer.common.safe_directory.clone()).collect();
    file::find(Us::look(), &safe, from, settings::user_file().as_deref(), Path::new(SYSTEM_FILE))
}
