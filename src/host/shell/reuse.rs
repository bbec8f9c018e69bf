//! Owns the shell of a script that stays when the script is done, so that what comes next needs no
//! way of its own. Runs in the keeper.

use std::sync::{Mutex, PoisonError};

use tokio::io::AsyncWriteExt as _;

use crate::host::shell::spawn::ProcessGroup;

/// Whether a script's shell stays when the script is done.
#[derive(Debug, Default)]
pub(super) enum Kept {
    #[default]
    Unwanted,
    Wanted,
    Here(ProcessGroup),
}

/// The one shell that is kept.
#[derive(Debug, Default)]
pub(super) struct Reuse(Mutex<Kept>);

impl Reuse {
    /// Puts this in the place of what there is.
    pub(super) fn swap(&self, kept: Kept) -> Kept {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), kept)
    }

    /// The shell that stayed, which goes on with this script; none stays now.
    pub(super) async fn go_on(&self, script: &str) -> Option<ProcessGroup> {
        let Kept::Here(mut shell) = self.swap(Kept::Unwanted) else { return None };
        shell.0.stdin.as_mut()?.write_all(script.as_bytes()).await.ok()?;
        Some(shell)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use std::time::Duration;

    use crate::host::shell::{
        Shell,
        tests::{SOON, behind},
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
