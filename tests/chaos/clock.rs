//! Owns moving the clock on the wall, and putting it back whatever becomes of this process.

use std::{
    fs::File,
    io::{PipeWriter, Read as _, Write as _, pipe},
    mem,
};

use nix::{
    sys::wait::waitpid,
    unistd::{ForkResult, Pid, fork, setsid},
};

use crate::support::process;

/// The clock is this process's to move until it is dropped: no other one of this machine that asks
/// moves it meanwhile.
pub struct ClockTurn {
    moved: Option<Moved>,
    _file: File,
}

/// The clock on the wall is another one until this is dropped, or this process ends, however it
/// ends.
struct Moved {
    /// At its end-of-file the helper puts the clock back.
    held: Option<PipeWriter>,
    helper: Pid,
}

impl ClockTurn {
    /// Waits for it.
    pub fn wait() -> Self {
        let file = File::create(std::env::temp_dir().join("makeroom-chaos-clock.lock"))
            .expect("a lock's file");
        file.lock().expect("locked");
        Self { moved: None, _file: file }
    }

    /// Moves the clock, once; tells whether this machine allows that. The helper has the lock's
    /// open file as well, so the turn is over when the clock is back, also where this process is
    /// killed.
    pub fn shift(&mut self, seconds: i64) -> bool {
        if self.moved.is_none() {
            self.moved = Moved::by(seconds);
        }
        self.moved.is_some()
    }
}

impl Moved {
    fn by(seconds: i64) -> Option<Self> {
        let (mut end, held) = pipe().expect("a pipe");
        let (mut answer, mut tell) = pipe().expect("a pipe");
        // SAFETY: the child makes system calls on what it has already, and nothing else: other
        // threads' locks stay as they are.
        match unsafe { fork() }.expect("a process") {
            ForkResult::Parent { child } => {
                drop((end, tell));
                let moved = Self { held: Some(held), helper: child };
                let mut is_moved = [0];
                answer.read_exact(&mut is_moved).expect("the helper lives");
                (is_moved == [1]).then_some(moved)
            }
            ForkResult::Child => {
                // What ends this process's group must not end the helper.
                let _ = setsid();
                drop(held);
                let is_moved = offset(seconds);
                let _ = tell.write_all(&[u8::from(is_moved)]);
                let _ = end.read(&mut [0]);
                if is_moved {
                    offset(-seconds);
                }
                // SAFETY: nothing of the parent's is run or flushed.
                unsafe { libc::_exit(0) }
            }
        }
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        drop(self.held.take());
        let _ = waitpid(self.helper, None);
    }
}

/// Adds this to the clock, not a nanosecond more or less (adjtimex(2)); tells whether it was
/// allowed.
fn offset(seconds: i64) -> bool {
    // SAFETY: all its fields are numbers.
    let mut wanted: libc::timex = unsafe { mem::zeroed() };
    wanted.modes = libc::ADJ_SETOFFSET;
    wanted.time.tv_sec = seconds;
    // SAFETY: it is ours.
    unsafe { libc::adjtimex(&raw mut wanted) >= 0 }
}

#[test]
fn the_next_turn_comes_when_the_helper_has_put_the_clock_back() {
    let mut turn = ClockTurn::wait();
    // By nothing at all; where even that is not allowed there is no helper left either.
    let _ = turn.shift(0);
    let helper = turn.moved.as_ref().map(|moved| moved.helper);
    drop(turn);
    assert!(helper.is_none_or(|helper| !process::runs(helper.as_raw())));
    drop(ClockTurn::wait());
}
