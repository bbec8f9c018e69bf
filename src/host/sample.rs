//! Owns sampling a host: this machine by reading its /proc, another one over one connection that
//! stays. A line there is answered with the figures of that moment, so that the clock is here and
//! nothing is started there. Runs in the keeper; the supervisor looks at this machine as well.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    core::machine::{
        memory,
        sample::{self, HostSample},
    },
    host::{
        kernel::proc_file,
        shell::{ProcessGroup, Shell, ShellError, variable},
    },
};

/// What a sampling step is called in a list of processes.
pub(super) const NAME: &str = "makeroom-sample";
const SAMPLE: &str = include_str!("scripts/sample.sh");
/// Once a second.
const EVERY: Duration = Duration::from_secs(1);

/// This machine's memory and stalls now; `None` where its kernel does not say. What it killed is
/// not looked up: that costs as much as all the rest.
#[must_use]
pub fn here() -> Option<HostSample> {
    let memory = memory::meminfo(&proc_file("/proc/meminfo")?)?;
    let pressure = proc_file("/proc/pressure/memory").unwrap_or_default();
    Some(HostSample {
        available_bytes: memory.available_bytes,
        total_bytes: Some(memory.total_bytes),
        swap_used_bytes: memory.swap_total_bytes.saturating_sub(memory.swap_free_bytes),
        some_stall: memory::some_stall(&pressure),
        full_stall: memory::full_stall(&pressure),
        oom_kills: None,
        build_bytes: None,
    })
}

/// A step that samples until this is dropped.
#[derive(Debug)]
pub struct Sampler {
    /// Ends with this.
    _shell: ProcessGroup,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    clock: Interval,
    /// A sample is on its way: a host that is slow is not asked again before it has answered.
    is_asked: bool,
}

impl Sampler {
    /// Begins. `builds_in_engine`: the builder's steps are looked for as well.
    ///
    /// # Errors
    /// [`ShellError`].
    pub async fn begin(shell: &Shell, builds_in_engine: bool) -> Result<Self, ShellError> {
        let head = variable("builds_in_engine", if builds_in_engine { "yes" } else { "" });
        let mut stream = shell.stream(NAME, &format!("{{\n{head}{SAMPLE}}}\n")).await?;
        let (Some(input), Some(stdout)) = (stream.0.stdin.take(), stream.0.stdout.take()) else {
            return Err(ShellError::Failed("the step has no streams".to_owned()));
        };
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first sample comes unasked.
        Ok(Self {
            _shell: stream,
            input,
            lines: BufReader::new(stdout).lines(),
            clock,
            is_asked: true,
        })
    }

    /// The next sample; `None` when the step has ended. May be dropped and asked again.
    pub async fn next(&mut self) -> Option<HostSample> {
        if !self.is_asked {
            self.clock.tick().await;
            self.ask().await?;
        }
        self.answer().await
    }

    /// The host as it is now.
    pub async fn now(&mut self) -> Option<HostSample> {
        if self.is_asked {
            self.answer().await?;
        }
        self.ask().await?;
        self.answer().await
    }

    async fn ask(&mut self) -> Option<()> {
        // One byte: written or not, never in part.
        self.input.write_all(b"\n").await.ok()?;
        self.is_asked = true;
        Some(())
    }

    async fn answer(&mut self) -> Option<HostSample> {
        loop {
            let line = self.lines.next_line().await.ok()??;
            if let Some(sample) = sample::read(&line) {
                self.is_asked = false;
                return Some(sample);
            }
        }
    }
}
