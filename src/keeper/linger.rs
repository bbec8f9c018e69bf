//! Owns keeping the room after a build, for the next one: the run's lease becomes one that stands on its
//! own, with a clock, like a started one; and a run that has joined all of such a lease carries on for it.
//! Runs in the keeper.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use jiff::{Span, Timestamp};

use super::{
    acquire::Acquirer,
    control::{self, Control},
    life::{Life, Wanted},
};
use crate::{
    core::{
        record::{Kind, LeaseState, Opened, Record},
        target::Method,
        wire::{self, FromKeeper, Level, Lingering, Note, Started, ToKeeper},
    },
    lease::{
        journal::Journal,
        leases::{Leases, id_of},
    },
};

/// Lets the lease outlive its build: `stop` ends it, or its clock, and `status` shows until when it is held.
fn begin(journal: &mut Journal, time: Duration) -> io::Result<Control> {
    let clock = Started { ttl: Some(time), ..Started::default() };
    let control = Control::open(journal.state_dir().leases(), &id_of(journal.path()), &clock)?;
    if let Some(opened) = journal.state().opened.clone() {
        // For people: the clock that counts is the one since boot. A time beyond the calendar is for ever.
        let until = Span::try_from(time).ok().and_then(|span| Timestamp::now().checked_add(span).ok()).unwrap_or(Timestamp::MAX);
        let outlived = Opened { kind: Kind::Start, lingers_until: Some(until), need_bytes: None, timeout: None, guard: None, ..opened };
        journal.announce(&Record::Opened(outlived)).map_err(io::Error::other)?;
    }
    Ok(control)
}

impl Life<'_> {
    /// The build is over and its lease stands on its own from here; everything is put back at once where it cannot.
    pub(super) async fn linger(&mut self, journal: &mut Journal) -> Option<Control> {
        self.wanted = Wanted::Release;
        let time = self.request.linger.filter(|_| !journal.state().is_empty())?;
        let (spare, killed) = self.look_around(&journal.state().clone()).await;
        match begin(journal, time) {
            Ok(control) => {
                (self.wanted, self.holding) = (Wanted::Room, true);
                let with = |method| journal.state().targets.values().filter(|held| held.method == method).count();
                let (paused, stopped) = (with(Method::Pause), with(Method::Stop));
                (self.tell)(FromKeeper::Lingering(Lingering { paused, stopped, time, spare, killed }));
                Some(control)
            }
            Err(error) => {
                (self.tell)(FromKeeper::Note(Note::new(Level::Warning, format!("the room is not kept: {error}"))));
                None
            }
        }
    }
}

impl Acquirer<'_> {
    /// Ends the lingering leases of which this run has joined everything: it lingers itself afterwards, so that of many
    /// builds in a row the last one's clock counts, and one lease is there to be stopped. They hand over what they have.
    pub(super) fn carry_on(&self, journal: &Journal, leases: &Leases) {
        if self.request.linger.is_none() {
            return;
        }
        let ours = leases.holding().filter(|(_, state)| state.lingers() && has_all(journal.state(), state));
        for (lease, _) in ours {
            let told = control::connect(self.state.leases(), lease)
                .and_then(|mut stream| stream.write_all(wire::line(&ToKeeper::Release).as_bytes()));
            if let Err(error) = told {
                // It ends by its own clock then.
                self.note(Note::new(Level::Detail, format!("the lease {lease} lingers on: {error}")));
            }
        }
    }
}

/// Whether nothing of `other` has to be given back while `own` is held.
fn has_all(own: &LeaseState, other: &LeaseState) -> bool {
    let has_area = |path: &String| own.areas.get(path).is_some_and(|held| !held.removing);
    other.host() == own.host() && other.targets.keys().all(|id| own.targets.contains_key(id)) && other.areas.keys().all(has_area)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::record::{Area, HeldArea};

    #[test]
    fn a_lease_is_carried_on_only_where_nothing_of_it_would_be_given_back() {
        let area = |removing| HeldArea { area: Area { path: "/s".to_owned(), size_bytes: 1, label: "l".to_owned() }, removing };
        let with_area = |removing| LeaseState { areas: [("/s".to_owned(), area(removing))].into(), ..LeaseState::default() };
        let nothing = LeaseState::default();
        for (own, other, expected) in [
            (&nothing, &nothing, true),
            (&nothing, &with_area(false), false),
            (&with_area(false), &with_area(false), true),
            (&with_area(true), &with_area(false), false),
            (&with_area(false), &nothing, true),
        ] {
            assert_eq!(has_all(own, other), expected, "{own:?} of {other:?}");
        }
    }
}
