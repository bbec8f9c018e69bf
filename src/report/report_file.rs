//! Owns the file of `--report`. Whether it can be written is known before the build; until the
//! whole report is there, the file stays as it was. Runs in the supervisor.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::NamedTempFile;

use crate::host::within::write_within;

/// Takes a report when there is one; dropped without, it leaves nothing.
#[derive(Debug)]
pub struct ReportFile(Destination);

#[derive(Debug)]
enum Destination {
    /// A file beside it, which gets its name at the end.
    Beside { new: NamedTempFile, path: PathBuf },
    /// The file itself: nothing can be made beside it.
    Over(PathBuf),
    /// A terminal, a pipe, a device, or what this process was handed: written into as it is.
    Into(File),
}

impl ReportFile {
    /// Opens it without waiting.
    ///
    /// # Errors
    /// Where a report could not be written there.
    pub fn open(path: &Path) -> io::Result<Self> {
        // `/dev/stdout` and its like are files as well, which others write to.
        let is_handed = path.starts_with("/dev") || path.starts_with("/proc");
        let there = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            there => Some(there?),
        };
        Ok(Self(match there {
            None => Destination::Beside { new: beside(path)?, path: path.to_owned() },
            Some(there) if is_handed || !there.is_file() => Destination::Into(open_now(path)?),
            Some(there) => {
                OpenOptions::new().write(true).open(path)?;
                // A link stays one.
                let path = fs::canonicalize(path)?;
                match beside(&path) {
                    Ok(new) => {
                        new.as_file().set_permissions(there.permissions())?;
                        Destination::Beside { new, path }
                    }
                    Err(_) => Destination::Over(path),
                }
            }
        }))
    }

    /// Writes the report, for no longer than `patience` where somebody has to read it.
    ///
    /// # Errors
    /// Where it cannot be written; a file that was there is then as it was.
    pub fn write(self, json: &str, patience: Duration) -> io::Result<()> {
        match self.0 {
            Destination::Into(mut file) => write_within(patience, &mut file, json.as_bytes()),
            Destination::Over(path) => fs::write(path, json),
            Destination::Beside { mut new, path } => {
                new.write_all(json.as_bytes())?;
                match new.persist(&path) {
                    // One that is mounted into a container has no name to give away.
                    Err(failed) if failed.error.raw_os_error() == Some(libc::EBUSY) => {
                        fs::write(path, json)
                    }
                    named => named.map(drop).map_err(|failed| failed.error),
                }
            }
        }
    }
}

fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".makeroom-report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
}

/// Opens a file to append to it, and creates it where it is missing. A FIFO that nobody reads would
/// make the build wait (fifo(7)), so it is an error. One that is read does not block either:
/// [`write_within`].
///
/// # Errors
/// Where it cannot be written.
pub fn open_now(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| {
            if error.raw_os_error() == Some(libc::ENXIO) {
                io::Error::other("nobody reads from it")
            } else {
                error
            }
        })
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::fs::symlink};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(10);

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir)
            .expect("there")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_report_that_is_not_written_leaves_what_was_there() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("report.json");
        drop(ReportFile::open(&path).expect("opened"));
        assert!(names(base.path()).is_empty());
        fs::write(&path, "before").expect("written");
        drop(ReportFile::open(&path).expect("opened"));
        assert_eq!(
            (names(base.path()), fs::read_to_string(&path).expect("there")),
            (vec!["report.json".to_owned()], "before".to_owned())
        );
    }

    #[test]
    fn it_is_there_whole_with_its_mode_and_through_its_link() {
        let base = tempfile::tempdir().expect("a directory");
        let (path, link) = (base.path().join("report.json"), base.path().join("link"));
        fs::write(&path, "before, and longer").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("a mode");
        symlink("report.json", &link).expect("a link");
        let opened = ReportFile::open(&link).expect("opened");
        assert_eq!(fs::read_to_string(&path).expect("there"), "before, and longer");
        opened.write("after", MOMENT).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "after");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(names(base.path()), ["link", "report.json"]);
    }

    #[test]
    fn a_fifo_is_not_waited_for_and_one_with_a_reader_gets_it() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
        assert_eq!(
            ReportFile::open(&path).expect_err("no reader").to_string(),
            "nobody reads from it"
        );
        let mut reader = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .expect("a reader");
        ReportFile::open(&path).expect("opened").write("{}", MOMENT).expect("written");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "{}");
        let whole = "x".repeat(1 << 20);
        assert_eq!(
            ReportFile::open(&path)
                .expect("opened")
                .write(&whole, MOMENT)
                .expect_err("full")
                .to_string(),
            "nobody reads it"
        );
        ReportFile::open(base.path()).expect_err("a directory");
    }
}
