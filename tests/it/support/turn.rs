//! Owns turns: of what the machine has once, one test at a time has it, in this process and in any
//! other that runs these tests.

use std::{
    fs::File,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// For this long nobody of this process asks again, so that another one comes to its turn as well.
const AFTER_YOU: Duration = Duration::from_millis(20);

/// A turn, until it is dropped.
pub struct Turn {
    file: File,
    _own: MutexGuard<'static, ()>,
}

/// Waits for the turn of this name, which is this process's own by the mutex.
#[must_use]
pub fn take(own: &'static Mutex<()>, name: &str) -> Turn {
    // A test that panicked in its turn has given back what it had.
    let own = own.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::env::temp_dir().join(format!("makeroom-it-{name}.lock"));
    let file = File::create(path).expect("a lock's file");
    file.lock().expect("locked");
    Turn { file, _own: own }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = self.file.unlock();
        thread::sleep(AFTER_YOU);
    }
}
