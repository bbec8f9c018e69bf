//! Owns running a step on the host: a script that travels on standard input to `sh -s`, as
//! ourselves, as root, or through `sudo -n`. No terminal, cwd `/`, a time limit, and a marker
//! before the output, because shells may print greetings.

use std::{
    io,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{io::AsyncWriteExt as _, process::Command, sync::OnceCell};

const MARKER: &str = "makeroom-step-output";
/// The sudo check does nothing; an answer that takes longer waits for a password or a directory service.
const SUDO_CHECK: Duration = Duration::from_secs(5);

/// The way to the host, and what it lets us do there.
#[derive(Debug, Default)]
pub struct Shell {
    root: OnceCell<Option<Root>>,
}

/// How a step becomes root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// We are it.
    Already,
    /// `sudo` lets us without a password, even without a cached ticket.
    Sudo,
}

/// Why a step did not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("this needs root, or sudo that asks for no password")]
    NoRoot,
    #[error("cannot run `{program}`: {source}")]
    Io { program: &'static str, source: io::Error },
    #[error("the step has not ended for {} s", after.as_secs())]
    Silent { after: Duration },
    #[error("the step failed: {0}")]
    Failed(String),
}

impl Shell {
    /// Whether steps can be run as root, found out once.
    pub async fn root(&self) -> Option<Root> {
        *self.root.get_or_init(find_root).await
    }

    /// Runs a step as ourselves.
    ///
    /// # Errors
    /// [`ShellError`].
    pub async fn run(&self, script: &str, limit: Duration) -> Result<String, ShellError> {
        step(SH, &["-s"], script, limit).await
    }

    /// Runs a step as root.
    ///
    /// # Errors
    /// [`ShellError::NoRoot`] where we cannot be.
    pub async fn run_as_root(&self, script: &str, limit: Duration) -> Result<String, ShellError> {
        match self.root().await {
            Some(Root::Already) => step(SH, &["-s"], script, limit).await,
            Some(Root::Sudo) => step("sudo", &["-n", "sh", "-s"], script, limit).await,
            None => Err(ShellError::NoRoot),
        }
    }
}

async fn find_root() -> Option<Root> {
    if nix::unistd::geteuid().is_root() {
        return Some(Root::Already);
    }
    // `-k` beside a command ignores a cached ticket: it may have expired when things are put back.
    let mut check = Command::new("sudo");
    check.args(["-k", "-n", "true"]).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = tokio::time::timeout(SUDO_CHECK, check.kill_on_drop(true).status()).await.ok()?.ok()?;
    status.success().then_some(Root::Sudo)
}

async fn step(program: &'static str, args: &[&str], script: &str, limit: Duration) -> Result<String, ShellError> {
    let failed = |source| ShellError::Io { program, source };
    let mut command = Command::new(program);
    command.args(args).current_dir("/").env("LC_ALL", "C").env("PATH", PATH).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let mut input = child.stdin.take();
    // A step that was begun tidies up after itself, also where nobody reads what it says any more.
    let whole = format!("trap '' PIPE; PATH={PATH}; export PATH LC_ALL=C; set -u; echo {MARKER}\n{script}");
    let talk = async {
        if let Some(input) = input.as_mut() {
            // A step that ends before it has read all of itself says why on its own stderr.
            let _ = input.write_all(whole.as_bytes()).await;
        }
        drop(input);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(limit, talk).await.map_err(|_| ShellError::Silent { after: limit })?.map_err(failed)?;
    read(&output)
}

/// Where POSIX systems have it: no search for each step.
const SH: &str = "/bin/sh";
/// Where swapon and its like are, also for users whose PATH has no sbin.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn read(output: &Output) -> Result<String, ShellError> {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let why = || said.lines().next_back().map_or_else(|| output.status.to_string(), str::to_owned);
    match text.split_once(&format!("{MARKER}\n")) {
        Some((_, answer)) if output.status.success() => Ok(answer.to_owned()),
        _ => Err(ShellError::Failed(why())),
    }
}

/// An assignment for the head of a script, quoted: nothing in the value is interpreted.
#[must_use]
pub fn variable(name: &str, value: &str) -> String {
    format!("{name}='{}'\n", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn nothing_in_a_value_is_interpreted() {
        let hostile = "a'; touch /tmp/x; $(id) `id` \\ \"\n b";
        let script = variable("value", hostile) + "printf %s \"$value\"";
        assert_eq!(Shell::default().run(&script, Duration::from_secs(5)).await.expect("a step"), hostile);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_step_that_fails_or_hangs_says_so() {
        let shell = Shell::default();
        let failed = shell.run("echo oops >&2; exit 3", Duration::from_secs(5)).await.expect_err("exit 3");
        assert_eq!(failed.to_string(), "the step failed: oops");
        let silent = shell.run("exec sleep 60", Duration::from_millis(50)).await.expect_err("silent");
        assert!(matches!(silent, ShellError::Silent { .. }));
    }

    #[test]
    fn what_a_shell_prints_before_the_step_is_passed_over() {
        let output = |stdout: &str| Output {
            status: std::process::ExitStatus::default(),
            stdout: stdout.into(),
            stderr: b"last login\nbad".to_vec(),
        };
        assert_eq!(read(&output(&format!("Welcome!\n{MARKER}\nok\n"))).expect("an answer"), "ok\n");
        assert!(matches!(read(&output("Welcome!\n")), Err(ShellError::Failed(why)) if why == "bad"));
    }
}
