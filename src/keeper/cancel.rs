//! Owns the word that room is no longer wanted, between the keeper's life and an acquire under way.

use std::cell::Cell;

use tokio::sync::Notify;

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

    /// Waits until it is said.
    pub async fn wait(&self) {
        let woken = self.wake.notified();
        if !self.is_said() {
            woken.await;
        }
    }
}
