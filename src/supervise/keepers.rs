//! Owns the keepers of a run, one after the other: the link to the one that is there, when another
//! one follows one that died, and what their lease still holds, by its journal. Runs in the
//! supervisor.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd},
    time::Instant,
};

use crate::{
    core::{
        machine::process::ProcessId,
        run::{
            briefing::{BuildSoFar, adopts, briefing},
            keeper_restarts::{Attempts, MOST},
            session::Session,
            wire::{FromKeeper, Request, ToKeeper},
        },
        target::kind::{Kind, counted},
    },
    lease::journal::Journal,
    supervise::keeper_link::KeeperLink,
};

/// The keepers of a run.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(super) struct Keepers {
    /// What they are asked for, and the lease that they keep; `None`: there are none.
    lease: Option<(Request, Journal)>,
    link: Option<KeeperLink>,
    attempts: Attempts,
    /// When to start another one.
    due: Option<Instant>,
    /// It was said that there is none.
    is_missed: bool,
    /// There will be none, because nothing is held.
    has_given_up: bool,
    /// Everything was put back without one, or what could be.
    has_tried_alone: bool,
    /// The one that is there was told who left the child's group.
    knows_strays: bool,
}

/// What happens with keepers.
#[derive(Debug)]
pub(super) enum News {
    /// One was started. `was_missed`: it was said before that there is none.
    Started { pid: i32, was_missed: bool },
    /// It said this.
    Said(Box<FromKeeper>),
    /// The one with this pid is gone.
    Gone(i32),
    /// Nobody makes room any more, though that was waited for: why.
    NoRoom(String),
    /// Targets are held and there is none: a person is told this line.
    Missed(String),
    /// No process can be had for one, and everything is to be put back.
    Unobtainable,
    /// There will be none: nothing is held.
    GivenUp,
}

impl Keepers {
    /// None was started yet.
    pub(super) fn new(lease: Option<(Request, Journal)>) -> Self {
        Self {
            lease,
            link: None,
            attempts: Attempts::default(),
            due: None,
            is_missed: false,
            has_given_up: false,
            has_tried_alone: false,
            knows_strays: false,
        }
    }

    /// What they are asked for, and the lease that they keep.
    pub(super) fn lease(&self) -> Option<&(Request, Journal)> {
        self.lease.as_ref()
    }

    /// Whether one is there.
    pub(super) fn is_there(&self) -> bool {
        self.link.is_some()
    }

    /// The pid of the one that is there.
    pub(super) fn pid(&self) -> Option<i32> {
        self.link.as_ref().map(KeeperLink::pid)
    }

    /// What is readable when it says something.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_ref().map(KeeperLink::as_fd)
    }

    /// When to start another one, if ever.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Starts the first one, or another one for one that died, and brings it to where the run is.
    pub(super) fn start(&mut self, session: &Session, build: BuildSoFar) -> Vec<News> {
        self.due = None;
        let Some((request, journal)) = &self.lease else { return vec![News::GivenUp] };
        let mut link = match KeeperLink::start(journal) {
            Ok(link) => link,
            Err(error) => {
                let due = self.attempts.fail(Instant::now());
                return self.miss(session, due, Some(&error));
            }
        };
        self.attempts.begin(Instant::now());
        for message in briefing(request, session, build) {
            link.say(&message);
        }
        let pid = link.pid();
        self.link = Some(link);
        self.knows_strays = false;
        vec![News::Started { pid, was_missed: std::mem::take(&mut self.is_missed) }]
    }

    /// Tells the one that is there.
    pub(super) fn tell(&mut self, message: &ToKeeper) {
        if let Some(link) = &mut self.link {
            link.say(message);
        }
    }

    /// Tells it who left the child's group, where that is news and can be said without waiting.
    pub(super) fn tell_strays(&mut self, is_news: bool, strays: impl FnOnce() -> Vec<ProcessId>) {
        self.knows_strays &= !is_news;
        if let Some(link) = self.link.as_mut().filter(|_| !self.knows_strays) {
            self.knows_strays = link.mention(&ToKeeper::Strays { processes: strays() });
        }
    }

    /// Gives what it said since the last time, and whether it is gone: it is forgotten then.
    pub(super) fn listen(&mut self) -> Vec<News> {
        let Some(link) = &mut self.link else { return vec![] };
        let (messages, is_there) = link.listen();
        let gone = (!is_there).then(|| News::Gone(link.pid()));
        if gone.is_some() {
            self.link = None;
        }
        if messages.iter().any(|message| matches!(message, FromKeeper::RoomMade(_))) {
            self.attempts.forget_room();
        }
        messages.into_iter().map(|message| News::Said(Box::new(message))).chain(gone).collect()
    }

    /// The one that is gone was not done: another one is due, or none is worth it.
    pub(super) fn died(&mut self, session: &Session) -> Vec<News> {
        let due = self.attempts.die(Instant::now());
        self.miss(session, due, None)
    }

    /// There is none, and another one is due; `error` where it could not be started, otherwise the
    /// last one died.
    fn miss(&mut self, session: &Session, due: Instant, error: Option<&io::Error>) -> Vec<News> {
        let deaths = self.attempts.deaths();
        let why = error.map_or_else(
            || format!("the keeper died {deaths} times in a row"),
            |error| format!("no keeper can be started: {error}"),
        );
        let is_making_room = !adopts(session.stage());
        let is_no_room = is_making_room && self.attempts.is_no_room_to_be_had();
        let mut news = Vec::new();
        if is_no_room {
            self.attempts.forget_room();
            news.push(News::NoRoom(format!("no room is made: {why}")));
        }
        let held = self.held();
        let is_over = self.attempts.is_out_of_processes() || deaths >= MOST;
        if is_over && held.is_empty() && is_no_room == is_making_room && self.holds_nothing() {
            self.has_given_up = true;
            news.push(News::GivenUp);
            return news;
        }
        self.due = Some(due);
        if session.is_released() && self.attempts.is_out_of_processes() {
            news.push(News::Unobtainable);
        } else if !held.is_empty() && !self.is_missed && (error.is_some() || deaths >= MOST) {
            self.is_missed = true;
            let held = counted(held);
            news.push(News::Missed(format!("{why}; {held} held until there is one again")));
        }
        news
    }

    /// Nothing is left to do for another one.
    pub(super) fn start_no_more(&mut self) {
        self.due = None;
    }

    /// Whether another one could be started.
    pub(super) fn may_follow(&self) -> bool {
        self.lease.is_some() && !self.has_given_up
    }

    /// Whether something is left that is to be put back without one.
    pub(super) fn needs_restore_alone(&self) -> bool {
        let may_try = self.link.is_none() && self.lease.is_some() && !self.has_tried_alone;
        may_try && !self.holds_nothing()
    }

    /// Gives what is to be put back without one, once.
    pub(super) fn begin_restore_alone(&mut self) -> Option<&(Request, Journal)> {
        let is_first = !std::mem::replace(&mut self.has_tried_alone, true);
        self.lease.as_ref().filter(|_| is_first)
    }

    /// The kind of each target that the lease holds, by its journal.
    pub(super) fn held(&self) -> Vec<Kind> {
        let journal = self.lease.as_ref().map(|(_, journal)| journal);
        let state = journal.and_then(|journal| journal.reread().ok().flatten());
        let targets = state.into_iter().flat_map(|state| state.targets.into_values());
        targets.map(|held| held.target.kind()).collect()
    }

    /// Whether nothing is left to bring back, by the journal that no keeper writes to any more.
    pub(super) fn holds_nothing(&self) -> bool {
        let lease = self.lease.as_ref().filter(|_| self.link.is_none());
        // Without a name it never had a record, or was done with.
        lease.is_some_and(|(_, journal)| {
            journal.reread().is_ok_and(|state| state.is_none_or(|state| state.is_empty()))
        })
    }
}
