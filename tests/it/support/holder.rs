//! Owns that what a test process starts for all its tests is gone when the process is, however it
//! ends. A small shell holds the read end of a pipe whose write end is in this process; at
//! end-of-file it ends what it started, and takes away what is left of it. Nothing here relies on a
//! `Drop`.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The directory is argument 1.
const BEGIN: &str = "dir=$1\ncd /\n";
/// What a killed engine leaves behind names our directory, which nobody else's does.
const END: &str = r#"
for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    [ "$pid" = "$$" ] || ! grep -qs -- "$dir" "$process/cmdline" || kill -KILL "$pid"
done
while read -r _ _ _ _ point _; do case $point in "$dir"/*) echo "$point" ;; esac; done </proc/self/mountinfo |
    sort -r | while read -r point; do umount -l "$point"; done
rm -rf --one-file-system "$dir"
"#;

/// The shell, by its directory and the pipe's write end.
pub struct Holder {
    dir: PathBuf,
    input: File,
}

impl Holder {
    /// Makes a directory and starts a shell with this script and these arguments, the first of
    /// which is `$2`. The script starts what is wanted, reads its input to the end, and ends that
    /// again.
    ///
    /// # Panics
    /// Where this is not root.
    #[must_use]
    #[expect(
        clippy::zombie_processes,
        reason = "the shell outlives this process: that is what it is for"
    )]
    pub fn start(prefix: &str, script: &str, arguments: &[&Path]) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests start engines of their own: run them as root"
        );
        // A short path: a socket's address holds 108 bytes.
        let dir = tempfile::Builder::new().prefix(prefix).tempdir().expect("a directory").keep();
        // Another user's makeroom passes through to what is its own below.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).expect("a mode");
        let mut shell = Command::new("sh");
        shell.args(["-c", &[BEGIN, script, END].concat(), "makeroom-it"]).arg(&dir).args(arguments);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(dir.join("holder.log")).expect("a log"));
        // SAFETY: setsid is async-signal-safe. Ctrl-C at the tests' terminal must not reach the
        // engine.
        unsafe { shell.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from)) };
        let mut shell = shell.spawn().expect("sh");
        Self { dir, input: File::from(OwnedFd::from(shell.stdin.take().expect("piped"))) }
    }

    /// The directory that goes with it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A line for the script.
    pub fn tell(&self, line: &str) {
        writeln!(&self.input, "{line}").expect("the holder lives");
    }
}
