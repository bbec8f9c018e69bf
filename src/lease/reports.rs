//! Owns the reports of past runs in the state directory: one file for each run, of which the newest
//! few are kept. Files are created anew with mode 0600; no link is followed.

use std::{
    io::{self, Read as _, Write as _},
    time::{Duration, SystemTime},
};

use nix::fcntl::OFlag;

use crate::lease::{dir::Dir, state_dir::StateDir};

/// Nobody looks at more, and a report can hold 512 moments.
const MOST: usize = 32;
/// No report is larger.
const LARGEST_BYTES: u64 = 1 << 20;
const NAME: &str = "reports";

/// The reports of a state directory.
#[derive(Clone, Debug)]
pub struct Reports {
    dir: Dir,
}

impl Reports {
    /// The reports of this state directory.
    #[must_use]
    pub fn of(state: &StateDir) -> Self {
        Self { dir: state.dir().clone() }
    }

    /// Keeps a run's report, and removes the oldest ones beyond the limit.
    ///
    /// # Errors
    /// If it cannot be written, or is larger than what [`Self::find`] reads.
    pub fn keep(&self, lease: &str, json: &str) -> io::Result<()> {
        if json.len() as u64 > LARGEST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.dir.make_dir(NAME)?;
        let reports = self.dir.open_dir(NAME)?;
        let mut file = reports.open_file(
            &format!("{lease}.json"),
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL,
        )?;
        file.write_all(json.as_bytes())?;
        for (_, name) in newest_first(&reports)?.into_iter().skip(MOST) {
            reports.remove(&name)?;
        }
        Ok(())
    }

    /// Finds the report of this run, or of the last one; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn find(&self, lease: Option<&str>) -> io::Result<Option<String>> {
        let reports = match self.dir.open_dir(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            reports => reports?,
        };
        let is_meant =
            |name: &String| lease.is_none_or(|lease| name.strip_suffix(".json") == Some(lease));
        let Some(name) = newest_first(&reports)?.into_iter().map(|(_, name)| name).find(is_meant)
        else {
            return Ok(None);
        };
        let mut text = String::new();
        reports.open_file(&name, OFlag::O_RDONLY)?.take(LARGEST_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }
}

fn newest_first(reports: &Dir) -> io::Result<Vec<(SystemTime, String)>> {
    let mut found = Vec::new();
    for name in reports.names()? {
        if let Some(name) = name.to_str().filter(|name| name.strip_suffix(".json").is_some()) {
            let stat = reports.stat(name)?;
            let since = Duration::new(
                u64::try_from(stat.st_mtime).unwrap_or(0),
                u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            );
            found.push((SystemTime::UNIX_EPOCH + since, name.to_owned()));
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
        path::Path,
    };

    use super::*;

    fn of(path: &Path) -> Reports {
        Reports::of(&StateDir::open(path).expect("a state directory"))
    }

    #[test]
    fn the_last_report_is_found_and_each_by_its_lease() {
        let base = tempfile::tempdir().expect("a directory");
        let reports = of(base.path());
        assert_eq!(reports.find(None).expect("none yet"), None);
        for lease in ["a", "b"] {
            reports.keep(lease, &format!("of {lease}")).expect("kept");
            let file =
                fs::File::open(base.path().join(format!("reports/{lease}.json"))).expect("there");
            assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
            // A file system's clock may be too coarse to tell the two.
            let at = SystemTime::UNIX_EPOCH
                + std::time::Duration::from_secs(if lease == "a" { 1 } else { 2 });
            file.set_modified(at).expect("a time");
        }
        assert_eq!(reports.find(None).expect("read").as_deref(), Some("of b"));
        assert_eq!(reports.find(Some("a")).expect("read").as_deref(), Some("of a"));
        assert_eq!(reports.find(Some("../b")).expect("read"), None);
        assert_eq!(
            fs::metadata(base.path().join("reports")).expect("there").permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn only_so_many_are_kept() {
        let base = tempfile::tempdir().expect("a directory");
        let reports = of(base.path());
        (0..MOST + 5)
            .try_for_each(|number| reports.keep(&format!("{number:03}"), "x"))
            .expect("kept");
        assert_eq!(fs::read_dir(base.path().join("reports")).expect("there").count(), MOST);
    }

    #[test]
    fn one_that_would_not_be_read_whole_is_not_written() {
        let base = tempfile::tempdir().expect("a directory");
        let largest = usize::try_from(LARGEST_BYTES).expect("a size");
        of(base.path()).keep("a", &"x".repeat(largest)).expect("kept");
        of(base.path()).keep("b", &"x".repeat(largest + 1)).expect_err("too large");
        assert_eq!(fs::read_dir(base.path().join("reports")).expect("there").count(), 1);
    }

    #[test]
    fn links_are_not_followed() {
        let base = tempfile::tempdir().expect("a directory");
        let elsewhere = base.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("a directory");
        symlink(&elsewhere, base.path().join("reports")).expect("a link");
        of(base.path()).keep("a", "x").expect_err("a link");
        assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 0);
    }
}
