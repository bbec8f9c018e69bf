//! Owns the exchange with the process that a script is given to: the script in, its answer out,
//! within a time limit. Runs in the keeper and in short commands.

use std::{process::Output, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStderr, ChildStdout},
};

use crate::{
    core::machine::route::Route,
    host::shell::{
        error::ShellError,
        names::program,
        script::{END, MARKER, has, is_from_terminal, read, staying, whole},
        spawn::ProcessGroup,
    },
};

/// A way that has not brought the marker by then may hold back what goes through it for as long as
/// its input is open.
const OPEN_FOR: Duration = Duration::from_secs(2);

/// What a script printed.
pub(super) async fn run_to_end(
    route: &Route,
    mut shell: ProcessGroup,
    script: &str,
    limit: Duration,
) -> Result<String, ShellError> {
    let (mut input, mut stdout, mut stderr) =
        (shell.0.stdin.take(), shell.0.stdout.take(), shell.0.stderr.take());
    let whole = whole(script);
    let write = async {
        if let Some(input) = input.as_mut() {
            // A script that ends before it has read all of itself says why on its own stderr.
            let _ = input.write_all(whole.as_bytes()).await;
        }
        drop(input);
        Ok(())
    };
    let (mut answer, mut said) = (Vec::new(), Vec::new());
    let talk = async {
        let answers = read_until(route, None, &mut stdout, &mut answer);
        tokio::try_join!(write, answers, read_to_end(route, &mut stderr, &mut said))?;
        shell.0.wait().await.map_err(|source| ShellError::io(route, source))
    };
    let status =
        tokio::time::timeout(limit, talk).await.map_err(|_| ShellError::silent(route, limit))??;
    read(&Output { status, stdout: answer, stderr: said }, &program(route))
}

/// What a script printed, and its shell, which reads on; none where the way lets nothing through
/// while its input is open.
pub(super) async fn run_and_keep(
    route: &Route,
    mut shell: ProcessGroup,
    script: &str,
    limit: Duration,
) -> Result<(String, Option<ProcessGroup>), ShellError> {
    let (mut input, mut stdout, mut stderr) =
        (shell.0.stdin.take(), shell.0.stdout.take(), shell.0.stderr.take());
    let (mut answer, mut said) = (Vec::new(), Vec::new());
    let talk = async {
        if let Some(input) = input.as_mut() {
            // As in any script: what keeps it from reading, it says itself.
            let _ = input.write_all(staying(script).as_bytes()).await;
        }
        let begins = read_until(route, Some(MARKER), &mut stdout, &mut answer);
        match tokio::time::timeout(OPEN_FOR, begins).await {
            Ok(begun) => begun?,
            Err(_) => input.take().is_none(),
        };
        if read_until(route, Some(END), &mut stdout, &mut answer).await? && input.is_some() {
            return Ok(None);
        }
        drop(input.take());
        read_to_end(route, &mut stderr, &mut said).await?;
        shell.0.wait().await.map(Some).map_err(|source| ShellError::io(route, source))
    };
    let ended =
        tokio::time::timeout(limit, talk).await.map_err(|_| ShellError::silent(route, limit))??;
    let output = Output { status: ended.unwrap_or_default(), stdout: answer, stderr: said };
    let mut text = read(&output, &program(route))?;
    text.truncate(text.find(END).unwrap_or(text.len()));
    (shell.0.stdin, shell.0.stdout) = (input, stdout);
    Ok((text, ended.is_none().then_some(shell)))
}

/// Until this is there, or the output ends; whether it is there.
async fn read_until(
    route: &Route,
    mark: Option<&str>,
    stdout: &mut Option<ChildStdout>,
    answer: &mut Vec<u8>,
) -> Result<bool, ShellError> {
    let Some(stdout) = stdout else { return Ok(false) };
    while !mark.is_some_and(|mark| has(answer, mark.as_bytes())) {
        let length = stdout.read_buf(answer).await;
        if length.map_err(|source| ShellError::io(route, source))? == 0 {
            return Ok(false);
        }
        // Nothing that comes through one is what was printed, and the rest may never come.
        if is_from_terminal(answer) {
            return Err(ShellError::Terminal { program: program(route) });
        }
    }
    Ok(true)
}

async fn read_to_end(
    route: &Route,
    stderr: &mut Option<ChildStderr>,
    said: &mut Vec<u8>,
) -> Result<(), ShellError> {
    let Some(stderr) = stderr else { return Ok(()) };
    stderr.read_to_end(said).await.map(drop).map_err(|source| ShellError::io(route, source))
}
