//! Owns keeping the room after a build, for the next one: the run's lease becomes one that stands
//! on its own, with a clock, like a started one. Runs in the keeper.

use std::{io, time::Duration};

use jiff::{Span, Timestamp};

use crate::{
    core::{
        lease::{
            record::{Kind, Opened, Record},
            state::LeaseState,
        },
        run::{oom_log::Killed, results::Lingering, verdict::Spare, wire::Started},
        target::method::Method,
    },
    keeper::control::Control,
    lease::{journal::Journal, leases::id_of},
};

/// Lets the lease outlive its build: `stop` or its clock ends it, and `status` shows until when it
/// is held.
///
/// # Errors
/// Where its socket cannot be made, or that cannot be recorded.
pub(crate) fn begin(journal: &mut Journal, time: Duration) -> io::Result<Control> {
    let clock = Started { ttl: Some(time), ..Started::default() };
    let control = Control::open(journal.state_dir().leases(), &id_of(journal.path()), &clock)?;
    if let Some(opened) = journal.state().opened.clone() {
        // For people: the clock that counts is the one since boot. A time beyond the calendar is
        // for ever.
        let until = Span::try_from(time)
            .ok()
            .and_then(|span| Timestamp::now().checked_add(span).ok())
            .unwrap_or(Timestamp::MAX);
        let outlived = Opened {
            kind: Kind::Start,
            lingers_until: Some(until),
            need_bytes: None,
            timeout: None,
            guard: None,
            ..opened
        };
        journal.announce(&Record::Opened(outlived)).map_err(io::Error::other)?;
    }
    Ok(control)
}

/// What is told of room that is kept.
pub(crate) fn told(
    held: &LeaseState,
    time: Duration,
    (spare, killed): (Vec<Spare>, Vec<Killed>),
) -> Lingering {
    let with = |method| held.targets.values().filter(|held| held.method == method).count();
    Lingering {
        kinds: held.targets.values().map(|held| held.target.kind()).collect(),
        paused: with(Method::Pause),
        stopped: with(Method::Stop),
        time,
        spare,
        killed,
    }
}
