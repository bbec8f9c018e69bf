//! Owns what becomes of a target that somebody else touched while it was held: a look confirms it,
//! the journal lets it go, and it is said; with `--insist` it is taken again, a few times. Part of
//! the keeper's life in `life`.

use crate::{
    core::{
        lease::{
            foreign_change::{ForeignChange, Reply, foreign_change, is_sign, replaced},
            record::{HeldTarget, Record, Restored},
        },
        run::{
            note::{Level, Note},
            wire::FromKeeper,
        },
        target::recorded::Target,
        text,
    },
    keeper::{
        control::Control,
        engine_watch::Sign,
        events::{EventSources, Sensed},
        lifecycle::{Lifecycle, Wanted},
    },
    lease::journal::Journal,
    room::{cancel::Cancel, context::Context, step},
};

/// Which look at a target it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    /// The engine was away, and may have done itself what is seen.
    AfterItWasAway,
    /// What is seen was seen a while ago as well.
    Second,
}

impl Lifecycle<'_> {
    /// Looks into a sign that somebody may have touched a target.
    pub(crate) async fn attend(
        &mut self,
        sign: Sign,
        journal: &mut Journal,
        senses: &mut EventSources<'_>,
    ) {
        match sign {
            Sign::Happened(happening) if is_sign(&happening, journal.state()) => {
                self.look_at(&happening.id, Look::First, journal, senses).await;
            }
            Sign::Happened(happening) => {
                if let Some(target) = replaced(&happening, &self.removed).cloned() {
                    self.removed.retain(|removed| removed.id != target.id);
                    self.tell_of(&target, ForeignChange::Recreated, Reply::LeftAlone);
                }
            }
            Sign::Missed { engine_was_away } => {
                let all: Vec<String> = journal.state().targets.keys().cloned().collect();
                let look = if engine_was_away { Look::AfterItWasAway } else { Look::First };
                for id in all {
                    self.look_at(&id, look, journal, senses).await;
                }
            }
            Sign::Confirm(id) => {
                // An engine that is ending answers on the connections that it has, and takes no new
                // one.
                self.machine.forget_engine();
                self.look_at(&id, Look::Second, journal, senses).await;
            }
            Sign::Again(target) => self.take_again(&target, journal, senses).await,
        }
    }

    /// Holds a lease that stands on its own, until its end.
    pub(crate) async fn stand(
        &mut self,
        control: &mut Control,
        journal: &mut Journal,
        senses: &mut EventSources<'_>,
    ) {
        let ended = control.ended();
        tokio::pin!(ended);
        while self.wanted == Wanted::Room {
            let sign = match self.later.pop_front() {
                Some(Sensed::Sign(sign)) => sign,
                Some(Sensed::Heard(_) | Sensed::Due(_)) => continue,
                None => tokio::select! {
                    () = &mut ended => break,
                    () = senses.ears.told_to_end() => break,
                    sign = senses.hands.next(true) => sign,
                },
            };
            Box::pin(self.attend(sign, journal, senses)).await;
        }
        self.wanted = Wanted::Release;
    }

    async fn look_at(
        &mut self,
        id: &str,
        which: Look,
        journal: &mut Journal,
        senses: &mut EventSources<'_>,
    ) {
        // A Swarm service is no container, and no event of one tells of its number: restoring looks
        // at that.
        let held = journal
            .state()
            .targets
            .get(id)
            .filter(|held| held.target.kind().tells_changes())
            .cloned();
        let Some(held) = held else { return };
        let (machine, cancel) = (self.machine, Cancel::default());
        let looking = async { machine.targets().await?.look_twice(held.target.handle()).await };
        // Where that cannot be told, restoring looks again.
        let Some(Ok(now)) = self.listening(cancel.or(looking), &cancel, senses).await else {
            return;
        };
        if self.wanted != Wanted::Room {
            return;
        }
        match foreign_change(&held, now.as_ref()) {
            Some(ForeignChange::Unpaused) if which != Look::Second => {
                senses.hands.confirm(held.target.id)
            }
            Some(deed) => self.let_go(&held, deed, which, journal, senses),
            None => {}
        }
    }

    fn let_go(
        &mut self,
        held: &HeldTarget,
        deed: ForeignChange,
        which: Look,
        journal: &mut Journal,
        senses: &mut EventSources<'_>,
    ) {
        let HeldTarget { target, .. } = held;
        let how = if deed == ForeignChange::Removed { Restored::Removed } else { Restored::Theirs };
        if let Err(error) = journal.note(&Record::Restored { id: target.id.clone(), how }) {
            (self.tell)(FromKeeper::Note(Note::new(Level::Detail, error.to_string())));
        }
        if deed == ForeignChange::Started && which == Look::AfterItWasAway {
            // Its restart policy's doing, as far as anybody can tell.
            let text = format!(
                "`{}` was started while the engine was away: it is left alone",
                text::printable(&target.name)
            );
            (self.tell)(FromKeeper::Note(Note::new(Level::Detail, text)));
            return;
        }
        if deed == ForeignChange::Removed {
            self.removed.push(target.clone());
        }
        let reply = match self.request.settings.insist && deed.leaves_it_there() {
            false => Reply::LeftAlone,
            true if self.insistence.once_more(&target.id) => Reply::TakenAgain,
            true => Reply::GivenUp,
        };
        if reply == Reply::TakenAgain {
            senses.hands.take_again(target.clone());
        }
        self.tell_of(target, deed, reply);
    }

    fn tell_of(&self, target: &Target, deed: ForeignChange, reply: Reply) {
        (self.tell)(FromKeeper::Touched {
            id: target.id.clone(),
            name: target.name.clone(),
            deed,
            reply,
        });
    }

    async fn take_again(
        &mut self,
        target: &Target,
        journal: &mut Journal,
        senses: &mut EventSources<'_>,
    ) {
        let Self { request, state, machine, tell, .. } = *self;
        // Its name was read off the engine, which takes no other characters.
        let Ok(selector) = target.name.parse() else { return };
        let cancel = Cancel::default();
        // A line that moves has no place in a build's output.
        let lines = |message: FromKeeper| {
            if !matches!(message, FromKeeper::Progress { .. }) {
                tell(message);
            }
        };
        let context = Context { request, state, machine, tell: &lines, cancel: &cancel };
        let room = self
            .listening(
                step::room_of(&context, journal, &selector, |listed| listed.id == target.id),
                &cancel,
                senses,
            )
            .await;
        for target in room.map(|room| room.targets).unwrap_or_default() {
            tell(FromKeeper::TakenAgain(target));
        }
    }
}
