//! `--wait`: the time before a run, while the builds that hold the machine leave no room for one
//! more. Nothing is held meanwhile but, for the moment of a look, the lock of the state directory;
//! with it the turn is taken, so that of two that wait not both start. Whoever fits first goes
//! first.

use std::{
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    config::Settings,
    core::{
        lease::admission::{self, Turn, Waiting},
        machine::way::Way,
        run::{
            exit::{Exit, FAILED},
            session::TERMINATING,
        },
        text::span,
    },
    lease::{
        leases::Leases,
        state_dir::{StateDir, StateDirError, StateLock},
    },
    report::console::Say,
    supervise::{signals::Signals, terminal::stop_own_group},
};

/// How often is looked; the live line moves as often.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for a build's turn, for at most `limit`. Gives the state directory's lock, under which the
/// turn was found: the lease is to be begun before it is let go. `None` where there is nothing to
/// wait for, or no time left.
///
/// # Errors
/// How makeroom is to end instead: of a signal, or refused by `--strict`.
pub(super) fn for_turn(
    limit: Duration,
    need_bytes: u64,
    host: Option<&Way>,
    settings: &Settings,
    signals: &mut Signals,
    say: &mut Say,
) -> Result<Option<StateLock>, Exit> {
    // What cannot be used is said where the lease is begun.
    let Ok(Some(state)) = StateDir::open_existing(&settings.state_dir) else { return Ok(None) };
    let begun = Instant::now();
    let mut waited_for: Option<Waiting> = None;
    loop {
        match look(&state, need_bytes, host) {
            Ok((Turn::Go, lock)) => {
                say.settle();
                if let Some(waiting) = waited_for {
                    say.info(format!("waited {} for {}", span(begun.elapsed()), waiting.whom()));
                }
                return Ok(Some(lock));
            }
            Ok((Turn::Wait(waiting), _)) => {
                say.waits(&waiting.line(Timestamp::now()));
                waited_for = Some(waiting);
            }
            // Somebody makes or gives back room at this moment.
            Ok((Turn::Soon, _)) | Err(StateDirError::Busy { .. }) => {}
            Err(_) => return Ok(None),
        }
        let left = limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            say.settle();
            return waited_for
                .map_or(Ok(None), |waiting| over(limit, &waiting, settings.run.strict, say));
        }
        if let Some(signal) = pause(left.min(LOOK), signals, say) {
            say.settle();
            say.hurry();
            return Err(Exit::Signal(signal));
        }
    }
}

/// Whether a build runs in this lease. The variable that names it can be left over from one that
/// has ended.
pub(super) fn is_inside(lease: &str, settings: &Settings) -> bool {
    let Ok(Some(state)) = StateDir::open_existing(&settings.state_dir) else { return false };
    let leases = Leases::peek(&state, "").unwrap_or_else(Leases::unseen);
    // One that cannot be seen may be it: a build would wait for itself.
    leases.why_unseen().is_some()
        || leases.live.iter().any(|(id, state)| id == lease && state.is_of_a_build())
}

fn look(
    state: &StateDir,
    need_bytes: u64,
    host: Option<&Way>,
) -> Result<(Turn, StateLock), StateDirError> {
    let lock = state.lock(Duration::ZERO)?;
    let leases = Leases::look(state, &lock, None).unwrap_or_else(Leases::unseen);
    // A build that cannot be seen may hold the machine: whether it does is known in a moment, or
    // when the wait is over.
    if leases.why_unseen().is_some() {
        return Ok((Turn::Soon, lock));
    }
    // One that is just begun may be of this host.
    let beside = leases
        .live
        .iter()
        .map(|(_, state)| state)
        .filter(|state| state.opened.is_none() || state.host() == host);
    Ok((admission::turn(need_bytes, beside), lock))
}

fn over(
    limit: Duration,
    waiting: &Waiting,
    strict: bool,
    say: &mut Say,
) -> Result<Option<StateLock>, Exit> {
    let text = format!("waited {} for {} in vain (--wait)", span(limit), waiting.whom());
    if strict {
        say.error(text, Some("nothing was changed; the command was not started"), None);
        return Err(Exit::Code(FAILED));
    }
    say.warning(format!("{text}: the build runs beside it"), None);
    Ok(None)
}

/// Waits for a moment, or for a signal that ends the run.
fn pause(time: Duration, signals: &mut Signals, say: &mut Say) -> Option<i32> {
    say.tick();
    // EINTR is a signal, which is what is waited for.
    let _ = poll(
        &mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)],
        PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX),
    );
    let arrived = signals.take();
    if arrived.contains(&libc::SIGTSTP) {
        say.settle();
        stop_own_group();
    }
    arrived.into_iter().find(|signal| TERMINATING.contains(signal))
}
