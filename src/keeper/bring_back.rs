//! Owns bringing back one target at the engine: what it is like now decides what is done, and what the
//! engine calls done is looked at. Retries nothing and records nothing: that is `restore`'s. Runs in the
//! keeper, and in `recover` and `stop` for leases whose holder is dead.

use std::time::{Duration, Instant};

use super::services::scale_back;
use crate::{
    core::{
        record::{HeldTarget, Restored, Stage},
        target::{Activity, Inspected, Method, is_same_start},
    },
    engine::client::{Engine, EngineError},
};

/// A stop that was announced and perhaps sent may still end the container: this is how long the
/// engine's own default lets it (10 s), and a little.
const STOP_UNDER_WAY: Duration = Duration::from_secs(11);
/// The same for a pause that a keeper died over: freezing waits for nothing but the kernel.
const PAUSE_UNDER_WAY: Duration = Duration::from_secs(1);
/// And for one whose answer was lost: an engine that died over it leaves it to a runtime of its own, and one that
/// answers again has the calls that it was sent before in its hands.
const PAUSE_UNKNOWN: Duration = Duration::from_secs(5);

/// Brings it back, as far as one attempt gets: looks, acts where that is needed, and looks again.
///
/// # Errors
/// [`EngineError`] where another attempt may get further.
pub(super) async fn bring_back(engine: &Engine, held: &HeldTarget) -> Result<Restored, EngineError> {
    if let Some(scaled) = &held.target.swarm {
        return scale_back(engine, held, scaled).await;
    }
    let Some(now) = look(engine, held).await? else { return Ok(Restored::Removed) };
    if !is_same_start(&held.target.started_at, &now.started_at) {
        return Ok(Restored::Theirs);
    }
    match (held.method, now.activity) {
        (Method::Pause, Activity::Paused) => thaw(engine, held).await,
        // Paused containers are stopped when the engine restarts without live-restore: it ran
        // before, so it runs again.
        (Method::Pause | Method::Stop, Activity::Stopped) => start(engine, held).await,
        (_, Activity::Running) => await_call_under_way(engine, held).await,
        (_, Activity::Restarting) | (Method::Stop, Activity::Paused) => Ok(Restored::Theirs),
    }
}

/// The unpause of a container that somebody else thawed in between is answered with 500; the next attempt looks again
/// and finds it running.
async fn thaw(engine: &Engine, held: &HeldTarget) -> Result<Restored, EngineError> {
    engine.unpause(&held.target.id).await?;
    check(engine, held, Activity::Paused).await
}

async fn start(engine: &Engine, held: &HeldTarget) -> Result<Restored, EngineError> {
    engine.start(&held.target.id).await?;
    check(engine, held, Activity::Stopped).await
}

/// What the engine calls done is looked at: it can have meant another call, or have died since.
async fn check(engine: &Engine, held: &HeldTarget, before: Activity) -> Result<Restored, EngineError> {
    let now = look(engine, held).await?;
    let is_as_before = now.is_some_and(|now| now.activity == before && is_same_start(&held.target.started_at, &now.started_at));
    // One that is gone has run again; what became of it since is its own affair.
    if is_as_before { Err(EngineError::NotSeen) } else { Ok(Restored::Done) }
}

/// The target as it is; `None` where it was removed.
pub(super) async fn look(engine: &Engine, held: &HeldTarget) -> Result<Option<Inspected>, EngineError> {
    unless_removed(async || engine.inspect(&held.target.id).await).await
}

/// What this asks for; `None` where it was removed, which is believed only when it is said twice: what is taken for
/// gone is never looked at again.
pub(super) async fn unless_removed<T>(ask: impl AsyncFn() -> Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    for _ in 0..2 {
        match ask().await {
            Err(error) if error.is_not_found() => {}
            looked => return looked.map(Some),
        }
    }
    Ok(None)
}

/// How long a call that may still be under way is waited for, while the target runs.
fn under_way(held: &HeldTarget) -> Duration {
    match (held.method, held.stage) {
        (_, Stage::Held) => Duration::ZERO,
        (Method::Stop, Stage::Intended | Stage::Unknown) => STOP_UNDER_WAY,
        (Method::Pause, Stage::Intended) => PAUSE_UNDER_WAY,
        (Method::Pause, Stage::Unknown) => PAUSE_UNKNOWN,
    }
}

/// The engine goes on with a call though nobody waits for it any more: a pause that it was too busy
/// for comes late, a stop takes its time, and a start in the meantime does nothing (304: it still
/// runs). So this waits until it is known which of the two it is.
async fn await_call_under_way(engine: &Engine, held: &HeldTarget) -> Result<Restored, EngineError> {
    let (begun, patience) = (Instant::now(), under_way(held));
    while begun.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Some(now) = look(engine, held).await? else { return Ok(Restored::Removed) };
        if !is_same_start(&held.target.started_at, &now.started_at) {
            return Ok(Restored::Theirs);
        }
        match now.activity {
            Activity::Stopped => return start(engine, held).await,
            Activity::Paused if held.method == Method::Pause => return thaw(engine, held).await,
            Activity::Paused | Activity::Running | Activity::Restarting => {}
        }
    }
    Ok(Restored::AlreadySo)
}
