//! Owns the shell that stays when its script is done, so that the next script needs no connection
//! of its own. Runs in the keeper.

use std::{process::Output, sync::PoisonError, time::Duration};

use tokio::io::AsyncWriteExt as _;

use crate::host::shell::{MARKER, Root, Shell, ShellError, Step, echo, head, read};

/// The line after the output of a script whose shell stays.
const END: &str = "makeroom-step-end";
/// How long to wait for the marker. A prefix that has not brought it by then may hold everything
/// back for as long as its input is open.
const OPEN_FOR: Duration = Duration::from_secs(2);

/// Whether a script's shell stays when the script is done, for [`Shell::stream`] to continue in.
#[derive(Debug)]
pub(super) enum Stay {
    Unwanted,
    Wanted,
    Here(Step),
}

impl Shell {
    /// Makes the shell of the next [`Self::run_as_root_and_stay`] stay for [`Self::stream`], which
    /// then needs no connection of its own.
    pub fn stay(&self) {
        self.swap_stay(Stay::Wanted);
    }

    /// Runs a script as root, as [`Self::run_as_root`] does; its shell stays if one was asked for.
    /// `name` is as in [`Self::stream`].
    ///
    /// # Errors
    /// [`ShellError::NoRoot`] if we cannot become root.
    pub async fn run_as_root_and_stay(
        &self,
        name: &str,
        script: &str,
        limit: Duration,
    ) -> Result<String, ShellError> {
        if let Stay::Unwanted = self.swap_stay(Stay::Unwanted) {
            return self.run_as_root(script, None, limit).await;
        }
        let Some(root) = self.root().await else {
            return Err(ShellError::NoRoot { place: self.place() });
        };
        let (output, left) = self.staying_step(&["-s", name], root, script, limit).await?;
        self.swap_stay(left.map_or(Stay::Wanted, Stay::Here));
        Ok(output)
    }

    /// Continues with this script in the shell that stayed, if there is one; none stays after that.
    pub(super) async fn go_on(&self, script: &str) -> Option<Step> {
        let Stay::Here(mut step) = self.swap_stay(Stay::Unwanted) else { return None };
        step.0.stdin.as_mut()?.write_all(script.as_bytes()).await.ok()?;
        Some(step)
    }

    fn swap_stay(&self, stay: Stay) -> Stay {
        std::mem::replace(&mut *self.stay.lock().unwrap_or_else(PoisonError::into_inner), stay)
    }

    /// Runs a script; gives what it printed and its shell, which reads on, or no shell if the
    /// prefix lets nothing through while its input is open.
    async fn staying_step(
        &self,
        arguments: &[&str],
        root: Root,
        script: &str,
        limit: Duration,
    ) -> Result<(String, Option<Step>), ShellError> {
        let mut step = self.spawn(Some(root), arguments)?;
        let (mut input, mut stdout, mut stderr) =
            (step.0.stdin.take(), step.0.stdout.take(), step.0.stderr.take());
        let (mut answer, mut said) = (Vec::new(), Vec::new());
        let talk = async {
            if let Some(input) = input.as_mut() {
                // As with any script: if something keeps it from reading, it says so itself.
                let _ = input.write_all(staying(script).as_bytes()).await;
            }
            let begins = self.read_until(Some(MARKER), &mut stdout, &mut answer);
            match tokio::time::timeout(OPEN_FOR, begins).await {
                Ok(begun) => begun?,
                Err(_) => input.take().is_none(),
            };
            if self.read_until(Some(END), &mut stdout, &mut answer).await? && input.is_some() {
                return Ok(None);
            }
            drop(input.take());
            self.read_to_end(&mut stderr, &mut said).await?;
            step.0.wait().await.map(Some).map_err(|source| self.failed(source))
        };
        let ended = tokio::time::timeout(limit, talk).await.map_err(|_| self.silent(limit))??;
        let output = Output { status: ended.unwrap_or_default(), stdout: answer, stderr: said };
        let mut text = read(&output, &self.program())?;
        text.truncate(text.find(END).unwrap_or(text.len()));
        (step.0.stdin, step.0.stdout) = (input, stdout);
        Ok((text, ended.is_none().then_some(step)))
    }
}

/// Puts the head before a script, as [`crate::host::shell::whole`] does, so that its shell reads on
/// once it has succeeded. Nobody listens to its stderr after that.
fn staying(script: &str) -> String {
    format!("{{\n{}{{\n{script}\n}} || exit\n{}exec 2> /dev/null\n}}\n", head(), echo(END))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::{
        super::tests::{SOON, behind},
        *,
    };

    /// A way that counts its uses, and passes on what it gets by this command.
    fn counting(dir: &std::path::Path, command: &str) -> (Shell, impl Fn() -> usize) {
        let asked = dir.join("asked");
        let shell = behind(&["sh", "-c", &format!("echo x >> {}; {command}", asked.display())]);
        shell.learn("who root");
        (shell, move || std::fs::read_to_string(&asked).unwrap_or_default().lines().count())
    }

    /// The first line that this script prints as a stream.
    async fn first_line(shell: &Shell, script: &str) -> String {
        let mut step = shell.stream("name", script).await.expect("a stream");
        let mut line = String::new();
        BufReader::new(step.0.stdout.take().expect("its output"))
            .read_line(&mut line)
            .await
            .expect("a line");
        line
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_shell_of_a_step_stays_for_one_stream_where_that_is_wanted() {
        for (is_wanted, line, uses) in [(true, "7 name\n", 1), (false, "none\n", 2)] {
            let dir = tempfile::tempdir().expect("a directory");
            let (shell, asked) = counting(dir.path(), "exec \"$0\" \"$@\"");
            if is_wanted {
                shell.stay();
            }
            assert_eq!(
                shell
                    .run_as_root_and_stay("name", "kept=\"7 ${1-}\"; echo out; echo err >&2", SOON)
                    .await
                    .expect("a step"),
                "out\n"
            );
            assert_eq!(first_line(&shell, "echo \"${kept-none}\"\n").await, line);
            assert_eq!(asked(), uses);
            assert_eq!(
                first_line(&shell, "echo \"${kept-none}\"\n").await,
                "none\n",
                "nothing stays twice"
            );
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_way_that_lets_nothing_through_while_it_is_open_is_closed_and_does_the_step() {
        // What it gets, and what it gives.
        for command in [
            r#"script=$(cat); printf '%s\n' "$script" | sh -s"#,
            r#"answer=$(sh -s); printf '%s\n' "$answer""#,
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let (shell, asked) = counting(dir.path(), command);
            shell.stay();
            assert_eq!(
                shell.run_as_root_and_stay("name", "echo out", SOON).await.expect("a step"),
                "out\n",
                "{command}"
            );
            assert_eq!(asked(), 1);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_step_that_fails_or_hangs_does_so_as_well_where_its_shell_is_to_stay() {
        for (script, expected) in [
            ("echo oops >&2; exit 3", "the step failed: oops"),
            ("echo oops >&2; false", "the step failed: oops"),
            ("exec sleep 60", "vm has not answered for 3 s"),
        ] {
            let shell = behind(&["env"]);
            shell.learn("who root");
            shell.stay();
            let error = shell
                .run_as_root_and_stay("name", script, Duration::from_secs(3))
                .await
                .expect_err(script);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_shell_that_stayed_and_ended_meanwhile_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let (shell, asked) = counting(dir.path(), "exec \"$0\" \"$@\"");
        shell.stay();
        // From here on nobody reads what is written to it.
        shell.run_as_root_and_stay("name", "exec < /dev/null", SOON).await.expect("a step");
        assert_eq!(first_line(&shell, "echo new\n").await, "new\n");
        assert_eq!(asked(), 2);
    }
}
