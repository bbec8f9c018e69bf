//! Owns the reports of past runs in the state directory: one file a run, the newest few kept.
//! Files 0600, created anew, no link followed.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// More are looked at by nobody, and a report can have half a thousand moments.
const MOST: usize = 32;
/// No report is larger.
const LARGEST_BYTES: u64 = 1 << 20;

/// The reports of a state directory.
#[derive(Clone, Debug)]
pub struct Reports {
    dir: PathBuf,
}

impl Reports {
    /// Those of this state directory, which was checked.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("reports") }
    }

    /// Keeps a run's report, and as many before it as are worth keeping.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self, lease: &str, json: &str) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ if !fs::symlink_metadata(&self.dir)?.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(self.dir.join(format!("{lease}.json")))?.write_all(json.as_bytes())?;
        for (_, path) in self.newest_first()?.into_iter().skip(MOST) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The report of this run, or of the last one; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn find(&self, lease: Option<&str>) -> io::Result<Option<String>> {
        let found = self.newest_first()?.into_iter().map(|(_, path)| path);
        let is_meant = |path: &PathBuf| lease.is_none_or(|lease| path.file_stem().is_some_and(|stem| stem == lease));
        let Some(path) = found.into_iter().find(is_meant) else { return Ok(None) };
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        let mut text = String::new();
        file.take(LARGEST_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    fn newest_first(&self) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "json") {
                found.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        found.sort();
        found.reverse();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn the_last_report_is_found_and_each_by_its_lease() {
        let base = tempfile::tempdir().expect("a directory");
        let reports = Reports::of(base.path());
        assert_eq!(reports.find(None).expect("none yet"), None);
        for lease in ["a", "b"] {
            reports.keep(lease, &format!("of {lease}")).expect("kept");
            let file = fs::File::open(base.path().join(format!("reports/{lease}.json"))).expect("there");
            assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
            // A file system's clock may be too coarse to tell the two.
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(if lease == "a" { 1 } else { 2 });
            file.set_modified(at).expect("a time");
        }
        assert_eq!(reports.find(None).expect("read").as_deref(), Some("of b"));
        assert_eq!(reports.find(Some("a")).expect("read").as_deref(), Some("of a"));
        assert_eq!(reports.find(Some("../b")).expect("read"), None);
        assert_eq!(fs::metadata(base.path().join("reports")).expect("there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn only_so_many_are_kept() {
        let base = tempfile::tempdir().expect("a directory");
        let reports = Reports::of(base.path());
        (0..MOST + 5).try_for_each(|number| reports.keep(&format!("{number:03}"), "x")).expect("kept");
        assert_eq!(fs::read_dir(base.path().join("reports")).expect("there").count(), MOST);
    }

    #[test]
    fn links_are_not_followed() {
        let base = tempfile::tempdir().expect("a directory");
        let elsewhere = base.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("a directory");
        symlink(&elsewhere, base.path().join("reports")).expect("a link");
        Reports::of(base.path()).keep("a", "x").expect_err("a link");
        assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 0);
    }
}
