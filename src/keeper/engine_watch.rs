//! Owns the keeper's sense for what others do to the targets: the engine's events while there are
//! targets to be held, the connection made again when it breaks, and the moments at which a target
//! is taken again. What a sign means is looked at in `theirs`. Never fails a run. Runs in the
//! keeper.

use std::{collections::VecDeque, future, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    core::{
        run::{
            note::{Level, Note},
            wire::FromKeeper,
        },
        target::{event::TargetEvent, recorded::Target},
    },
    room::{context::Tell, machine::Machine},
    targets::{changes::Changes, error::TargetError},
};

/// Before a connection that broke is made again; twice as long each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// So often in a row a connection is made; an engine that breaks it more often is looked at when
/// everything is put back.
const MOST_CONNECTIONS: u32 = 20;
/// One that lasted so long was a good one: some ways cut what is idle.
const LASTED: Duration = Duration::from_secs(30);
/// An engine that stops a paused container, for somebody or because it ends itself, unpauses it
/// first: only what runs on is somebody's. And whoever unpauses a target may want to see it run,
/// and who starts it at each look is not fought in its own pace. One time for both, so that what is
/// asked for first is due first.
const A_WHILE: Duration = Duration::from_secs(1);

/// A reason to look.
#[derive(Debug)]
pub(crate) enum Sign {
    /// The engine tells something.
    Happened(TargetEvent),
    /// Nobody knows what happened until now; perhaps the engine restarted.
    Missed { engine_was_away: bool },
    /// It is time to look whether this one still runs, by its id.
    Confirm(String),
    /// It is time to take this one again.
    Again(Target),
}

/// The sense.
pub(crate) struct EngineWatch<'a> {
    machine: &'a Machine,
    tell: Tell<'a>,
    following: Following,
    connections: u32,
    /// When the last one was made.
    connected: Instant,
    /// What is to be confirmed or taken again, and when.
    later: VecDeque<(Instant, Sign)>,
}

#[derive(Debug)]
enum Following {
    /// There is nothing to be held, or the engine tells nothing.
    Not,
    /// From this time on, once somebody listens.
    From(Timestamp),
    /// From then on; what was before is missed.
    Missed {
        at: Instant,
        engine_was_away: bool,
    },
    Under(Changes),
}

impl<'a> EngineWatch<'a> {
    pub(crate) fn new(machine: &'a Machine, tell: Tell<'a>) -> Self {
        Self {
            machine,
            tell,
            following: Following::Not,
            connections: 0,
            connected: Instant::now(),
            later: VecDeque::new(),
        }
    }

    /// There are targets that were taken after this time; follows on where that is done already.
    pub(crate) fn follow(&mut self, since: Timestamp) {
        if let Following::Not = self.following
            && self.connections < MOST_CONNECTIONS
        {
            self.following = Following::From(since);
        }
    }

    /// There are targets that a keeper before this one took.
    pub(crate) fn take_over(&mut self) {
        self.following = Following::Missed { at: Instant::now(), engine_was_away: false };
    }

    /// Everything is put back: nothing is followed until something is taken again.
    pub(crate) fn begin_anew(&mut self) {
        self.following = Following::Not;
        self.later.clear();
    }

    /// Asks for another look at this one in a while, by an engine that still takes calls then.
    pub(crate) fn confirm(&mut self, id: String) {
        self.later.push_back((Instant::now() + A_WHILE, Sign::Confirm(id)));
    }

    /// Asks for this one to be taken again in a while.
    pub(crate) fn take_again(&mut self, target: Target) {
        self.later.push_back((Instant::now() + A_WHILE, Sign::Again(target)));
    }

    /// These need not be taken again any more.
    pub(crate) fn leave(&mut self, ids: &[String]) {
        self.later
            .retain(|(_, sign)| !matches!(sign, Sign::Again(target) if ids.contains(&target.id)));
    }

    /// The next sign; waits for ever where `is_held` is not so. Nothing is lost when this is
    /// dropped half-way.
    pub(crate) async fn next(&mut self, is_held: bool) -> Sign {
        if !is_held {
            return future::pending().await;
        }
        let due = self.later.front().map(|(due, _)| *due);
        let waiting = async {
            if let Some(due) = due {
                tokio::time::sleep_until(due).await
            } else {
                future::pending().await
            }
        };
        tokio::select! {
            sign = self.listen() => return sign,
            () = waiting => {}
        }
        match self.later.pop_front() {
            Some((_, sign)) => sign,
            None => future::pending().await,
        }
    }

    async fn listen(&mut self) -> Sign {
        loop {
            match &mut self.following {
                Following::Not => return future::pending().await,
                Following::From(since) => match Box::pin(self.machine.targets()).await {
                    Ok(targets) => {
                        let events = targets.changes(*since);
                        self.begin(events);
                    }
                    Err(error) => self.broke(&error),
                },
                Following::Missed { at, engine_was_away } => {
                    let engine_was_away = *engine_was_away;
                    tokio::time::sleep_until(*at).await;
                    match Box::pin(self.machine.targets()).await {
                        Ok(targets) => {
                            self.begin(targets.changes(Timestamp::now()));
                            return Sign::Missed { engine_was_away };
                        }
                        Err(error) => self.broke(&error),
                    }
                }
                Following::Under(events) => match events.next().await {
                    Ok(happening) => return Sign::Happened(happening),
                    Err(error) => self.broke(&error),
                },
            }
        }
    }

    fn begin(&mut self, events: Changes) {
        self.connected = Instant::now();
        self.following = Following::Under(events);
    }

    fn broke(&mut self, error: &TargetError) {
        let has_lasted =
            matches!(self.following, Following::Under(_)) && self.connected.elapsed() >= LASTED;
        self.connections = if has_lasted { 1 } else { self.connections + 1 };
        // What is between us and the engine can be unable for a while; an engine that has no events
        // says so each time.
        let is_refused = error.is_refused_for_good();
        if is_refused || self.connections >= MOST_CONNECTIONS {
            self.connections = MOST_CONNECTIONS;
            self.following = Following::Not;
            let text = format!(
                "the engine's events are not followed: {error}; what others do to the services is seen at the end"
            );
            (self.tell)(FromKeeper::Note(Note::new(Level::Detail, text)));
            return;
        }
        self.machine.forget_engine();
        let pause = PAUSE.saturating_mul(1 << self.connections.min(8)).min(LONGEST_PAUSE);
        self.following = Following::Missed { at: Instant::now() + pause, engine_was_away: true };
    }
}
