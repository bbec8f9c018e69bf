//! Owns the mark beside root's own state directory: an empty file that everybody may see, present
//! as long as root may hold something that only root can list. Without it, another user's `makeroom
//! stop` would find nothing and call that success. It never fails a run: if it cannot be made,
//! others only see less. Used by the keeper and by short commands.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use crate::core::machine::swap::OWN_DIR;

const MARK: &str = "/var/lib/makeroom.held";

/// Tells whether leases in this directory are marked. Only root's own directory has a place beside
/// it to which only root can write.
#[must_use]
pub fn is_marked_for(state_dir: &Path) -> bool {
    nix::unistd::geteuid().is_root() && state_dir == Path::new(OWN_DIR)
}

/// Sets the mark for this state directory. The caller holds its lock.
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
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(0o444))
}

/// Removes the mark. The caller holds the lock, and no lease is left.
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

/// Tells by the mark whether root holds something.
#[must_use]
pub fn is_set() -> bool {
    fs::symlink_metadata(MARK).is_ok_and(|found| found.is_file() && found.uid() == 0)
}

/// What another user can tell of root's leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfRoot {
    /// Nothing is held, or this user may look at it anyway.
    Nothing,
    /// There is a directory that this user may not read, and no mark.
    Unseen,
    /// Something is held.
    Held,
}

/// Finds out as this user.
#[must_use]
pub fn of_root() -> OfRoot {
    if nix::unistd::geteuid().is_root() {
        return OfRoot::Nothing;
    }
    let is_closed = || {
        fs::read_dir(Path::new(OWN_DIR).join("leases"))
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    // A mark without the directory means nothing: whoever removed that left nothing in it.
    if is_set() && Path::new(OWN_DIR).exists() {
        OfRoot::Held
    } else if is_closed() {
        OfRoot::Unseen
    } else {
        OfRoot::Nothing
    }
}
