//! Owns finding and reading `makeroom.toml`, and saying where in it something is wrong.

use std::{
    convert::Infallible,
    fs,
    io::{self, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use crate::config::{
    error::ConfigError,
    found::{Admitted, Denied, Refused, Us},
    layer::Layer,
    trust::{Objection, Trust},
};

/// No settings are larger, in bytes.
const MOST_BYTES: u64 = 64 << 10;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files that apply, nearest first.
    pub layers: Vec<Layer>,
    /// Those that are somebody else's.
    pub refused: Vec<Refused>,
    /// What could not be used of them.
    pub faults: Vec<ConfigError>,
}

/// Finds the files from this directory upwards, where there is one, the user's, the system's.
/// `safe`: as in [`Us::open`]; the user's and the system's file may name more.
///
/// # Errors
/// [`ConfigError`] for the first file that counts and cannot be used.
pub(super) fn find(
    us: Us,
    safe: &[PathBuf],
    from: Option<&Path>,
    user: Option<&Path>,
    system: &Path,
) -> Result<Found, ConfigError> {
    let mut safe = safe.to_vec();
    let trusted = user.unwrap_or(system);
    let look = |path: &Path, trust, safe: &[PathBuf]| {
        look_at(us, path, trust, safe, |text, is_link| {
            let parsed = parse_for(path, text, trust, trusted).map_err(|error| {
                // A repository may link to anything that we can read, and an error can end up
                // where its author reads it.
                if is_link && trust == Trust::Repository { error.without_content() } else { error }
            })?;
            Ok(Found { layers: vec![parsed], ..Found::default() })
        })
    };
    let mut farther =
        find_farther(&mut safe, user, system, |path, safe| look(path, Trust::Full, safe))?;
    let mut nearer = Found::default();
    for dir in from.into_iter().flat_map(Path::ancestors) {
        let found = look(&dir.join("makeroom.toml"), Trust::Repository, &safe)?;
        nearer.layers.extend(found.layers);
        nearer.refused.extend(found.refused);
    }
    farther.put_nearer(nearer);
    Ok(farther)
}

/// Finds the user's file and the system's, and takes of them what can be used.
pub(super) fn find_usable(us: Us, safe: &[PathBuf], user: Option<&Path>, system: &Path) -> Found {
    let look = |path: &Path, safe: &[PathBuf]| {
        let looked = look_at(us, path, Trust::Full, safe, |text, _| Ok(usable(path, text)));
        Ok(looked.unwrap_or_else(|error| Found { faults: vec![error], ..Found::default() }))
    };
    let Ok(found) = find_farther::<Infallible>(&mut safe.to_vec(), user, system, look);
    found
}

/// Looks at the system's file and the user's, the farthest first: each says what is safe for the
/// nearer ones.
fn find_farther<E>(
    safe: &mut Vec<PathBuf>,
    user: Option<&Path>,
    system: &Path,
    look: impl Fn(&Path, &[PathBuf]) -> Result<Found, E>,
) -> Result<Found, E> {
    let mut all = Found::default();
    for path in [Some(system), user].into_iter().flatten() {
        let found = look(path, safe)?;
        safe.extend(found.layers.iter().flat_map(|layer| layer.common.safe_directory.clone()));
        all.put_nearer(found);
    }
    Ok(all)
}

/// Reads the text of a file that is there and counts; `read` is told whether it is a link.
fn look_at(
    us: Us,
    path: &Path,
    trust: Trust,
    safe: &[PathBuf],
    read: impl FnOnce(&str, bool) -> Result<Found, ConfigError>,
) -> Result<Found, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    match us.open(path, trust, safe) {
        Err(Denied::Absent) => Ok(Found::default()),
        Err(Denied::Refused(refused)) => Ok(Found { refused: vec![refused], ..Found::default() }),
        Err(Denied::Unreadable(source)) => Err(unreadable(source)),
        Ok(Admitted { file, is_link }) => read(&text_of(file).map_err(unreadable)?, is_link),
    }
}

/// The keys of a file that can be used; those of one that is no TOML cannot be told.
fn usable(path: &Path, text: &str) -> Found {
    let (mut layer, mut faults) = (Layer::default(), vec![]);
    match toml::de::DeTable::parse(text) {
        Err(error) => faults.push(fault(path, text, error.span(), &error)),
        Ok(table) => {
            for (key, value) in table.into_inner() {
                let of_key = key.span();
                let value = toml::de::ValueDeserializer::from(value);
                if let Err(error) = layer.set(key.get_ref(), value) {
                    faults.push(fault(path, text, error.span().or(Some(of_key)), &error));
                }
            }
        }
    }
    Found { layers: vec![layer], faults, ..Found::default() }
}

/// Says where in a file something is wrong.
fn fault(
    path: &Path,
    text: &str,
    span: Option<Range<usize>>,
    error: &toml::de::Error,
) -> ConfigError {
    ConfigError::File {
        path: path.to_owned(),
        line: span.map_or(1, |span| line_of(text, span.start)),
        message: error.message().lines().collect::<Vec<_>>().join(" "),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

impl Found {
    fn put_nearer(&mut self, nearer: Self) {
        self.layers.splice(..0, nearer.layers);
        self.refused.splice(..0, nearer.refused);
        self.faults.splice(..0, nearer.faults);
    }
}

/// Reads the file that was named, which may be a pipe or a device as well.
///
/// # Errors
/// [`ConfigError`] where it is missing or cannot be used.
pub(super) fn read(path: &Path) -> Result<Layer, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let text = fs::File::open(path).and_then(text_of).map_err(unreadable)?;
    parse_for(path, &text, Trust::Full, path)
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
    let failed = |error: &toml::de::Error| fault(path, text, error.span(), error);
    let layer: Layer = toml::from_str(text).map_err(|error| failed(&error))?;
    if trust == Trust::Full {
        return Ok(layer);
    }
    let keys = toml::de::DeTable::parse(text).map_err(|error| failed(&error))?;
    let mut keys: Vec<_> =
        keys.get_ref().keys().map(|key| (key.span().start, key.get_ref().as_ref())).collect();
    keys.sort_unstable();
    for (start, key) in keys {
        let Some(objection) = layer.objection(key) else { continue };
        let (path, line, user) = (path.to_owned(), line_of(text, start), trusted.to_owned());
        let key = key.to_owned();
        return Err(match objection {
            Objection::Key => ConfigError::NotTrusted { path, line, key, user },
            Objection::Value(said) => {
                ConfigError::NotTrusted { path, line, key: said.to_owned(), user }
            }
            Objection::TooLong => ConfigError::TooLong { path, line, key, user },
        });
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
            assert!(
                error.starts_with(place) && error.contains(says) && !error.contains('\n'),
                "{text:?}: {error}"
            );
        }
    }

    #[test]
    fn a_repository_may_say_what_to_pause_when_and_for_how_long_and_nothing_else() {
        let allowed = "pause = ['a']\nkeep = ['b']\nmethod = 'pause'\nneed = '8G'\nwait = '5m'\ntimeout = '1h'\ngrace = '1h'\nrestore_timeout = '60m'\nwait_healthy = '1s'\nwarm = '1s'\n\
            then = ['c']\npressure = '5%'\nfloor = '1G'\nabort_on_thrash = '30s'\n";
        parse(Path::new("makeroom.toml"), allowed, Trust::Repository).expect("allowed");
        for key in [
            "no_reclaim = true",
            "swap = '1T'",
            "stop_timeout = '1s'",
            "safe_directory = ['/']",
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
                format!(
                    "makeroom.toml:2: `{name}` may not be set by a makeroom.toml that comes with a repository; set it in USER"
                )
            );
        }
    }

    #[test]
    fn a_repository_keeps_nothing_down_by_force_or_for_long() {
        for key in ["wait_healthy", "warm", "restore_timeout", "grace"] {
            let text = format!("pause = ['a']\n{key} = '61m'\n");
            parse(Path::new("makeroom.toml"), &text, Trust::Full).expect(key);
            assert_eq!(
                error(&text, Trust::Repository),
                format!(
                    "makeroom.toml:2: `{key}` is one hour at most in a makeroom.toml that comes with a repository; set more in USER"
                )
            );
        }
        parse(
            Path::new("makeroom.toml"),
            "timeout = '9h'\nwait = '9h'\nmethod = 'auto'\n",
            Trust::Repository,
        )
        .expect("free");
        assert_eq!(
            error("method = 'stop'\n", Trust::Repository),
            "makeroom.toml:1: `method = \"stop\"` may not be set by a makeroom.toml that comes with a repository; set it in USER"
        );
    }

    #[test]
    fn what_a_repositorys_link_leads_to_is_quoted_in_no_error() {
        let base = tempfile::tempdir().expect("a directory");
        let (secret, nowhere) = (base.path().join("secret"), base.path().join("none"));
        for text in ["hunter2 = 1\n", "hunter2\n", "pause = 'hunter2'\n", "\ngrace = 'hunter2'\n"] {
            fs::write(&secret, text).expect("written");
            let file = base.path().join("makeroom.toml");
            let _ = fs::remove_file(&file);
            std::os::unix::fs::symlink(&secret, &file).expect("a link");
            let error = find(Us::look(), &[], Some(base.path()), None, &nowhere)
                .expect_err(text)
                .to_string();
            assert!(
                !error.contains("hunter2")
                    && error.contains("it is a link, and what it leads to is not shown"),
                "{error}"
            );
            let trusted =
                find(Us::look(), &[], None, Some(&file), &nowhere).expect_err(text).to_string();
            assert!(!trusted.contains("is not shown"), "{trusted}");
        }
    }

    #[test]
    fn of_a_file_that_keeps_nobody_from_restoring_all_is_taken_that_can_be_used() {
        let base = tempfile::tempdir().expect("a directory");
        let (user, system) = (base.path().join("user.toml"), base.path().join("system.toml"));
        fs::write(&user, "swap = 'x'\nstate_dir = '/s'\npuase = ['a']\n").expect("written");
        fs::write(&system, "swap = '1GiB'\n[[[").expect("written");
        let Found { layers, faults, .. } = find_usable(Us::look(), &[], Some(&user), &system);
        assert_eq!(layers[0].common.state_dir, Some(PathBuf::from("/s")));
        assert!(layers[0].room.swap.is_none());
        let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let told = |line: usize, path: &Path| {
            let start = format!("{}:{line}: ", path.display());
            said.iter().filter(|said| said.starts_with(&start)).count()
        };
        assert_eq!((told(1, &user), told(3, &user), told(2, &system)), (1, 1, 1), "{said:?}");
        assert_eq!(said.len(), 3, "{said:?}");
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
        let found = |from| find(Us::look(), &[], from, Some(&user), &system);
        let names = |found: Found| {
            found.layers.iter().map(|layer| layer.room.keep[0].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(found(Some(&deep)).expect("layers")), ["near", "top", "user", "system"]);
        assert_eq!(names(found(None).expect("layers")), ["user", "system"]);
        fs::write(&user, "keep = [").expect("a file");
        assert!(matches!(found(Some(&deep)), Err(ConfigError::File { line: 1, .. })));
    }

    #[test]
    fn what_is_found_has_to_be_a_regular_file_of_64_kib_at_most() {
        let base = tempfile::tempdir().expect("a directory");
        let (file, nowhere) = (base.path().join("makeroom.toml"), base.path().join("none"));
        let found = || find(Us::look(), &[], Some(base.path()), None, &nowhere);
        let found = || found().map(|found| found.layers.len()).map_err(|error| error.to_string());
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        assert!(found().expect_err("a FIFO").ends_with("it is no regular file"));
        for device in ["/dev/zero", "/dev/null"] {
            fs::remove_file(&file).expect("removed");
            std::os::unix::fs::symlink(device, &file).expect("a link");
            assert!(found().expect_err(device).ends_with("it is no regular file"));
        }
        assert_eq!(read(Path::new("/dev/null")).expect("named").room.keep.len(), 0);
        assert!(
            read(Path::new("/dev/zero"))
                .expect_err("endless")
                .to_string()
                .ends_with("it is larger than 64 KiB")
        );
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
