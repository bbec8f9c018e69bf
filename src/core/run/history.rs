//! Owns what is remembered of past runs, one line each: what a command needed, how long it took,
//! how it ended. A line that cannot be read, or is of a newer version, costs nothing else. Pure.

use std::{ffi::OsStr, fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::core::{
    plan::estimate::{Need, NeedSource},
    run::verdict::Kind,
};

/// The version of a line. Lines of other versions are skipped, and kept.
const VERSION: u32 = 1;
/// Beyond this many bytes the older half is dropped.
const MOST_BYTES: usize = 128 << 10;
/// How many of a command's last runs tell what it needs.
const TELLING_RUNS: usize = 5;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// The line's version.
    pub version: u32,
    /// Which command of which project it was; see [`key`].
    pub key: String,
    /// The program's name.
    pub program: String,
    /// When it ended.
    pub at: Timestamp,
    /// How long it ran.
    pub elapsed_s: f64,
    /// The most that it held.
    pub peak_bytes: u64,
    /// How it ended.
    pub verdict: Kind,
}

impl Past {
    /// Makes the line of a run of the command with this key.
    #[must_use]
    pub fn new(
        key: String,
        program: String,
        at: Timestamp,
        elapsed_s: f64,
        peak_bytes: u64,
        verdict: Kind,
    ) -> Self {
        Self { version: VERSION, key, program, at, elapsed_s, peak_bytes, verdict }
    }

    /// Writes it as a line, newline included.
    #[must_use]
    pub fn line(&self) -> String {
        // It holds only strings and numbers, all of which serde_json accepts.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// Makes a key that tells one command of one project from all others. It is a checksum, because the
/// words themselves may hold secrets.
#[must_use]
pub fn key<'a>(project: &Path, words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let mut sum = Sha256::new();
    let mut add = |part: &OsStr| {
        sum.update(part.as_bytes());
        // A NUL is in no path and in no argument.
        sum.update([0]);
    };
    add(project.as_os_str());
    words.into_iter().for_each(&mut add);
    sum.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads the runs in a history, the oldest first; skips what is not a run of this version.
#[must_use]
pub fn read(text: &str) -> impl DoubleEndedIterator<Item = Past> {
    text.lines()
        .filter_map(|line| serde_json::from_str::<Past>(line).ok())
        .filter(|past| past.version == VERSION)
}

/// What a command is expected to need: the highest peak of its last runs. A run that was killed for
/// memory needed at least that much.
#[must_use]
pub fn need(text: &str, key: &str) -> Option<Need> {
    let told =
        read(text).rev().filter(|past| past.key == key && past.peak_bytes > 0).take(TELLING_RUNS);
    told.map(|past| past.peak_bytes).max().map(|bytes| Need { bytes, source: NeedSource::History })
}

/// A history that has grown too long, without its older half; `None` if it has not.
#[must_use]
pub fn shortened(text: &str) -> Option<&str> {
    if text.len() <= MOST_BYTES {
        return None;
    }
    let middle = text.len() - MOST_BYTES / 2;
    let start = text.as_bytes()[middle..]
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(text.len(), |end| middle + end + 1);
    text.get(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn past(key: &str, peak_mib: u64) -> Past {
        Past::new(
            key.to_owned(),
            "pnpm".to_owned(),
            Timestamp::UNIX_EPOCH,
            1.5,
            peak_mib * MIB,
            Kind::Ok,
        )
    }

    #[test]
    fn the_need_is_the_highest_peak_of_the_last_runs_of_the_same_command() {
        let peaks = [900, 100, 120, 0, 110, 130, 90];
        let text: String = peaks
            .iter()
            .map(|peak| past("a", *peak).line())
            .chain([past("b", 5000).line()])
            .collect();
        assert_eq!(need(&text, "a"), Some(Need { bytes: 130 * MIB, source: NeedSource::History }));
        assert_eq!(need(&text, "b").map(|need| need.bytes), Some(5000 * MIB));
        assert_eq!((need(&text, "c"), need("", "a")), (None, None));
    }

    #[test]
    fn what_is_no_line_of_this_version_costs_only_itself() {
        let newer = past("a", 900).line().replace("\"version\":1", "\"version\":2");
        let text = format!(
            "{{\n\u{0}garbage\n{newer}{}{{\"version\":1,\"key\":\"a\"",
            past("a", 7).line()
        );
        assert_eq!(read(&text).collect::<Vec<_>>(), [past("a", 7)]);
        assert_eq!(need(&text, "a").map(|need| need.bytes), Some(7 * MIB));
    }

    #[test]
    fn a_key_is_of_one_command_in_one_project_and_tells_no_word() {
        let of =
            |project: &str, words: &[&str]| key(Path::new(project), words.iter().map(OsStr::new));
        let base = of("/a", &["pnpm", "build"]);
        assert_eq!(base, of("/a", &["pnpm", "build"]));
        for other in [
            of("/b", &["pnpm", "build"]),
            of("/a", &["pnpm", "test"]),
            of("/a", &["pnpmbuild"]),
            of("/a", &["pnpm"]),
        ] {
            assert_ne!(base, other);
        }
        assert!(base.len() == 16 && base.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn a_long_history_loses_its_older_half_at_a_lines_end() {
        let lines: Vec<String> = (0..2000).map(|peak| past("a", peak).line()).collect();
        let text = lines.concat();
        let short = shortened(&text).expect("too long");
        assert!(short.len() <= MOST_BYTES / 2 && short.len() > MOST_BYTES / 3, "{}", short.len());
        assert!(text.ends_with(short) && read(short).count() == short.lines().count());
        assert_eq!(shortened(short), None);
        let endless = "x".repeat(MOST_BYTES + 1);
        assert_eq!(shortened(&endless), Some(""));
    }
}
