//! Owns the word that room is no longer wanted, between the keeper's life and an acquire under way.

use std::{cell::Cell, time::Duration};

use tokio::sync::Notify;

/// What is under way gets this long when the run is cancelled; what is not known then is looked at
/// again.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Says that room is no longer wanted. Acts under way are finished, no new one is begun.
#[derive(Debug, Default)]
pub struct Cancel {
    said: Cell<bool>,
    wake: Notify,
}

impl Cancel {
    /// Says it.
    pub fn say(&self) {
        self.said.set(true);
        self.wake.notify_waiters();
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_said(&self) -> bool {
        self.said.get()
    }

    /// What this comes to; `None` where it has not come to anything a while after it was said.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.patience() => None,
        }
    }

    /// Waits until it was said a while ago.
    pub async fn patience(&self) {
        self.wait().await;
        tokio::time::sleep(PATIENCE).await;
    }

    /// Waits until it is said.
    pub async fn wait(&self) {
        let woken = self.wake.notified();
        if !self.is_said() {
            woken.await;
        }
    }
}
