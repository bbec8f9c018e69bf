//! Owns the connection to an engine behind ssh: one ssh process that carries the engine's socket
//! and all scripts, so that none of them needs a connection of its own. It ends with this process,
//! however that ends, because its far side reads until our end of the pipe is gone. Runs in the
//! keeper and in short commands.

use std::{
    cell::RefCell,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    process::{Child, Command},
};

use crate::{
    core::{machine::way::Prefix, text},
    host::limits,
};

/// A connection that is not made within this time is not going to be made.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error("cannot make {}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot run ssh: {0}")]
    Spawn(io::Error),
    #[error("ssh says: {0}")]
    Refused(String),
    #[error("ssh has not connected for {} s", after.as_secs())]
    Silent { after: Duration },
}

/// A connection that is made when it is needed, and again when it has broken.
#[derive(Debug)]
pub struct Tunnel {
    /// The command that reaches the machine without the tunnel.
    plain: Prefix,
    /// The engine's socket there.
    remote: String,
    dir: PathBuf,
    child: RefCell<Option<Child>>,
}

impl Tunnel {
    /// Makes a tunnel without connecting it. `name` is unique on this machine.
    #[must_use]
    pub fn new(plain: Prefix, remote: &str, name: &str) -> Self {
        // A short path, because a socket's path has 104 bytes on macOS, and ssh adds 17 to its own.
        Self {
            plain,
            remote: remote.to_owned(),
            dir: PathBuf::from("/tmp").join(format!("mr-{name}")),
            child: RefCell::default(),
        }
    }

    /// Where the engine's socket appears.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("engine")
    }

    /// The command that runs scripts through the tunnel, or without it if it broke.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        self.with_options(&[
            "-o",
            "ControlMaster=no",
            "-o",
            &format!("ControlPath={}", self.control()),
        ])
    }

    fn control(&self) -> String {
        self.dir.join("ctl").display().to_string()
    }

    fn with_options(&self, options: &[&str]) -> Prefix {
        let (program, rest) = self
            .plain
            .words
            .split_first()
            .map_or(("ssh", &[][..]), |(first, rest)| (first.as_str(), rest));
        let words = [program]
            .into_iter()
            .chain(options.iter().copied())
            .chain(rest.iter().map(String::as_str));
        Prefix { name: self.plain.name.clone(), words: words.map(str::to_owned).collect() }
    }

    /// Connects, unless it is connected already.
    ///
    /// # Errors
    /// [`TunnelError`] with ssh's own last words.
    pub async fn open(&self) -> Result<(), TunnelError> {
        let is_there = self
            .child
            .borrow_mut()
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if is_there && UnixStream::connect(self.socket()).await.is_ok() {
            return Ok(());
        }
        // Dropping the old process ends it.
        self.child.take();
        self.own_directory()
            .map_err(|source| TunnelError::Directory { path: self.dir.clone(), source })?;
        let forward = format!("{}:{}", self.socket().display(), self.remote);
        let control = format!("ControlPath={}", self.control());
        let options = [
            "-o",
            "ControlMaster=yes",
            "-o",
            "ControlPersist=no",
            "-o",
            &control,
            "-o",
            "ExitOnForwardFailure=yes",
            "-o",
            "ServerAliveInterval=15",
            "-L",
            &forward,
        ];
        let prefix = self.with_options(&options);
        let mut command = Command::new(&prefix.words[0]);
        command.args(&prefix.words[1..]).arg("cat > /dev/null").current_dir("/").kill_on_drop(true);
        limits::give_back_to(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(TunnelError::Spawn)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if UnixStream::connect(self.socket()).await.is_ok() {
                self.child.replace(Some(child));
                return Ok(());
            }
            if let Ok(Some(status)) = child.try_wait() {
                let mut said = String::new();
                if let Some(mut stderr) = child.stderr.take() {
                    // If it cannot be read, the status alone has to do.
                    let _ = stderr.read_to_string(&mut said).await;
                }
                let last = said
                    .lines()
                    .rev()
                    .find(|line| !line.trim().is_empty())
                    .map(|line| text::printable(line.trim()));
                return Err(TunnelError::Refused(last.unwrap_or_else(|| status.to_string())));
            }
            tokio::time::sleep(POLL).await;
        }
        Err(TunnelError::Silent { after: PATIENCE })
    }

    /// Makes a directory that is ours alone. Replaces one that a killed keeper left, but nobody
    /// else's.
    fn own_directory(&self) -> io::Result<()> {
        if self.has_own_directory() {
            fs::remove_dir_all(&self.dir)?;
        }
        fs::DirBuilder::new().mode(0o700).create(&self.dir)
    }

    fn has_own_directory(&self) -> bool {
        fs::symlink_metadata(&self.dir)
            .is_ok_and(|found| found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // Even if this tunnel was never opened: a killed keeper of the same lease may have left its
        // directory.
        if self.has_own_directory() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(name: &str) -> Tunnel {
        let words = ["ssh", "-T", "--", "me@there"].map(str::to_owned).to_vec();
        Tunnel::new(Prefix { name: "me@there".to_owned(), words }, "/run/d.sock", name)
    }

    #[test]
    fn options_stand_before_the_destination() {
        let words = tunnel("x").prefix().words.join(" ");
        assert_eq!(words, "ssh -o ControlMaster=no -o ControlPath=/tmp/mr-x/ctl -T -- me@there");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_that_fails_says_so_and_no_directory_is_taken_from_others() {
        let name = format!("test-{}", std::process::id());
        let refusing = Tunnel::new(
            Prefix { name: "false".to_owned(), words: vec!["false".to_owned()] },
            "/run/d.sock",
            &name,
        );
        assert!(matches!(refusing.open().await, Err(TunnelError::Refused(_))));
        let taken = tunnel(&format!("{name}-file"));
        fs::write(&taken.dir, "somebody's").expect("a file");
        assert!(matches!(taken.open().await, Err(TunnelError::Directory { .. })));
        assert_eq!(fs::read_to_string(&taken.dir).expect("still there"), "somebody's");
        let dir = taken.dir.clone();
        drop(taken);
        fs::remove_file(&dir).expect("still there");
        let dir = refusing.dir.clone();
        drop(refusing);
        assert!(!dir.exists());
    }
}
