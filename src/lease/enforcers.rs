//! Owns the names of containers that were seen to restart targets, in the state directory: one a line.
//! A file that cannot be used costs nothing else.

use std::io::{self, Read as _, Write as _};

use nix::fcntl::OFlag;

use crate::lease::{dir::Dir, state_dir::StateDir};

const NAME: &str = "enforcers";
/// None that we wrote is larger.
const LARGEST_BYTES: u64 = 64 << 10;

/// The enforcers of a state directory.
#[derive(Clone, Debug)]
pub struct Enforcers {
    dir: Dir,
}

impl Enforcers {
    /// Those of this state directory.
    #[must_use]
    pub fn of(state: &StateDir) -> Self {
        Self { dir: state.dir().clone() }
    }

    /// Their names; none where they cannot be read.
    #[must_use]
    pub fn read(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        let read = self
            .dir
            .open_file(NAME, OFlag::O_RDONLY)
            .and_then(|file| file.take(LARGEST_BYTES).read_to_end(&mut bytes));
        let text = read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Adds one, unless it is there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, name: &str) -> io::Result<()> {
        let known = self.read();
        let bytes: usize = known.iter().map(|name| name.len() + 1).sum();
        let is_full = bytes as u64 + name.len() as u64 + 1 > LARGEST_BYTES;
        if is_full || name.contains('\n') || known.iter().any(|one| one == name) {
            return Ok(());
        }
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT;
        self.dir.open_file(NAME, flags)?.write_all(format!("{name}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let base = tempfile::tempdir().expect("a directory");
        let enforcers = Enforcers::of(&StateDir::open(base.path()).expect("a state directory"));
        assert!(enforcers.read().is_empty());
        for name in ["heal", "other", "heal", "a\nb"] {
            enforcers.add(name).expect("added");
        }
        assert_eq!(enforcers.read(), ["heal", "other"]);
    }
}
