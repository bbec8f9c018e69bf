//! Owns finding and reading `makeroom.toml`, and the trust rule.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
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

/// No settings are larger, in bytes.
const MOST_BYTES: u64 = 64 << 10;

/// The files that apply, nearest first: from this directory upwards, where there is one, the user's, the system's.
///
/// # Errors
/// [`ConfigError`] for the first file that is there and cannot be used.
pub(super) fn find(from: Option<&Path>, user: Option<&Path>, system: &Path) -> Result<Vec<Layer>, ConfigError> {
    let upwards = from.into_iter().flat_map(Path::ancestors).map(|dir| (dir.join("makeroom.toml"), Trust::Repository));
    let trusted = user.into_iter().chain([system]).map(|path| (path.to_owned(), Trust::Full));
    let mut layers = Vec::new();
    for (path, trust) in upwards.chain(trusted) {
        match fs::symlink_metadata(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            _ => {
                let text = open_found(&path).and_then(text_of);
                let text = text.map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
                layers.push(parse_for(&path, &text, trust, user.unwrap_or(system))?);
            }
        }
    }
    Ok(layers)
}

/// Reads the file that was named, which may be a pipe or a device as well.
///
/// # Errors
/// [`ConfigError`] where it is missing or cannot be used.
pub(super) fn read(path: &Path) -> Result<Layer, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let text = OpenOptions::new().read(true).open(path).and_then(text_of).map_err(unreadable)?;
    parse_for(path, &text, Trust::Full, path)
}

/// Opens a file that nobody named: whoever put it there makes nobody wait for a FIFO, and nobody read a device.
fn open_found(path: &Path) -> io::Result<fs::File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

fn text_of(file: fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("it is larger than {} KiB", MOST_BYTES >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
pub(super) fn parse(path: &Path, text: &str, trust: Trust) -> Result<Layer, ConfigError> {
    parse_for(path, text, trust, Path::new("USER"))
}

/// `trusted` is the file in which what this one may not say can be said.
fn parse_for(path: &Path, text: &str, trust: Trust, trusted: &Path) -> Result<Layer, ConfigError> {
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
            return Err(ConfigError::NotTrusted { path: path.to_owned(), line, key, user: PathBuf::from(trusted) });
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
        assert_eq!(names(find(Some(&deep), Some(&user), &system).expect("layers")), ["near", "top", "user", "system"]);
        assert_eq!(names(find(None, Some(&user), &system).expect("layers")), ["user", "system"]);
        fs::write(&user, "keep = [").expect("a file");
        assert!(matches!(find(Some(&deep), Some(&user), &system), Err(ConfigError::File { line: 1, .. })));
    }

    #[test]
    fn what_is_found_has_to_be_a_regular_file_of_64_kib_at_most() {
        let base = tempfile::tempdir().expect("a directory");
        let (file, nowhere) = (base.path().join("makeroom.toml"), base.path().join("none"));
        let found = || find(Some(base.path()), None, &nowhere).map(|layers| layers.len()).map_err(|error| error.to_string());
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        assert!(found().expect_err("a FIFO").ends_with("it is no regular file"));
        for device in ["/dev/zero", "/dev/null"] {
            fs::remove_file(&file).expect("removed");
            std::os::unix::fs::symlink(device, &file).expect("a link");
            assert!(found().expect_err(device).ends_with("it is no regular file"));
        }
        assert_eq!(read(Path::new("/dev/null")).expect("named").keep.len(), 0);
        assert!(read(Path::new("/dev/zero")).expect_err("endless").to_string().ends_with("it is larger than 64 KiB"));
        fs::remove_file(&file).expect("removed");
        fs::write(&file, "# ä\n".repeat(1 << 13)).expect("written");
        assert_eq!(fs::metadata(&file).expect("there").len(), 40 << 10);
        assert_eq!(found(), Ok(1));
        fs::write(&file, "#ä".repeat(1 << 15)).expect("written");
        assert!(found().expect_err("large").ends_with("it is larger than 64 KiB"));
        fs::write(&file, b"\xff").expect("written");
        assert!(found().expect_err("bytes").ends_with("it is not UTF-8"));
    }
}
