//! Swap for a run: made where it is missing, only as much as is missing, and gone afterwards, on
//! success and after a crash; shared by runs; and nothing that was there before ever touched.
//! No engine is needed here. Each test has the machine's swap to itself.

mod disk;
mod made;
mod refused;
mod removed;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{disk::Disk, makeroom::Run, must_run, site::Site, swap};

/// A build that writes down which swap there is while it runs, and what lies at and around `$0`.
const LOOK: &str =
    r#"cp /proc/swaps swaps; stat -c '%a %u' "$0" >area 2>&1; ls -A "${0%/*}" >around; echo built"#;

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

fn wishing(site: &Site, mebibytes: u64, path: &Path) -> Run {
    site.makeroom([
        OsString::from("--swap"),
        swap::more(mebibytes).into(),
        "--swap-file".into(),
        path.into(),
    ])
}

fn looking(site: &Site, mebibytes: u64, path: &Path) -> Run {
    let mut run = wishing(site, mebibytes, path);
    run.args(["sh", "-c", LOOK]).args([path]);
    run
}

/// The areas of a `/proc/swaps` with their sizes in KiB; blanks and their like are octal there.
fn areas_of(text: &str) -> Vec<(PathBuf, u64)> {
    let plain = |name: &str| {
        [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
            .iter()
            .fold(name.to_owned(), |name, (code, letter)| name.replace(code, letter))
    };
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        (PathBuf::from(plain(fields[0])), fields[2].parse().expect("a size"))
    };
    text.lines().skip(1).map(line).collect()
}

/// The size of the area at this path while [`LOOK`] ran.
fn seen(site: &Site, path: &Path) -> Option<u64> {
    let text = fs::read_to_string(site.work().join("swaps")).expect("the build looked");
    areas_of(&text).into_iter().find(|(area, _)| area == path).map(|(_, kib)| kib)
}

fn active() -> Vec<PathBuf> {
    areas_of(&fs::read_to_string("/proc/swaps").expect("/proc/swaps"))
        .into_iter()
        .map(|(path, _)| path)
        .collect()
}

fn names_in(dir: &Path) -> Vec<OsString> {
    fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect()
}

#[track_caller]
fn assert_nothing_left(disk: &Disk, site: &Site, dir: &Path) {
    assert_eq!(disk.areas(), Vec::<PathBuf>::new());
    assert_eq!(names_in(dir), Vec::<OsString>::new());
    assert_eq!(site.journals(), Vec::<PathBuf>::new());
}

/// An area that somebody else made, gone with its value.
struct Theirs(PathBuf);

impl Theirs {
    fn activate(path: PathBuf, mebibytes: u64) -> Self {
        must_run(Command::new("fallocate").args(["-l", &format!("{mebibytes}MiB")]).arg(&path));
        must_run(Command::new("chmod").arg("600").arg(&path));
        must_run(Command::new("mkswap").args(["-q", "-L", "theirs"]).arg(&path));
        must_run(Command::new("swapon").arg(&path));
        Self(path)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).status();
    }
}
