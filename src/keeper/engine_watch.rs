//! Owns watching for what others do to the targets: the engine's events while there are targets to
//! be held, the connection made again when it breaks, and the moments at which a target is looked
//! at or taken again. What a sign means is for `foreign_changes`. Never fails a run. Runs in the
//! keeper.

use std::{collections::VecDeque, future, time::Duration};

use futures_util::FutureExt as _;
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
    keeper::{
        changes::{self, Changes, TargetError},
        operations::{Machine, Tell},
    },
};

/// How long a connection that broke is not made again; doubled each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How often in a row a connection is made. What an engine that breaks it more often does is seen
/// when everything is put back.
const MOST_CONNECTIONS: u32 = 20;
/// A connection that lasted so long was a good one: some ways cut what is idle.
const LASTED: Duration = Duration::from_secs(30);
/// Between two looks at a target that was unpaused, and before a target is taken again. An engine
/// that stops a paused container, for somebody or because it ends itself, unpauses it first: only
/// what still runs then was unpaused by somebody. Whoever unpauses a target may want to see it run,
/// and whoever starts it at each look is not fought in their own pace. One time for both, so that
/// what is asked for first is due first.
const A_WHILE: Duration = Duration::from_secs(1);

/// A reason to look.
#[derive(Debug)]
pub(crate) enum Sign {
    /// The engine tells of an event.
    Happened(TargetEvent),
    /// Events may have been missed; perhaps the engine was restarted.
    Missed { engine_was_away: bool },
    /// It is time to look whether the target with this id still runs.
    Confirm(String),
    /// It is time to take this target again.
    Again(Target),
}

/// The watch over one engine.
pub(crate) struct EngineWatch<'a> {
    machine: &'a Machine,
    tell: Tell<'a>,
    following: Following,
    connections: u32,
    /// When the last one was made.
    connected: Instant,
    /// What is to be confirmed or taken again, and when.
    due: VecDeque<(Instant, Sign)>,
}

#[derive(Debug)]
enum Following {
    /// There is nothing to be held, or the engine has no events.
    Not,
    /// From this time on, once somebody listens.
    From(Timestamp),
    /// From that moment on; what happened before it is missed.
    Missed {
        at: Instant,
        engine_was_away: bool,
    },
    Under(Changes, VecDeque<TargetEvent>),
}

impl<'a> EngineWatch<'a> {
    pub(crate) fn new(machine: &'a Machine, tell: Tell<'a>) -> Self {
        Self {
            machine,
            tell,
            following: Following::Not,
            connections: 0,
            connected: Instant::now(),
            due: VecDeque::new(),
        }
    }

    /// Follows what happens to targets that were taken after this time, unless it follows already.
    pub(crate) fn follow(&mut self, since: Timestamp) {
        if let Following::Not = self.following
            && self.connections < MOST_CONNECTIONS
        {
            self.following = Following::From(since);
        }
    }

    /// Follows what happens to targets that a keeper before this one took.
    pub(crate) fn take_over(&mut self) {
        self.following = Following::Missed { at: Instant::now(), engine_was_away: false };
    }

    /// Follows nothing until something is taken again: the targets are back.
    pub(crate) fn begin_anew(&mut self) {
        self.following = Following::Not;
        self.due.clear();
    }

    /// Asks for another look at this target in a while, when its engine still takes calls.
    pub(crate) fn confirm(&mut self, id: String) {
        self.due.push_back((Instant::now() + A_WHILE, Sign::Confirm(id)));
    }

    /// Asks for this target to be taken again in a while.
    pub(crate) fn take_again(&mut self, target: Target) {
        self.due.push_back((Instant::now() + A_WHILE, Sign::Again(target)));
    }

    /// Whether the connection on which the last event came is there still. An engine that stops its
    /// containers because it ends tells of that first, and the next one answers as if nothing had
    /// been.
    pub(crate) fn is_unbroken(&mut self) -> bool {
        loop {
            let Following::Under(events, heard) = &mut self.following else { return false };
            match events.next().now_or_never() {
                None => return true,
                Some(Ok(event)) => heard.push_back(event),
                Some(Err(error)) => self.broke(&error),
            }
        }
    }

    /// What was told and not listened to yet.
    pub(crate) fn told(&mut self) -> Vec<TargetEvent> {
        self.is_unbroken();
        match &mut self.following {
            Following::Under(_, heard) => heard.drain(..).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes back the wish that these targets be taken again.
    pub(crate) fn leave(&mut self, ids: &[String]) {
        self.due
            .retain(|(_, sign)| !matches!(sign, Sign::Again(target) if ids.contains(&target.id)));
    }

    /// Waits for the next sign; for ever unless targets are held. Nothing is lost when this is
    /// dropped half-way.
    pub(crate) async fn next(&mut self, is_held: bool) -> Sign {
        if !is_held {
            return future::pending().await;
        }
        let first = self.due.front().map(|(due, _)| *due);
        let waiting = async {
            if let Some(first) = first {
                tokio::time::sleep_until(first).await;
            } else {
                future::pending::<()>().await;
            }
        };
        tokio::select! {
            sign = self.listen() => return sign,
            () = waiting => {}
        }
        match self.due.pop_front() {
            Some((_, sign)) => sign,
            None => future::pending().await,
        }
    }

    async fn listen(&mut self) -> Sign {
        loop {
            match &mut self.following {
                Following::Not => return future::pending().await,
                Following::From(since) => {
                    match Box::pin(changes::follow(self.machine, Some(*since))).await {
                        Ok(events) => self.begin(events),
                        Err(error) => self.broke(&error),
                    }
                }
                Following::Missed { at, engine_was_away } => {
                    let engine_was_away = *engine_was_away;
                    tokio::time::sleep_until(*at).await;
                    match Box::pin(changes::follow(self.machine, None)).await {
                        Ok(events) => {
                            self.begin(events);
                            return Sign::Missed { engine_was_away };
                        }
                        Err(error) => self.broke(&error),
                    }
                }
                Following::Under(_, heard) if !heard.is_empty() => {
                    if let Some(event) = heard.pop_front() {
                        return Sign::Happened(event);
                    }
                }
                Following::Under(events, _) => match events.next().await {
                    Ok(event) => return Sign::Happened(event),
                    Err(error) => self.broke(&error),
                },
            }
        }
    }

    fn begin(&mut self, events: Changes) {
        self.connected = Instant::now();
        self.following = Following::Under(events, VecDeque::new());
    }

    fn broke(&mut self, error: &TargetError) {
        let has_lasted =
            matches!(self.following, Following::Under(..)) && self.connected.elapsed() >= LASTED;
        self.connections = if has_lasted { 1 } else { self.connections + 1 };
        // What is between us and the engine can be unable for a while; an engine that has no events
        // says so each time.
        if error.is_refused_for_good() || self.connections >= MOST_CONNECTIONS {
            self.connections = MOST_CONNECTIONS;
            self.following = Following::Not;
            let text = format!(
                "the engine's events are not followed: {error}; \
                 what others do to the targets is seen at the end"
            );
            (self.tell)(FromKeeper::Note(Note::new(Level::Detail, text)));
            return;
        }
        self.machine.forget_engine();
        let pause = PAUSE.saturating_mul(1 << self.connections.min(8)).min(LONGEST_PAUSE);
        self.following = Following::Missed { at: Instant::now() + pause, engine_was_away: true };
    }
}
