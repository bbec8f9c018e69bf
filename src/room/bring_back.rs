//! Owns bringing back one target: what it is like now decides what is done, and what is called done
//! is looked at. Retries nothing and records nothing: that is `restore`'s. Runs in the keeper, and in
//! `recover` and `stop` for leases whose holder is dead.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::{
    core::{
        lease::{
            foreign_change::{End, end, has_ended},
            late_call::{Call, Moment},
            record::Restored,
            state::{HeldTarget, Stage},
        },
        target::{
            method::Method,
            seen::Seen,
            state::{Incarnation, State},
        },
    },
    host::kernel::moment,
    room::context::Context,
    targets::{all::Targets, calls::Sent, error::TargetError, kind::TargetKind as _},
};

/// So long a call that may still come is waited for at once: most come within moments, or not at
/// all.
const AT_ONCE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1000 });
/// Between two looks meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// How far an attempt got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// There is nothing left to do.
    Back(Restored),
    /// It had ended and is started, and nobody can tell whether somebody had stopped it.
    Blindly,
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
    /// Its new incarnation, where it was started for this: it is the same target still.
    pub(crate) incarnation: Option<Incarnation>,
}

/// Brings it back over the engine that the lease was made on, as far as one attempt gets. `seen` is
/// when the journal was read.
///
/// # Errors
/// [`TargetError`] where another attempt may get further.
pub(crate) async fn attempt(
    context: &Context<'_>,
    held: &HeldTarget,
    seen: Moment,
) -> Result<Brought, TargetError> {
    let machine = context.machine;
    match bring_back(&machine.targets().await?, held, seen).await {
        Ok(Brought::Back(Restored::Removed)) if machine.is_guessed => {
            Err(TargetError::Unknown { url: machine.url() })
        }
        Err(error) if error.is_engine_gone() => {
            machine.forget_engine();
            Err(error)
        }
        result => result,
    }
}

/// Looks, acts where that is needed, and looks again.
async fn bring_back(
    targets: &Targets,
    held: &HeldTarget,
    seen: Moment,
) -> Result<Brought, TargetError> {
    let begun = Instant::now();
    let HeldTarget { target, .. } = held;
    let kind = targets.of(target.kind());
    loop {
        let Some(now) = targets.look_twice(target.handle()).await? else {
            return Ok(Brought::Back(Restored::Removed));
        };
        if !target.incarnation.is_same(&now.incarnation) {
            return Ok(Brought::Back(Restored::Theirs));
        }
        let is_told = if has_ended(held, &now) {
            end(&kind.remembered(target.handle(), &now).await)
        } else {
            End::ByItself
        };
        if is_told == End::BySomebody {
            return Ok(Brought::Back(Restored::Stopped));
        }
        let (how, open, incarnation) = match (held.method, now.state) {
            (Method::Pause, State::Paused) => {
                kind.resume(target.handle()).await?;
                check(targets, held, State::Paused).await?;
                (Restored::Done, held.other_calls(), None)
            }
            // Paused containers are stopped when the engine restarts without live-restore: it ran
            // before, so it runs again.
            (Method::Pause | Method::Stop, State::Stopped) => {
                kind.start(target.handle()).await?;
                let now = check(targets, held, State::Stopped).await?;
                (Restored::Done, held.other_calls(), now.map(|now| now.incarnation))
            }
            (_, State::Running) => {
                if target.kind().refuses_late_calls() && held.stage != Stage::Held {
                    kind.start(target.handle()).await?;
                }
                (Restored::AlreadySo, open_call(targets, held, &now, seen), None)
            }
            (_, State::Starting) | (Method::Stop, State::Paused) => {
                return Ok(Brought::Back(Restored::Theirs));
            }
        };
        if target.kind().refuses_late_calls() {
            return Ok(Brought::Back(how));
        }
        let is_under_way =
            how == Restored::AlreadySo && targets.sent(&target.id) == Some(Sent::UnderWay);
        let left = if is_under_way {
            Duration::MAX
        } else {
            open.map_or(Duration::ZERO, |call| call.left(moment()))
        };
        if left.is_zero() {
            let is_blind = how == Restored::Done && is_told == End::Unknown;
            return Ok(if is_blind { Brought::Blindly } else { Brought::Back(how) });
        }
        // The engine goes on with a call though nobody waits for it any more: a pause that it was
        // too busy for comes late, a stop takes its time, and a start in the meantime does nothing
        // (304: it still runs).
        if how == Restored::Done || begun.elapsed() >= AT_ONCE {
            let until = open.and_then(|call| call.until());
            return Ok(Brought::Late(Late { how, until, left, incarnation }));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What may still come to a target that runs.
fn open_call(targets: &Targets, held: &HeldTarget, now: &Seen, seen: Moment) -> Option<Call> {
    match targets.sent(&held.target.id) {
        Some(Sent::Answered) => held.earlier,
        Some(Sent::UnderWay | Sent::Broken) | None => held.open_call(seen, now.stop_patience),
    }
}

/// What is called done is looked at: that can have been meant for another call, or it can have died
/// since.
async fn check(
    targets: &Targets,
    held: &HeldTarget,
    before: State,
) -> Result<Option<Seen>, TargetError> {
    let now = targets.look_twice(held.target.handle()).await?;
    let is_as_before = now.as_ref().is_some_and(|now| {
        now.state == before && held.target.incarnation.is_same(&now.incarnation)
    });
    // One that is gone has run again; what became of it since is its own affair.
    if is_as_before { Err(TargetError::NotSeen) } else { Ok(now) }
}
