//! Owns following the engine's events about containers: one connection, on which the engine says
//! what happens when it happens. Runs in the keeper.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    core::lease::foreign_change::EngineEvent,
    engine::{
        client::{Engine, EngineError, refusal},
        raw::{self, Lines},
    },
};

/// What the engine tells as it happens.
pub struct Events {
    lines: Lines,
}

impl fmt::Debug for Events {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Engine {
    /// Follows what happens to containers from this time of the engine's clock on. An engine keeps
    /// its last 256 events (moby, `daemon/events/events.go`). Only these actions are told. The call
    /// itself is made when the first one is asked for.
    #[must_use]
    pub fn events(&self, since: Timestamp, actions: &[&str]) -> Events {
        let filters = json!({ "type": ["container"], "event": actions }).to_string();
        let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
        Events {
            lines: Lines::new(
                &self.docker,
                format!("/events?since={since}&filters={}", raw::quoted(&filters)),
            ),
        }
    }
}

impl Events {
    /// The next one. Nothing is lost when this is dropped half-way.
    ///
    /// # Errors
    /// [`EngineError`] when there will be no other; [`EngineError::Refused`] where the engine tells
    /// none at all.
    pub async fn next(&mut self) -> Result<EngineEvent, EngineError> {
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
fn event(line: &[u8]) -> Option<EngineEvent> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let actor = &event["Actor"];
    Some(EngineEvent {
        action: text(&event["Action"])?,
        id: text(&actor["ID"])?,
        name: text(&actor["Attributes"]["name"]),
    })
}
