//! Owns where a program is looked for, by `execvp`'s own rules, and what the search comes to. Pure;
//! `host::program` looks there.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

/// Where programs are looked for without a PATH (confstr(3), _CS_PATH).
const WITHOUT_PATH: &str = "/bin:/usr/bin";

/// An entry of PATH that is longer is skipped: no file can be in it.
const PATH_MAX: usize = 4096;

/// Gives the places where a program of this name can be, the first one first: a name with a slash is
/// its own only place. `path` is PATH, of which an empty entry is the working directory.
#[must_use]
pub fn places(name: &OsStr, path: Option<&OsStr>) -> Vec<OsString> {
    if is_path(name) {
        return vec![name.to_owned()];
    }
    if name.is_empty() {
        return vec![];
    }
    let path = path.unwrap_or(OsStr::new(WITHOUT_PATH));
    let entries = path.as_bytes().split(|&byte| byte == b':');
    let fitting = entries.filter(|entry| entry.len() < PATH_MAX);
    fitting.map(|entry| place_in(entry, name)).collect()
}

/// Whether a name is not looked for in PATH.
#[must_use]
pub fn is_path(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}

fn place_in(entry: &[u8], name: &OsStr) -> OsString {
    let slash: &[u8] = if entry.is_empty() { b"" } else { b"/" };
    OsString::from_vec([entry, slash, name.as_bytes()].concat())
}

/// Why a program cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// As `execvp` would say it.
    pub errno: i32,
    /// What there is of that name and is none.
    pub denied: Option<(PathBuf, Denial)>,
}

/// Why something of the right name is no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// It is a directory, or a device and the like.
    NoFile,
    /// Nobody may execute it.
    NotExecutable,
    /// The directory may not be looked into.
    Hidden,
    /// Something else forbids it: its owner, or how its disk is mounted.
    Forbidden,
}

/// What a search has met so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Some place had what may not be executed.
    is_denied: bool,
    /// It ended before the last place, for this reason.
    ended: Option<i32>,
}

impl Search {
    /// Takes in why a place has no program; tells whether the next one is looked at (execvp(3),
    /// and glibc's `posix/execvpe.c` for what it leaves out).
    pub fn goes_on(&mut self, errno: i32) -> bool {
        match errno {
            libc::EACCES => self.is_denied = true,
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            other => self.ended = Some(other),
        }
        self.ended.is_none()
    }

    /// Why there is no program, once no place is left.
    #[must_use]
    pub fn errno(self) -> i32 {
        self.ended.unwrap_or(if self.is_denied { libc::EACCES } else { libc::ENOENT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, path: Option<&str>) -> Vec<String> {
        let places = places(name.as_ref(), path.map(OsStr::new));
        places.into_iter().map(|place| place.into_string().expect("text")).collect()
    }

    #[test]
    fn places_are_those_of_execvp() {
        for (name, path, expected) in [
            ("x", Some("/a:/b"), &["/a/x", "/b/x"][..]),
            ("x", Some("/a::b:"), &["/a/x", "x", "b/x", "x"]),
            ("x", Some(""), &["x"]),
            ("x", Some("/a/"), &["/a//x"]),
            ("x", None, &["/bin/x", "/usr/bin/x"]),
            ("./x", Some("/a"), &["./x"]),
            ("a/x", Some("/a"), &["a/x"]),
            ("", Some("/a"), &[]),
        ] {
            assert_eq!(found(name, path), expected, "{name} in {path:?}");
        }
        let long = format!("{}:/a", "y".repeat(PATH_MAX));
        assert_eq!(found("x", Some(&long)), ["/a/x"]);
    }

    #[test]
    fn what_may_not_be_executed_is_remembered_and_the_search_goes_on() {
        use libc::{EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ESTALE};
        for (met, looked_at, errno) in [
            (&[][..], 0, ENOENT),
            (&[ENOENT, ENOTDIR], 2, ENOENT),
            (&[ESTALE, ENOENT], 2, ENOENT),
            (&[ENOENT, EACCES, ENOENT], 3, EACCES),
            (&[ENOENT, ELOOP, EACCES], 2, ELOOP),
            (&[EACCES, ENAMETOOLONG], 2, ENAMETOOLONG),
        ] {
            let mut search = Search::default();
            let number = met.iter().position(|&errno| !search.goes_on(errno));
            assert_eq!(number.map_or(met.len(), |last| last + 1), looked_at, "{met:?}");
            assert_eq!(search.errno(), errno, "{met:?}");
        }
    }
}
