//! Owns whether a file that was found, not named, counts: whose it is, and who can write to it. One
//! that does not is never opened, and never an error: else anybody stops every build below a
//! directory that all can write to.

use std::{
    env,
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Group, Uid, User, geteuid};

use crate::{config::trust::Trust, core::text};

/// A file that was found and is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    path: PathBuf,
    why: Objection,
    /// As whom we run.
    user: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Objection {
    Theirs(u32),
    TheirLink(u32),
    LeadsToTheirs(u32),
    Writable(u32),
    Unseen(String),
}

impl Refused {
    /// The file, and what is wrong with it, in one clause.
    #[must_use]
    pub fn reason(&self) -> String {
        let path = text::printable(&self.path.to_string_lossy());
        match &self.why {
            Objection::Theirs(user) => format!("{path} belongs to user {user} and is not read"),
            Objection::TheirLink(user) => {
                format!("{path} is a link of user {user}'s and is not read")
            }
            Objection::LeadsToTheirs(user) => {
                format!("{path} leads to a file of user {user}'s and is not read")
            }
            Objection::Writable(mode) => {
                format!("{path} can be written by others (mode {mode:o}) and is not read")
            }
            Objection::Unseen(error) => format!("{path} is not read: {error}"),
        }
    }

    /// What to type where it is to count.
    #[must_use]
    pub fn hint(&self) -> String {
        let word = |path: &Path| text::shell_word(&path.to_string_lossy());
        let (file, dir) = (word(&self.path), word(self.path.parent().unwrap_or(&self.path)));
        let way = format!("`--safe-directory {dir}` takes it as it is");
        match self.why {
            Objection::Theirs(_) => {
                format!("{way}; `sudo chown {} {file}` makes it yours", self.user)
            }
            Objection::Writable(_) => format!("`chmod go-w {file}` keeps others out; {way}"),
            Objection::TheirLink(_) | Objection::LeadsToTheirs(_) => way,
            Objection::Unseen(_) => "`--config FILE` names another one".to_owned(),
        }
    }
}

/// A file that counts.
pub(super) struct Admitted {
    pub file: File,
    /// It was found through a link: what it leads to was perhaps chosen by whoever wrote the
    /// repository.
    pub is_link: bool,
}

/// Why there is nothing to read.
#[derive(Debug)]
pub(super) enum Denied {
    /// There is no such file.
    Absent,
    Refused(Refused),
    /// It is ours, and no settings.
    Unreadable(io::Error),
}

/// Who we are to files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Us {
    user: u32,
    /// Who became us by sudo, where we are root: a repository may be his.
    sudo: Option<u32>,
}

impl Us {
    pub(super) fn look() -> Self {
        let user = geteuid().as_raw();
        let sudo = env::var("SUDO_UID").ok().and_then(|text| text.parse().ok());
        Self { user, sudo: sudo.filter(|_| user == 0) }
    }

    /// Opens what lies at this path, if it counts. `safe` are the directories in which everything
    /// does.
    ///
    /// # Errors
    /// [`Denied`].
    pub(super) fn open(
        self,
        path: &Path,
        trust: Trust,
        safe: &[PathBuf],
    ) -> Result<Admitted, Denied> {
        let refuse = |why| Denied::Refused(Refused { path: path.to_owned(), why, user: self.user });
        let is_safe = || is_in(path, safe);
        // Of a link only the owner counts: it has no mode, and where it lies nobody else can change
        // whose it is.
        let seen = match fs::symlink_metadata(path) {
            Ok(seen) => seen,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(Denied::Absent);
            }
            Err(error) => return Err(refuse(Objection::Unseen(error.to_string()))),
        };
        let is_link = seen.is_symlink();
        if is_link && !self.trusts(seen.uid(), trust) && !is_safe() {
            return Err(refuse(Objection::TheirLink(seen.uid())));
        }
        let judge = |found: &Metadata| {
            let owner = found.uid();
            if !self.trusts(owner, trust) && !is_safe() {
                return Err(refuse(if is_link {
                    Objection::LeadsToTheirs(owner)
                } else {
                    Objection::Theirs(owner)
                }));
            }
            if !found.is_file() {
                return Err(Denied::Unreadable(io::Error::other("it is no regular file")));
            }
            if others_write(found) && !is_safe() {
                return Err(refuse(Objection::Writable(found.mode() & 0o7777)));
            }
            Ok(())
        };
        // Before it is opened: a device does something then, and somebody may wait for a FIFO's
        // reader.
        judge(&fs::metadata(path).map_err(Denied::Unreadable)?)?;
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(Denied::Unreadable)?;
        // And what was opened, which may be another one. Then the directories above need no look:
        // whoever can put something else there can only put there what we, or root, wrote.
        judge(&file.metadata().map_err(Denied::Unreadable)?)?;
        Ok(Admitted { file, is_link })
    }

    fn trusts(self, owner: u32, trust: Trust) -> bool {
        owner == 0 || owner == self.user || (trust == Trust::Repository && self.sudo == Some(owner))
    }
}

fn others_write(found: &Metadata) -> bool {
    found.mode() & 0o002 != 0
        || (found.mode() & 0o020 != 0 && !is_private(found.gid(), found.uid()))
}

/// Whether a group is its user's own, of the same name with nobody else in it: where each user has
/// one, umask 002 is usual (useradd(8), USERGROUPS_ENAB). As Debian's ssh has it
/// (user-group-modes.patch).
fn is_private(group: u32, owner: u32) -> bool {
    let Ok(Some(group)) = Group::from_gid(Gid::from_raw(group)) else { return false };
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(owner)) else { return false };
    group.name == user.name && group.mem.iter().all(|member| *member == user.name)
}

fn is_in(path: &Path, safe: &[PathBuf]) -> bool {
    let real = |dir: &Path| fs::canonicalize(dir).ok();
    path.parent()
        .and_then(real)
        .is_some_and(|dir| safe.iter().any(|safe| real(safe).as_ref() == Some(&dir)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn us(user: u32, sudo: Option<u32>) -> Us {
        Us { user, sudo }
    }

    #[test]
    fn a_file_is_ours_or_roots_and_a_repositorys_may_be_that_of_who_became_root() {
        let (repository, full) = (Trust::Repository, Trust::Full);
        for (us, owner, trust, expected) in [
            (us(1000, None), 1000, repository, true),
            (us(1000, None), 0, full, true),
            (us(1000, None), 1001, repository, false),
            (us(0, None), 1000, repository, false),
            (us(0, Some(1000)), 1000, repository, true),
            (us(0, Some(1000)), 1000, full, false),
            (us(0, Some(1000)), 1001, repository, false),
        ] {
            assert_eq!(us.trusts(owner, trust), expected, "{us:?} {owner} {trust:?}");
        }
    }

    #[test]
    fn what_others_can_write_to_is_refused_but_in_a_safe_directory() {
        let base = tempfile::tempdir().expect("a directory");
        let file = base.path().join("makeroom.toml");
        fs::write(&file, "").expect("a file");
        let us = Us::look();
        for (mode, is_fine) in [(0o600, true), (0o644, true), (0o646, false), (0o666, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
            let opened = us.open(&file, Trust::Repository, &[]);
            match opened {
                Ok(_) => assert!(is_fine, "{mode:o}"),
                Err(Denied::Refused(refused)) => {
                    assert!(!is_fine, "{mode:o}");
                    assert_eq!(
                        refused.reason(),
                        format!(
                            "{} can be written by others (mode {mode:o}) and is not read",
                            file.display()
                        )
                    );
                    assert!(refused.hint().starts_with("`chmod go-w "), "{}", refused.hint());
                }
                Err(other) => panic!("{mode:o}: {other:?}"),
            }
            us.open(&file, Trust::Repository, &[base.path().join(".")]).map(drop).expect("safe");
        }
    }

    #[test]
    fn what_is_not_there_is_absent_and_what_cannot_be_looked_at_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        assert!(matches!(
            Us::look().open(&base.path().join("none"), Trust::Full, &[]),
            Err(Denied::Absent)
        ));
        let long = base.path().join("x".repeat(300));
        assert!(matches!(Us::look().open(&long, Trust::Full, &[]), Err(Denied::Refused(_))));
    }
}
