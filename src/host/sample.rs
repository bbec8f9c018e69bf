//! Owns sampling a host that is another machine, over one connection that stays. Runs in the keeper.

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::ChildStdout,
};

use super::shell::{Shell, ShellError, Step};
use crate::core::sample::{self, HostSample};

const SAMPLE: &str = include_str!("steps/sample.sh");

/// A step that goes on printing samples until this is dropped.
#[derive(Debug)]
pub struct Sampler {
    /// Ends with this.
    _step: Step,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Sampler {
    /// Begins.
    ///
    /// # Errors
    /// [`ShellError`].
    pub async fn begin(shell: &Shell) -> Result<Self, ShellError> {
        let script = format!("{{\n{SAMPLE}}}\n");
        let mut step = shell.stream(&script).await?;
        let stdout = step.0.stdout.take().ok_or_else(|| ShellError::Failed("the step has no output".to_owned()))?;
        Ok(Self { _step: step, lines: BufReader::new(stdout).lines() })
    }

    /// The next sample; `None` when the step has ended. May be dropped and asked again.
    pub async fn next(&mut self) -> Option<HostSample> {
        loop {
            let line = self.lines.next_line().await.ok()??;
            if let Some(sample) = sample::read(&line) {
                return Some(sample);
            }
        }
    }
}
