//! Owns following the engine's events about containers: one connection, on which the engine says what
//! happens when it happens. Runs in the keeper.

use std::{collections::HashMap, fmt, pin::Pin};

use bollard::{models::EventMessage, query_parameters::EventsOptions};
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;

use super::client::{Engine, EngineError, refusal};
use crate::core::hand::Happening;

/// What the engine tells as it happens.
pub struct Events {
    stream: Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>>>>,
}

impl fmt::Debug for Events {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Engine {
    /// Follows what happens to containers from this time of the engine's clock on. An engine keeps its last 256
    /// events (moby, `daemon/events/events.go`). Only these actions are told. The call itself is made when the first one
    /// is asked for.
    #[must_use]
    pub fn events(&self, since: Timestamp, actions: &[&str]) -> Events {
        let only = |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(ToString::to_string).collect());
        let filters = HashMap::from([only("type", &["container"]), only("event", actions)]);
        let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
        let docker = self.docker.clone();
        let options = EventsOptions { since: Some(since), until: None, filters: Some(filters) };
        Events { stream: Box::pin(docker.events(Some(options))) }
    }
}

impl Events {
    /// The next one. Nothing is lost when this is dropped half-way.
    ///
    /// # Errors
    /// [`EngineError`] when there will be no other; [`EngineError::Refused`] where the engine tells none at all.
    pub async fn next(&mut self) -> Result<Happening, EngineError> {
        loop {
            match self.stream.next().await {
                Some(Ok(event)) => {
                    if let Some(happening) = happening(event) {
                        return Ok(happening);
                    }
                }
                Some(Err(error)) => return Err(refusal(error)),
                None => return Err(EngineError::Lost { cause: "the stream of events has ended".to_owned() }),
            }
        }
    }
}

fn happening(event: EventMessage) -> Option<Happening> {
    let actor = event.actor?;
    Some(Happening { action: event.action?, id: actor.id?, name: actor.attributes.and_then(|mut attributes| attributes.remove("name")) })
}
