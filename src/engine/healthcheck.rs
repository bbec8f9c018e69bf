//! Owns asking a container's own health check at once, as the engine does at its interval: the
//! command is run in the container. Runs in the keeper.

use std::time::{Duration, Instant};

use bollard::exec::{CreateExecOptions, StartExecOptions};

use crate::{
    core::target::healthcheck::Probe,
    engine::client::{Engine, EngineError, QUESTION, bounded},
};

/// Between two looks whether a check has ended. Most take a few milliseconds.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the check once; whether it was content. One that takes longer than it may is not.
///
/// # Errors
/// [`EngineError`], also where the container does not run.
pub async fn ask(engine: &Engine, id: &str, probe: &Probe) -> Result<bool, EngineError> {
    let command = probe.command.iter().map(String::as_str).collect();
    let made = bounded(
        QUESTION,
        engine.docker.create_exec(
            id,
            CreateExecOptions { cmd: Some(command), ..CreateExecOptions::default() },
        ),
    )
    .await?;
    // Nobody reads what it prints.
    let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
    bounded(QUESTION, engine.docker.start_exec(&made.id, Some(detached))).await?;
    let begun = Instant::now();
    loop {
        let now = bounded(QUESTION, engine.docker.inspect_exec(&made.id)).await?;
        if now.running != Some(true) {
            return Ok(now.exit_code == Some(0));
        }
        if begun.elapsed() >= probe.limit {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}
