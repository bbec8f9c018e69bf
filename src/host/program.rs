//! Owns finding a program on this machine and becoming it: what was found before anything is
//! changed is what is executed later. Changes nothing.

use std::{
    env,
    ffi::{CStr, CString, OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::AtFlags,
    unistd::{AccessFlags, execv, faccessat},
};

use crate::core::run::search::{Denial, Missing, Search, is_path, places};

/// What runs a script that names no interpreter (execvp(3)).
const SHELL: &CStr = c"/bin/sh";

/// A program that was found, and what it is given.
#[derive(Clone, Debug)]
pub struct Program {
    argv: Vec<CString>,
    /// Where it is; the first that can be executed is it.
    places: Vec<CString>,
    /// What was met on the way there.
    search: Search,
    /// It was named with a slash, so there is one place only.
    is_path: bool,
}

impl Program {
    /// Finds the program of this command, by `execvp`'s own rules.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(command: &[OsString]) -> Result<Self, Missing> {
        let nothing = || Missing { errno: libc::ENOENT, denied: None };
        let name = command.first().ok_or_else(nothing)?;
        let argv = command.iter().cloned().map(c_string).collect::<Result<_, _>>()?;
        let is_path = is_path(name);
        let (mut there, mut search, mut denied) = (Vec::new(), Search::default(), None);
        for place in places(name, env::var_os("PATH").as_deref()) {
            let Err(errno) = look(Path::new(&place)) else {
                there.push(c_string(place)?);
                continue;
            };
            if is_path {
                let denied = denial(PathBuf::from(place), errno);
                return Err(Missing { errno, denied });
            }
            let goes_on = search.goes_on(errno);
            denied = denied.or_else(|| denial(PathBuf::from(place), errno));
            if !goes_on {
                break;
            }
        }
        if there.is_empty() {
            return Err(Missing { errno: search.errno(), denied });
        }
        Ok(Self { argv, places: there, search, is_path })
    }

    /// Becomes the program. Returns only where that is not possible: the errno.
    #[must_use]
    pub fn execute(&self) -> i32 {
        let mut search = self.search;
        for place in &self.places {
            let errno = match become_file(place, &self.argv) {
                Errno::ENOEXEC => become_script(place, &self.argv),
                errno => errno,
            } as i32;
            if self.is_path {
                return errno;
            }
            if !search.goes_on(errno) {
                break;
            }
        }
        search.errno()
    }
}

fn become_file(place: &CStr, argv: &[CString]) -> Errno {
    let Err(errno) = execv(place, argv);
    errno
}

fn become_script(place: &CStr, argv: &[CString]) -> Errno {
    let rest = argv.iter().skip(1).map(CString::as_c_str);
    let argv: Vec<&CStr> = [SHELL, place].into_iter().chain(rest).collect();
    let Err(errno) = execv(SHELL, &argv);
    errno
}

/// Whether a program of this name is found.
#[must_use]
pub fn is_there(name: &OsStr) -> bool {
    Program::find(&[name.to_owned()]).is_ok()
}

/// Whether this can be executed.
///
/// # Errors
/// The errno with which it cannot.
pub fn look(place: &Path) -> Result<(), i32> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::ENOENT);
    if !fs::metadata(place).map_err(errno)?.is_file() {
        // As execve(2) has it.
        return Err(libc::EACCES);
    }
    let cwd = nix::fcntl::AT_FDCWD;
    faccessat(cwd, place, AccessFlags::X_OK, AtFlags::AT_EACCESS).map_err(|errno| errno as i32)
}

fn denial(place: PathBuf, errno: i32) -> Option<(PathBuf, Denial)> {
    if errno != libc::EACCES {
        return None;
    }
    let denial = match fs::metadata(&place) {
        Err(_) => Denial::Hidden,
        Ok(seen) if !seen.is_file() => Denial::NoFile,
        Ok(seen) if seen.permissions().mode() & 0o111 == 0 => Denial::NotExecutable,
        Ok(_) => Denial::Forbidden,
    };
    Some((place, denial))
}

fn c_string(word: OsString) -> Result<CString, Missing> {
    let refused = |_| Missing { errno: libc::EINVAL, denied: None };
    CString::new(word.into_vec()).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with what a PATH can have in it.
    fn world() -> tempfile::TempDir {
        let base = tempfile::tempdir().expect("a directory");
        for (dir, name, mode) in [
            ("plain", "x", 0o644),
            ("good", "x", 0o755),
            ("good", "bare", 0o755),
            ("plain", "only", 0o644),
        ] {
            let dir = base.path().join(dir);
            fs::create_dir_all(&dir).expect("a directory");
            fs::write(dir.join(name), "exit 7\n").expect("written");
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        fs::create_dir_all(base.path().join("dirs/x")).expect("a directory");
        fs::write(base.path().join("file"), "").expect("written");
        base
    }

    #[test]
    fn a_file_is_a_program_where_it_may_be_executed_and_nothing_else_is() {
        let base = world();
        for (place, errno) in [
            ("good/x", None),
            ("plain/x", Some(libc::EACCES)),
            ("dirs/x", Some(libc::EACCES)),
            ("none", Some(libc::ENOENT)),
            ("file/x", Some(libc::ENOTDIR)),
        ] {
            assert_eq!(look(&base.path().join(place)).err(), errno, "{place}");
        }
    }

    #[test]
    fn what_is_no_program_is_told_with_what_there_is_of_it() {
        let base = world();
        let found = |place: &str| {
            let name = base.path().join(place).into_os_string();
            Program::find(&[name])
                .map(|_| ())
                .map_err(|missing| (missing.errno, missing.denied.map(|(_, denial)| denial)))
        };
        assert_eq!(found("good/x"), Ok(()));
        assert_eq!(found("dirs/x"), Err((libc::EACCES, Some(Denial::NoFile))));
        assert_eq!(found("plain/x"), Err((libc::EACCES, Some(Denial::NotExecutable))));
        assert_eq!(found("none"), Err((libc::ENOENT, None)));
        assert_eq!(found("file/x"), Err((libc::ENOTDIR, None)));
        assert_eq!(Program::find(&["".into()]).map_err(|missing| missing.errno).err(), Some(2));
        assert!(is_there(OsStr::new("sh")) && !is_there(OsStr::new("no-such-program-anywhere")));
    }
}
