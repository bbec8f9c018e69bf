//! Owns the mark beside root's own state directory: an empty file that everybody may see, there as
//! long as something may be held that only root can list. Without it `makeroom stop` of somebody
//! else would find nothing, and call that success. It fails nothing: where it cannot be made,
//! others only see less. Used by the keeper and by short commands.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use crate::host::swap::OWN_DIR;

const MARK: &str = "/var/lib/makeroom.held";

/// Whether leases in this directory are marked: only root's own has a place for it that is root's
/// alone.
#[must_use]
pub fn is_marked_for(state_dir: &Path) -> bool {
    nix::unistd::geteuid().is_root() && state_dir == Path::new(OWN_DIR)
}

/// Marks that something is held in this state directory, with its lock held.
///
/// # Errors
/// The file's own error.
pub fn set(state_dir: &Path) -> io::Result<()> {
    if !is_marked_for(state_dir) || is_set() {
        return Ok(());
    }
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .custom_flags(libc::O_NOFOLLOW)
        .open(MARK)?;
    // Whatever the umask takes away.
    file.set_permissions(Permissions::from_mode(0o444))
}

/// Takes the mark away again, with the lock held and no lease left.
///
/// # Errors
/// The file's own error.
pub fn clear(state_dir: &Path) -> io::Result<()> {
    if !is_marked_for(state_dir) {
        return Ok(());
    }
    match fs::remove_file(MARK) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether root holds something, by the mark.
#[must_use]
pub fn is_set() -> bool {
    fs::symlink_metadata(MARK).is_ok_and(|found| found.is_file() && found.uid() == 0)
}

/// What another user can tell of root's leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfRoot {
    /// There is nothing to be seen, or it can be seen by this user.
    Nothing,
    /// There is a directory, which this user may not read, and no mark.
    Unseen,
    /// Something is held.
    Held,
}

/// Looks, as this user.
#[must_use]
pub fn of_root() -> OfRoot {
    if nix::unistd::geteuid().is_root() {
        return OfRoot::Nothing;
    }
    let is_closed = || {
        fs::read_dir(Path::new(OWN_DIR).join("leases"))
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    // Whoever took the directory away has left nothing in it.
    if is_set() && Path::new(OWN_DIR).exists() {
        OfRoot::Held
    } else if is_closed() {
        OfRoot::Unseen
    } else {
        OfRoot::Nothing
    }
}
