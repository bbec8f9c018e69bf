//! Owns finding and reading `makeroom.toml`, and the trust rule.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    ConfigError,
    layer::{FOR_REPOSITORIES, Layer},
};

/// What a file may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is the user's, the system's, or was named: everything.
    Full,
    /// It lies in or above the working directory, whoever wrote it.
    Repository,
}

/// The files that apply, nearest first: from the working directory upwards, the user's, the system's.
///
/// # Errors
/// [`ConfigError`] for the first file that is there and cannot be used.
pub(super) fn find(from: &Path, user: &Path, system: &Path) -> Result<Vec<Layer>, ConfigError> {
    let upwards = from.ancestors().map(|dir| (dir.join("makeroom.toml"), Trust::Repository));
    let mut layers = Vec::new();
    for (path, trust) in upwards.chain([(user.to_owned(), Trust::Full), (system.to_owned(), Trust::Full)]) {
        match fs::symlink_metadata(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            _ => layers.push(read_for(&path, trust, user)?),
        }
    }
    Ok(layers)
}

/// Reads one file.
///
/// # Errors
/// [`ConfigError`] where it is missing or cannot be used.
pub(super) fn read(path: &Path, trust: Trust) -> Result<Layer, ConfigError> {
    read_for(path, trust, &super::user_file())
}

fn read_for(path: &Path, trust: Trust, user: &Path) -> Result<Layer, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse_for(path, &text, trust, user)
}

#[cfg(test)]
pub(super) fn parse(path: &Path, text: &str, trust: Trust) -> Result<Layer, ConfigError> {
    parse_for(path, text, trust, Path::new("USER"))
}

fn parse_for(path: &Path, text: &str, trust: Trust, user: &Path) -> Result<Layer, ConfigError> {
    let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let failed = |error: &toml::de::Error| ConfigError::File {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_of(span.start)),
        message: error.message().lines().collect::<Vec<_>>().join(" "),
    };
    let layer: Layer = toml::from_str(text).map_err(|error| failed(&error))?;
    if trust == Trust::Repository {
        let keys = toml::de::DeTable::parse(text).map_err(|error| failed(&error))?;
        let mut foreign: Vec<_> = keys.get_ref().keys().filter(|key| !FOR_REPOSITORIES.contains(&key.get_ref().as_ref())).collect();
        foreign.sort_by_key(|key| key.span().start);
        if let Some(key) = foreign.first() {
            let (line, key) = (line_of(key.span().start), key.get_ref().to_string());
            return Err(ConfigError::NotTrusted { path: path.to_owned(), line, key, user: PathBuf::from(user) });
        }
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, trust: Trust) -> String {
        parse(Path::new("makeroom.toml"), text, trust).expect_err(text).to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_what_is_allowed() {
        for (text, place, says) in [
            ("swap = '1G'\npuase = ['x']\n", "makeroom.toml:2: ", "expected one of `pause`"),
            ("\n\nswap = 'much'\n", "makeroom.toml:3: ", "allowed: off, or a size"),
            ("grace = '5'\n", "makeroom.toml:1: ", "allowed: a number and a unit"),
            ("method = 'kill'\n", "makeroom.toml:1: ", "allowed: auto, pause, stop"),
            ("keep = ['a',\n 're:(']\n", "makeroom.toml:1: ", "is not a selector"),
            ("pause = 'x'\n", "makeroom.toml:1: ", "expected a sequence"),
            ("strict = 'yes'\n", "makeroom.toml:1: ", "expected a boolean"),
            ("swap = \n", "makeroom.toml:1: ", ""),
            ("swap = '1G'\nswap = '2G'\n", "makeroom.toml:2: ", "duplicate key"),
        ] {
            let error = error(text, Trust::Full);
            assert!(error.starts_with(place) && error.contains(says) && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_repository_may_say_what_to_pause_when_and_for_how_long_and_nothing_else() {
        let allowed = "pause = ['a']\nkeep = ['b']\nmethod = 'pause'\nneed = '8G'\nwait = '5m'\ntimeout = '1h'\ngrace = '1s'\nstop_timeout = '1s'\nrestore_timeout = '1s'\nwait_healthy = '1s'\nwarm = '1s'\n\
            then = ['c']\npressure = '5%'\nfloor = '1G'\nabort_on_thrash = '30s'\n";
        parse(Path::new("makeroom.toml"), allowed, Trust::Repository).expect("allowed");
        for key in [
            "no_reclaim = true",
            "swap = '1T'",
            "swap_file = '/etc/passwd'",
            "engine = 'unix:///evil'",
            "context = 'evil'",
            "insist = true",
            "strict = true",
            "on_room_made = 'true'",
            "on_pressure = 'true'",
            "on_restored = 'true'",
            "linger = '60s'",
            "state_dir = '/tmp'",
            "quiet = true",
            "verbose = true",
            "color = 'never'",
        ] {
            parse(Path::new("makeroom.toml"), key, Trust::Full).expect(key);
            let name = key.split(' ').next().expect("a key");
            let error = error(&format!("pause = ['a']\n{key}\n"), Trust::Repository);
            assert_eq!(
                error,
                format!("makeroom.toml:2: `{name}` may not be set by a makeroom.toml that comes with a repository; set it in USER")
            );
        }
    }

    #[test]
    fn files_apply_from_the_working_directory_upwards_then_the_users_then_the_systems() {
        let base = tempfile::tempdir().expect("a directory");
        let deep = base.path().join("a/b");
        fs::create_dir_all(&deep).expect("directories");
        let (user, system) = (base.path().join("user.toml"), base.path().join("system.toml"));
        for (path, name) in [
            (base.path().join("makeroom.toml"), "top"),
            (base.path().join("a/makeroom.toml"), "near"),
            (user.clone(), "user"),
            (system.clone(), "system"),
        ] {
            fs::write(path, format!("keep = ['{name}']\n")).expect("a file");
        }
        let names = |layers: Vec<Layer>| layers.iter().map(|layer| layer.keep[0].to_string()).collect::<Vec<_>>();
        assert_eq!(names(find(&deep, &user, &system).expect("layers")), ["near", "top", "user", "system"]);
        fs::write(&user, "keep = [").expect("a file");
        assert!(matches!(find(&deep, &user, &system), Err(ConfigError::File { line: 1, .. })));
    }
}
