//! Owns the history's file in the state directory: it is read when a need is asked for, and
//! appended to after a run. A history that cannot be used costs nothing else.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
};

use nix::fcntl::OFlag;

use crate::{
    core::run::history::{self, Past},
    lease::{dir::Dir, state_dir::StateDir},
};

/// No history that we wrote is larger.
const LARGEST_BYTES: u64 = 1 << 20;
const NAME: &str = "history";

/// The history of a state directory.
#[derive(Clone, Debug)]
pub struct History {
    dir: Dir,
}

impl History {
    /// The history of this state directory.
    #[must_use]
    pub fn of(state: &StateDir) -> Self {
        Self { dir: state.dir().clone() }
    }

    /// Reads all of it; empty if there is none.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn read(&self) -> io::Result<String> {
        let file = match self.open(OFlag::O_RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(LARGEST_BYTES).read_to_end(&mut bytes)?;
        // A byte that is not UTF-8 spoils only its own line.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Adds a run. Two runs that end at once are both added: a line is one write at the end.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, past: &Past) -> io::Result<()> {
        // A line that a crash cut off must not swallow this one. Empty lines are skipped.
        let line = format!("\n{}", past.line());
        self.open(OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)?
            .write_all(line.as_bytes())?;
        let text = self.read()?;
        if let Some(short) = history::shortened(&text) {
            // Two processes that shorten at once must not write to the same new file.
            let anew = format!("{NAME}.{}", std::process::id());
            let mut file =
                self.dir.open_file(&anew, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?;
            file.write_all(short.as_bytes())?;
            self.dir.rename(&anew, NAME)?;
        }
        Ok(())
    }

    fn open(&self, flags: OFlag) -> io::Result<File> {
        self.dir.open_file(NAME, flags)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, OpenOptions},
        os::unix::fs::{PermissionsExt as _, symlink},
        path::Path,
    };

    use jiff::Timestamp;

    use super::*;
    use crate::core::run::verdict::Kind;

    fn past(peak_bytes: u64) -> Past {
        Past::new("k".to_owned(), "sh".to_owned(), Timestamp::UNIX_EPOCH, 1.0, peak_bytes, Kind::Ok)
    }

    fn of(path: &Path) -> History {
        History::of(&StateDir::open(path).expect("a state directory"))
    }

    fn peaks(history: &History) -> Vec<u64> {
        history::read(&history.read().expect("read")).map(|past| past.peak_bytes).collect()
    }

    #[test]
    fn runs_are_added_and_read_in_their_order_also_after_a_line_that_was_cut_off() {
        let base = tempfile::tempdir().expect("a directory");
        let history = of(base.path());
        assert_eq!(history.read().expect("none yet"), "");
        history.add(&past(1)).expect("added");
        let mut file =
            OpenOptions::new().append(true).open(base.path().join("history")).expect("there");
        file.write_all(b"{\"version\":1,\"ke\xff").expect("written");
        history.add(&past(2)).expect("added");
        assert_eq!(peaks(&history), [1, 2]);
        assert_eq!(
            fs::metadata(base.path().join("history")).expect("there").permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn it_does_not_grow_for_ever_and_the_newest_stay() {
        let base = tempfile::tempdir().expect("a directory");
        let history = of(base.path());
        (0..3000).try_for_each(|peak| history.add(&past(peak))).expect("added");
        let kept = peaks(&history);
        assert_eq!(kept.last(), Some(&2999));
        assert!(
            kept.len() < 1500
                && fs::metadata(base.path().join("history")).expect("there").len() <= 128 << 10
        );
        assert_eq!(
            fs::read_dir(base.path()).expect("there").count(),
            3,
            "nothing beside it, the lock and the leases"
        );
    }

    #[test]
    fn links_and_fifos_are_not_followed() {
        let base = tempfile::tempdir().expect("a directory");
        let elsewhere = base.path().join("elsewhere");
        symlink(&elsewhere, base.path().join("history")).expect("a link");
        of(base.path()).add(&past(1)).expect_err("a link");
        assert!(!elsewhere.exists());
        let fifo = base.path().join("b");
        fs::create_dir(&fifo).expect("a directory");
        fs::set_permissions(&fifo, fs::Permissions::from_mode(0o700)).expect("a mode");
        nix::unistd::mkfifo(&fifo.join("history"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        of(&fifo).read().expect_err("a fifo");
        of(&fifo).add(&past(1)).expect_err("a fifo");
    }
}
