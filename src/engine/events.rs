//! Owns following the engine's events about containers: one connection, on which the engine says
//! what happens when it happens. Runs in the keeper.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    core::target::event::{Happened, TargetEvent},
    engine::{
        client::{Engine, EngineError, bounded, refusal},
        raw::{self, Lines},
    },
};

/// The engine's words for what may happen to a container; podman calls a removal `remove`. A stop is
/// a `kill`, a `die` and, once it has answered, a `stop`; a restart goes on with a `start` (moby,
/// `daemon/stop.go`, `restart.go`). What ends by itself only dies.
const ACTIONS: [(&str, Happened); 8] = [
    ("pause", Happened::Paused),
    ("unpause", Happened::Resumed),
    ("start", Happened::Started),
    ("kill", Happened::ToldToEnd),
    ("die", Happened::Ended),
    ("stop", Happened::Stopped),
    ("destroy", Happened::Removed),
    ("remove", Happened::Removed),
];

/// What the engine tells as it happens.
pub struct Events {
    lines: Lines,
}

/// The signals that a process is ended by: HUP, as others, is also sent to have a file read again.
const ENDING_SIGNALS: [&str; 4] = ["2", "3", "9", "15"];
/// A stop is told of so long after its container has ended, at the latest, by an engine that is well.
const LATE: SignedDuration = SignedDuration::from_secs(1);
/// So long an engine may take to tell what it remembers: more is not told.
const REMEMBERING: Duration = Duration::from_secs(4);

/// What the engine remembers of a container that has ended at this time, in order. Where it is asked
/// sooner than [`LATE`] after that, it answers when that has passed. An engine that was started since
/// remembers nothing.
///
/// # Errors
/// [`EngineError`].
pub async fn remembered(
    engine: &Engine,
    id: &str,
    ended_at: Timestamp,
) -> Result<Vec<Happened>, EngineError> {
    let until = ended_at.checked_add(LATE).unwrap_or(ended_at);
    let path = format!(
        "/events?since=1&until={}&filters={}",
        seconds(until),
        filters(&json!({ "container": [id] }))
    );
    let answer = bounded(REMEMBERING, raw::get(&engine.docker, path)).await?;
    let events = answer.split(|&byte| byte == b'\n').filter_map(event);
    Ok(events.filter(|event| event.id == id).map(|event| event.happened).collect())
}

impl fmt::Debug for Events {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Follows what happens to containers from this time of the engine's clock on. An engine keeps its
/// last 256 events (moby, `daemon/events/events.go`). The call itself is made when the first one is
/// asked for.
#[must_use]
pub fn follow(engine: &Engine, since: Timestamp) -> Events {
    let path = format!("/events?since={}&filters={}", seconds(since), filters(&json!({})));
    Events { lines: Lines::new(&engine.docker, path) }
}

/// The events that are asked for, and those of `only`.
fn filters(only: &Value) -> String {
    let actions: Vec<&str> = ACTIONS.iter().map(|(action, _)| *action).collect();
    let mut filters = json!({ "type": ["container"], "event": actions });
    if let (Some(filters), Some(only)) = (filters.as_object_mut(), only.as_object()) {
        filters.extend(only.clone());
    }
    raw::quoted(&filters.to_string())
}

fn seconds(at: Timestamp) -> String {
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

impl Events {
    /// The next one. Nothing is lost when this is dropped half-way.
    ///
    /// # Errors
    /// [`EngineError`] when there will be no other; [`EngineError::Refused`] where the engine tells
    /// none at all.
    pub async fn next(&mut self) -> Result<TargetEvent, EngineError> {
        loop {
            match self.lines.next().await {
                Some(Ok(line)) => {
                    if let Some(event) = event(&line) {
                        return Ok(event);
                    }
                }
                Some(Err(error)) => return Err(refusal(error)),
                None => {
                    return Err(EngineError::Lost {
                        cause: "the stream of events has ended".to_owned(),
                    });
                }
            }
        }
    }
}

/// One that cannot be read is only a look less.
fn event(line: &[u8]) -> Option<TargetEvent> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let actor = &event["Actor"];
    let action = event["Action"].as_str()?;
    let (_, happened) = ACTIONS.into_iter().find(|(known, _)| *known == action)?;
    let is_meant = |signal: &str| ENDING_SIGNALS.contains(&signal);
    if happened == Happened::ToldToEnd
        && !actor["Attributes"]["signal"].as_str().is_some_and(is_meant)
    {
        return None;
    }
    Some(TargetEvent {
        happened,
        id: text(&actor["ID"])?,
        name: text(&actor["Attributes"]["name"]),
    })
}
