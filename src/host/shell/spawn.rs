//! Owns the process that a script is given to: `sh` itself, `sudo`, or the command that leads to
//! the host. Runs in the keeper and in short commands.

use std::{process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::{
    core::machine::route::Route,
    host::{
        limits,
        shell::{error::ShellError, names::SH, script::PATH},
    },
};

/// The sudo check does nothing; an answer that takes longer waits for a password or a directory
/// service.
const SUDO_CHECK: Duration = Duration::from_secs(5);

/// How a script becomes root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// We are it.
    Already,
    /// `sudo` lets us without a password, even without a cached ticket.
    Sudo,
}

/// A process on this machine that leads its group. One that has not ended when this is dropped is
/// killed with all that it started: `colima` does not become the ssh that it runs.
#[derive(Debug)]
pub struct ProcessGroup(pub Child);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Waited for, it has no pid any more, and its number may be somebody else's.
        if let Some(group) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            // ESRCH: it ended by itself in between.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Starts the shell at the end of this route, with these arguments.
pub(super) fn spawn(
    route: &Route,
    root: Option<Root>,
    arguments: &[&str],
) -> Result<ProcessGroup, ShellError> {
    start(route, command(route, root, arguments)?)
}

/// The same, where nobody listens to its stderr.
pub(super) fn spawn_silent(
    route: &Route,
    root: Option<Root>,
    arguments: &[&str],
) -> Result<ProcessGroup, ShellError> {
    let mut command = command(route, root, arguments)?;
    command.stderr(Stdio::null());
    start(route, command)
}

fn start(route: &Route, mut command: Command) -> Result<ProcessGroup, ShellError> {
    command.spawn().map(ProcessGroup).map_err(|source| ShellError::io(route, source))
}

fn command(route: &Route, root: Option<Root>, arguments: &[&str]) -> Result<Command, ShellError> {
    let sudo: &[&str] = if root == Some(Root::Sudo) { &["sudo", "-n"] } else { &[] };
    let mut command = match route {
        Route::Here => {
            let mut command = Command::new(sudo.first().unwrap_or(&SH));
            command.args(sudo.get(1..).unwrap_or_default()).args(sudo.first().map(|_| SH));
            command.env("LC_ALL", "C").env("PATH", PATH);
            command
        }
        Route::Behind(prefix) => {
            let (program, words) = prefix
                .words
                .split_first()
                .ok_or_else(|| ShellError::NoWay { engine: prefix.name.clone() })?;
            let mut command = Command::new(program);
            command.args(words).args(sudo).arg("sh");
            command
        }
        Route::NoWay { engine } => return Err(ShellError::NoWay { engine: engine.clone() }),
    };
    command.args(arguments).current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    limits::give_back_to(&mut command);
    Ok(command)
}

/// Whether scripts can be run as root on this machine.
pub(super) async fn find_root() -> Option<Root> {
    if nix::unistd::geteuid().is_root() {
        return Some(Root::Already);
    }
    let mut check = Command::new("sudo");
    check
        .args(["-k", "-n", "true"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    limits::give_back_to(&mut check);
    let status =
        tokio::time::timeout(SUDO_CHECK, check.kill_on_drop(true).status()).await.ok()?.ok()?;
    status.success().then_some(Root::Sudo)
}
