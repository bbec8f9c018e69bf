//! Owns keeping the room after a build, for the next one: the run's lease becomes one that stands
//! on its own, with a clock, like a started one. Runs in the keeper.

use std::{io, time::Duration};

use jiff::{Span, Timestamp};

use crate::{
    core::{
        lease::record::{Kind, Opened, Record},
        run::{
            note::{Level, Note},
            results::Lingering,
            wire::{FromKeeper, Started},
        },
        target::method::Method,
    },
    keeper::{
        control::Control,
        lifecycle::{Lifecycle, Wanted},
    },
    lease::{journal::Journal, leases::id_of},
};

/// Lets the lease outlive its build: `stop` ends it, or its clock, and `status` shows until when it
/// is held.
fn begin(journal: &mut Journal, time: Duration) -> io::Result<Control> {
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

impl Lifecycle<'_> {
    /// The build is over and its lease stands on its own from here; everything is put back at once
    /// where it cannot.
    pub(crate) async fn linger(&mut self, journal: &mut Journal) -> Option<Control> {
        self.wanted = Wanted::Release;
        let time = self.request.settings.linger.filter(|_| !journal.state().is_empty())?;
        let (spare, killed) = self.look_around(&journal.state().clone()).await;
        match begin(journal, time) {
            Ok(control) => {
                (self.wanted, self.holding) = (Wanted::Room, true);
                let with = |method| {
                    journal.state().targets.values().filter(|held| held.method == method).count()
                };
                let (paused, stopped) = (with(Method::Pause), with(Method::Stop));
                (self.tell)(FromKeeper::Lingering(Lingering {
                    paused,
                    stopped,
                    time,
                    spare,
                    killed,
                }));
                Some(control)
            }
            Err(error) => {
                (self.tell)(FromKeeper::Note(Note::new(
                    Level::Warning,
                    format!("the room is not kept: {error}"),
                )));
                None
            }
        }
    }
}
