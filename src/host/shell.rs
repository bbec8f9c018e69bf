//! Owns running a script on the host: it travels on standard input to `sh -s`, here or behind the
//! command prefix that leads to a VM, as ourselves or as root. It has no terminal, cwd `/`, a time
//! limit, and a marker before its output, because shells may print greetings (docs/decisions/0002).

use std::{
    io,
    process::{Output, Stdio},
    sync::Mutex,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdout, Command},
    sync::OnceCell,
};

#[cfg(test)]
pub(crate) mod fake;
mod reuse;

use crate::{
    core::{machine::route::Route, text},
    host::{limits, shell::reuse::Stay},
};

const MARKER: &str = "makeroom-step-output";
/// The sudo check does nothing, so an answer that takes longer waits for a password or a directory
/// service.
const SUDO_CHECK: Duration = Duration::from_secs(5);
/// The limit of that check behind a prefix, where a connection may have to be made first.
const ROOT_CHECK: Duration = Duration::from_secs(15);
/// By its path, so that it is not searched for each time.
const SH: &str = "/bin/sh";
/// Where swapon and the like are, also for users whose PATH has no sbin.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// `-k` before a command ignores a cached ticket, which may have expired by the time things are put
/// back.
const WHO: &str = include_str!("scripts/who.sh");

/// The way to the host, and what we may do there.
#[derive(Debug)]
pub struct Shell {
    route: Route,
    root: OnceCell<Option<Root>>,
    stay: Mutex<Stay>,
    #[cfg(test)]
    fake: Option<fake::Fake>,
}

/// How a script becomes root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// We are it.
    Already,
    /// `sudo` asks for no password, even without a cached ticket.
    Sudo,
}

/// Why a script did not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("this needs root{place}, or sudo that asks for no password")]
    NoRoot { place: String },
    #[error("no way into {engine} is known")]
    NoWay { engine: String },
    #[error("cannot run `{program}`: {source}")]
    Io { program: String, source: io::Error },
    #[error("{} has not answered for {} s", text::printable(host), after.as_secs())]
    Silent { host: String, after: Duration },
    #[error("`{program}` gives the step a terminal, which changes what it reads and prints")]
    Terminal { program: String },
    #[error("{0}")]
    Failed(String),
}

impl ShellError {
    /// Tells whether the script may still be running, or may have done everything without being
    /// able to say so.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Failed(_))
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRoot { .. } => {
                Some("run makeroom as root, or allow sudo without a password (`sudo visudo`)")
            }
            Self::NoWay { .. } => Some("name the way with --vm-shell \"COMMAND\""),
            Self::Io { .. } => {
                Some("name the way into the VM with --vm-shell \"COMMAND\", or leave it out")
            }
            Self::Terminal { .. } => {
                Some("leave the option that asks for a terminal (-t) out of the command")
            }
            Self::Silent { .. } => {
                Some("a machine that is out of memory may not answer for minutes")
            }
            Self::Failed(_) => None,
        }
    }
}

impl Shell {
    /// Makes a shell at the end of this route.
    #[must_use]
    pub fn new(route: Route) -> Self {
        Self {
            route,
            root: OnceCell::new(),
            stay: Mutex::new(Stay::Unwanted),
            #[cfg(test)]
            fake: None,
        }
    }

    /// Makes a shell on this machine.
    #[must_use]
    pub fn here() -> Self {
        Self::new(Route::Here)
    }

    /// A shell of no machine, as root; this answers its scripts.
    #[cfg(test)]
    pub(crate) fn of_fake(fake: fake::Fake) -> Self {
        let root = OnceCell::new_with(Some(Some(Root::Already)));
        Self { root, fake: Some(fake), ..Self::here() }
    }

    /// Where it leads.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What a person calls the host; `None` for this machine.
    #[must_use]
    pub fn host_name(&self) -> Option<&str> {
        match &self.route {
            Route::Here => None,
            Route::Behind(prefix) => Some(&prefix.name),
            Route::NoWay { engine } => Some(engine),
        }
    }

    /// The end of a sentence: ` in NAME` if the host is not this machine.
    #[must_use]
    pub fn place(&self) -> String {
        self.host_name().map_or_else(String::new, |name| format!(" in {}", text::printable(name)))
    }

    /// Finds out, once, whether scripts can be run as root.
    pub async fn root(&self) -> Option<Root> {
        let find = || async {
            match &self.route {
                Route::Here => find_root().await,
                Route::Behind(_) => {
                    self.run(WHO, ROOT_CHECK).await.ok().and_then(|answer| read_who(&answer))
                }
                Route::NoWay { .. } => None,
            }
        };
        *self.root.get_or_init(find).await
    }

    /// The head of a script that also tells who it runs as, which saves a round trip;
    /// [`Self::learn`] takes the answer.
    #[must_use]
    pub fn who(&self) -> &'static str {
        if matches!(self.route, Route::Behind(_)) { WHO } else { "" }
    }

    /// Keeps the answer to [`Self::who`].
    pub fn learn(&self, answer: &str) {
        if matches!(self.route, Route::Behind(_)) {
            // What is known already stays, because the question was the same.
            let _ = self.root.set(read_who(answer));
        }
    }

    /// Runs a script as ourselves.
    ///
    /// # Errors
    /// [`ShellError`].
    pub async fn run(&self, script: &str, limit: Duration) -> Result<String, ShellError> {
        self.step(&["-s"], None, script, limit).await
    }

    /// Runs a script as root. `subject`, what it works on, is an argument of the shell, so that
    /// others can see in the list of processes that it is under way.
    ///
    /// # Errors
    /// [`ShellError::NoRoot`] if we cannot become root.
    pub async fn run_as_root(
        &self,
        script: &str,
        subject: Option<&str>,
        limit: Duration,
    ) -> Result<String, ShellError> {
        let Some(root) = self.root().await else {
            return Err(ShellError::NoRoot { place: self.place() });
        };
        let words: Vec<&str> = ["-s"].into_iter().chain(subject).collect();
        self.step(&words, Some(root), script, limit).await
    }

    /// Starts a script that runs until it is dropped, in the shell that stayed if there is one. Its
    /// streams are the caller's; `name` shows in lists of processes.
    ///
    /// # Errors
    /// [`ShellError`].
    pub async fn stream(&self, name: &str, script: &str) -> Result<Step, ShellError> {
        if let Some(step) = self.go_on(script).await {
            return Ok(step);
        }
        let root = self.root().await;
        let mut command = self.command(root, &["-s", name])?;
        let mut step =
            Step(command.stderr(Stdio::null()).spawn().map_err(|source| self.failed(source))?);
        if let Some(input) = step.0.stdin.as_mut() {
            input.write_all(script.as_bytes()).await.map_err(|source| self.failed(source))?;
        }
        Ok(step)
    }

    fn program(&self) -> String {
        match &self.route {
            Route::Behind(prefix) => text::printable(&prefix.words.join(" ")),
            Route::Here | Route::NoWay { .. } => SH.to_owned(),
        }
    }

    fn command(&self, root: Option<Root>, arguments: &[&str]) -> Result<Command, ShellError> {
        let sudo: &[&str] = if root == Some(Root::Sudo) { &["sudo", "-n"] } else { &[] };
        let mut command = match &self.route {
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

    async fn step(
        &self,
        arguments: &[&str],
        root: Option<Root>,
        script: &str,
        limit: Duration,
    ) -> Result<String, ShellError> {
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            return fake.answer(script);
        }
        let mut step = self.spawn(root, arguments)?;
        let (mut input, mut stdout, mut stderr) =
            (step.0.stdin.take(), step.0.stdout.take(), step.0.stderr.take());
        let whole = whole(script);
        let write = async {
            if let Some(input) = input.as_mut() {
                // A script that ends before it has read all of itself says why on its stderr.
                let _ = input.write_all(whole.as_bytes()).await;
            }
            drop(input);
            Ok(())
        };
        let mut said = Vec::new();
        let listen = async { self.read_to_end(&mut stderr, &mut said).await };
        let mut answer = Vec::new();
        let talk = async {
            tokio::try_join!(write, self.read_until(None, &mut stdout, &mut answer), listen)?;
            step.0.wait().await.map_err(|source| self.failed(source))
        };
        let status = tokio::time::timeout(limit, talk).await.map_err(|_| self.silent(limit))??;
        read(&Output { status, stdout: answer, stderr: said }, &self.program())
    }

    fn spawn(&self, root: Option<Root>, arguments: &[&str]) -> Result<Step, ShellError> {
        self.command(root, arguments)?.spawn().map(Step).map_err(|source| self.failed(source))
    }

    /// Reads until this mark appears or the output ends; tells whether it appeared.
    async fn read_until(
        &self,
        mark: Option<&str>,
        stdout: &mut Option<ChildStdout>,
        answer: &mut Vec<u8>,
    ) -> Result<bool, ShellError> {
        let has = |answer: &[u8]| {
            mark.is_some_and(|mark| {
                answer.windows(mark.len()).any(|window| window == mark.as_bytes())
            })
        };
        let Some(stdout) = stdout else { return Ok(false) };
        while !has(answer) {
            if stdout.read_buf(answer).await.map_err(|source| self.failed(source))? == 0 {
                return Ok(false);
            }
            // A terminal changes what was printed, and the rest may never come.
            if is_from_terminal(answer) {
                return Err(ShellError::Terminal { program: self.program() });
            }
        }
        Ok(true)
    }

    async fn read_to_end(
        &self,
        stderr: &mut Option<ChildStderr>,
        said: &mut Vec<u8>,
    ) -> Result<(), ShellError> {
        let Some(stderr) = stderr else { return Ok(()) };
        stderr.read_to_end(said).await.map(drop).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> ShellError {
        ShellError::Io { program: self.program(), source }
    }

    fn silent(&self, after: Duration) -> ShellError {
        ShellError::Silent { host: self.host_name().unwrap_or("the step").to_owned(), after }
    }
}

/// A script's process on this machine. If it has not ended when this is dropped, it is killed with
/// everything that it started: `colima` starts ssh as a child of its own.
#[derive(Debug)]
pub struct Step(pub Child);

impl Drop for Step {
    fn drop(&mut self) {
        // A child that was waited for has no pid any more; its number may be another process's.
        if let Some(group) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            // ESRCH: it ended by itself meanwhile.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Tells whether the marker's line ends as a terminal ends lines.
fn is_from_terminal(output: &[u8]) -> bool {
    let marked = [MARKER.as_bytes(), b"\r"].concat();
    output.windows(marked.len()).any(|window| window == marked)
}

/// Puts the head before a script. The braces make the shell read all of it before it runs any of
/// it, so a connection that breaks in the middle leaves nothing half done. The quotes in the marker
/// tell its output from an echo of the script itself.
fn whole(script: &str) -> String {
    // `exit`: a shell at a terminal would ask for more.
    format!("{{\n{}{script}\nexit\n}}\n", head())
}

fn head() -> String {
    // A script that was begun has to clean up after itself even if nobody reads its output any
    // more.
    format!(
        "trap '' PIPE; PATH={PATH}; export PATH; LC_ALL=C; export LC_ALL; set -u; {}",
        echo(MARKER)
    )
}

fn echo(mark: &str) -> String {
    let (first, rest) = mark.split_at(8);
    format!("echo {first}'{rest}'\n")
}

async fn find_root() -> Option<Root> {
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

fn read_who(answer: &str) -> Option<Root> {
    match answer.lines().find_map(|line| line.strip_prefix("who "))? {
        "root" => Some(Root::Already),
        "sudo" => Some(Root::Sudo),
        _ => None,
    }
}

fn read(output: &Output, program: &str) -> Result<String, ShellError> {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    match text.split_once(MARKER) {
        Some((_, answer)) if output.status.success() => {
            Ok(answer.trim_start_matches('\n').to_owned())
        }
        begun => {
            let last = |text: &str| {
                text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(text::printable)
            };
            let why =
                last(&said).or_else(|| last(&text)).unwrap_or_else(|| output.status.to_string());
            let what = if begun.is_some() {
                "the step failed".to_owned()
            } else {
                format!("`{program}` did not run the step")
            };
            Err(ShellError::Failed(format!("{what}: {why}")))
        }
    }
}

/// Writes an assignment for the head of a script, quoted so that nothing in the value is
/// interpreted.
#[must_use]
pub fn variable(name: &str, value: &str) -> String {
    format!("{name}='{}'\n", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
