//! Owns the calls that pause and stop targets: each goes on when nobody waits for it any more,
//! because the engine does so too, and its answer is what tells that nothing comes late. Decides
//! nothing. Runs in the keeper.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use crate::engine::client::EngineError;

/// What is known of the last call about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The engine has not answered, and the connection is there.
    UnderWay,
    /// It has: nothing comes late.
    Answered,
    /// The answer says nothing, or was lost.
    Broken,
}

/// The calls of one keeper.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    by_id: Mutex<HashMap<String, OfTarget>>,
    ended: Notify,
}

/// The calls about one target.
#[derive(Debug, Default)]
struct OfTarget {
    under_way: usize,
    /// How the last one that ended did.
    ended: Option<Sent>,
}

impl Shared {
    /// A map is whole also where whoever held it panicked.
    fn by_id(&self) -> MutexGuard<'_, HashMap<String, OfTarget>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Sends a call about this target; what it gives is its answer. It goes on though that is
    /// dropped.
    pub(super) fn send(
        &self,
        id: &str,
        call: impl Future<Output = Result<(), EngineError>> + Send + 'static,
    ) -> oneshot::Receiver<Result<(), EngineError>> {
        let (answer, answered) = oneshot::channel();
        let (id, shared) = (id.to_owned(), Arc::clone(&self.shared));
        shared.by_id().entry(id.clone()).or_default().under_way += 1;
        tokio::spawn(async move {
            let result = call.await;
            let is_known = result.as_ref().err().is_none_or(|error| !error.is_outcome_unknown());
            if let Some(calls) = shared.by_id().get_mut(&id) {
                calls.under_way -= 1;
                calls.ended = Some(if is_known { Sent::Answered } else { Sent::Broken });
            }
            shared.ended.notify_waiters();
            // Whoever sent it may have gone on.
            let _ = answer.send(result);
        });
        answered
    }

    /// What became of the calls about this target; `None` where this keeper has sent none.
    pub(super) fn of(&self, id: &str) -> Option<Sent> {
        self.shared
            .by_id()
            .get(id)
            .and_then(|calls| if calls.under_way > 0 { Some(Sent::UnderWay) } else { calls.ended })
    }

    /// Waits until a call ends that is under way now.
    pub async fn ended(&self) {
        self.shared.ended.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_call_goes_on_when_nobody_waits_for_it_and_its_answer_is_known() {
        let calls = Calls::default();
        assert_eq!(calls.of("a"), None);
        for (answer, expected) in [
            (Ok(()), Sent::Answered),
            (
                Err(EngineError::Refused { status: 409, message: "paused".to_owned() }),
                Sent::Answered,
            ),
            (
                Err(EngineError::Refused { status: 500, message: "half-way".to_owned() }),
                Sent::Broken,
            ),
            (Err(EngineError::Lost { cause: "cut".to_owned() }), Sent::Broken),
        ] {
            let (open, gate) = oneshot::channel::<()>();
            let waiting = calls.send("a", async {
                let _ = gate.await;
                answer
            });
            drop(waiting);
            tokio::task::yield_now().await;
            assert_eq!(calls.of("a"), Some(Sent::UnderWay));
            let ended = calls.ended();
            tokio::pin!(ended);
            assert!(futures_util::poll!(&mut ended).is_pending());
            open.send(()).expect("it waits");
            ended.await;
            assert_eq!(calls.of("a"), Some(expected));
        }
    }
}
