//! Owns bringing back one target at the engine: what it is like now decides what is done, and what
//! the engine calls done is looked at. Retries nothing and records nothing: that is `restore`'s.
//! Runs in the keeper, and in `recover` and `stop` for leases whose holder is dead.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::{
    core::{
        lease::{
            late_call::{Call, Moment},
            record::{HeldTarget, Restored},
        },
        target::choice::{Activity, Inspected, Method, is_same_start},
    },
    engine::client::{Engine, EngineError},
    host::kernel::moment,
    room::{
        calls::{Calls, Sent},
        services::scale_back,
    },
};

/// So long a call that may still come is waited for at once: most come within moments, or not at
/// all.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Between two looks meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// How far an attempt got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// There is nothing left to do.
    Back(Restored),
    /// It runs, and a call that was sent may still come.
    Late(Late),
}

/// What may still come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    /// How it came to run.
    pub(crate) how: Restored,
    /// Until when, by what is recorded; `None`: nobody knows.
    pub(crate) until: Option<Timestamp>,
    /// How long from now on.
    pub(crate) left: Duration,
    /// When it was started, where that was for this: it is the same target still.
    pub(crate) started_at: Option<String>,
}

/// Brings it back, as far as one attempt gets: looks, acts where that is needed, and looks again.
/// `seen` is when the journal was read.
///
/// # Errors
/// [`EngineError`] where another attempt may get further.
pub(crate) async fn bring_back(
    engine: &Engine,
    calls: &Calls,
    held: &HeldTarget,
    seen: Moment,
) -> Result<Brought, EngineError> {
    if let Some(scaled) = &held.target.swarm {
        return scale_back(engine, held, scaled).await.map(Brought::Back);
    }
    let begun = Instant::now();
    loop {
        let Some(now) = look(engine, held).await? else {
            return Ok(Brought::Back(Restored::Removed));
        };
        if !is_same_start(&held.target.started_at, &now.started_at) {
            return Ok(Brought::Back(Restored::Theirs));
        }
        let (how, open, started_at) = match (held.method, now.activity) {
            (Method::Pause, Activity::Paused) => {
                thaw(engine, held).await?;
                (Restored::Done, held.earlier, None)
            }
            // Paused containers are stopped when the engine restarts without live-restore: it ran
            // before, so it runs again.
            (Method::Pause | Method::Stop, Activity::Stopped) => {
                (Restored::Done, held.earlier, start(engine, held).await?)
            }
            (_, Activity::Running) => {
                (Restored::AlreadySo, open_call(held, &now, calls, seen), None)
            }
            (_, Activity::Restarting) | (Method::Stop, Activity::Paused) => {
                return Ok(Brought::Back(Restored::Theirs));
            }
        };
        let is_under_way =
            how == Restored::AlreadySo && calls.of(&held.target.id) == Some(Sent::UnderWay);
        let left = if is_under_way {
            Duration::MAX
        } else {
            open.map_or(Duration::ZERO, |call| call.left(moment()))
        };
        if left.is_zero() {
            return Ok(Brought::Back(how));
        }
        // The engine goes on with a call though nobody waits for it any more: a pause that it was
        // too busy for comes late, a stop takes its time, and a start in the meantime does nothing
        // (304: it still runs).
        if how == Restored::Done || begun.elapsed() >= AT_ONCE {
            return Ok(Brought::Late(Late {
                how,
                until: open.and_then(|call| call.until()),
                left,
                started_at,
            }));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What may still come to a target that runs.
fn open_call(held: &HeldTarget, now: &Inspected, calls: &Calls, seen: Moment) -> Option<Call> {
    match calls.of(&held.target.id) {
        Some(Sent::Answered) => held.earlier,
        Some(Sent::UnderWay | Sent::Broken) | None => held.open_call(seen, now.stop_patience),
    }
}

/// The unpause of a container that somebody else thawed in between is answered with 500; the next
/// attempt looks again and finds it running.
async fn thaw(engine: &Engine, held: &HeldTarget) -> Result<(), EngineError> {
    engine.unpause(&held.target.id).await?;
    check(engine, held, Activity::Paused).await.map(drop)
}

/// Gives when it was started, where it is still there.
async fn start(engine: &Engine, held: &HeldTarget) -> Result<Option<String>, EngineError> {
    engine.start(&held.target.id).await?;
    Ok(check(engine, held, Activity::Stopped).await?.map(|now| now.started_at))
}

/// What the engine calls done is looked at: it can have meant another call, or have died since.
async fn check(
    engine: &Engine,
    held: &HeldTarget,
    before: Activity,
) -> Result<Option<Inspected>, EngineError> {
    let now = look(engine, held).await?;
    let is_as_before = now.as_ref().is_some_and(|now| {
        now.activity == before && is_same_start(&held.target.started_at, &now.started_at)
    });
    // One that is gone has run again; what became of it since is its own affair.
    if is_as_before { Err(EngineError::NotSeen) } else { Ok(now) }
}

/// The target as it is; `None` where it was removed.
pub(crate) async fn look(
    engine: &Engine,
    held: &HeldTarget,
) -> Result<Option<Inspected>, EngineError> {
    unless_removed(async || engine.inspect(&held.target.id).await).await
}

/// What this asks for; `None` where it was removed, which is believed only when it is said twice:
/// what is taken for gone is never looked at again.
pub(crate) async fn unless_removed<T>(
    ask: impl AsyncFn() -> Result<T, EngineError>,
) -> Result<Option<T>, EngineError> {
    for _ in 0..2 {
        match ask().await {
            Err(error) if error.is_not_found() => {}
            looked => return looked.map(Some),
        }
    }
    Ok(None)
}
