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
    /// Telling what a build would find: the same, but no variable keeps anybody from that.
    Advice,
    /// Restoring, looking, and what concerns no build: neither a repository, nor a variable, nor
    /// what is wrong in a file is to keep anybody from that.
    Upkeep,
}

/// Puts the levels together.
///
/// # Errors
/// [`ConfigError`] for the first thing that cannot be understood or is not allowed; but for upkeep,
/// with `strict` also for a file that is somebody else's.
pub fn settle(flags: &Layer, purpose: Purpose) -> Result<Settings, ConfigError> {
    let Environment { layer: environment, mut faults } = environment::read(env::vars_os());
    if purpose == Purpose::Build && !faults.is_empty() {
        return Err(faults.remove(0));
    }
    let Found { layers, refused, faults: of_files } = match flags.config().or(environment.config())
    {
        Some(path) => Found { layers: vec![file::read(path)?], ..Found::default() },
        None => find(&[flags, &environment], purpose)?,
    };
    faults.extend(of_files);
    let all = Layer::merged([flags.clone(), environment].into_iter().chain(layers));
    let mut settings = Settings { refused, faults, ..Settings::of(all)? };
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
    let safe: Vec<_> =
        nearer.iter().flat_map(|layer| layer.common.safe_directory.clone()).collect();
    let (user, system) = (settings::user_file(), Path::new(SYSTEM_FILE));
    if purpose == Purpose::Upkeep {
        return Ok(file::find_usable(Us::look(), &safe, user.as_deref(), system));
    }
    file::find(Us::look(), &safe, Some(&here), user.as_deref(), system)
}
