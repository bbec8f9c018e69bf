//! Owns the acts of a run, and the timers that they arm. Pure.

use crate::core::run::exit::Exit;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Start the child.
    StartChild,
    /// Send this signal to the child's group.
    SignalGroup(i32),
    /// Let a timer run.
    Arm(Timer),
    /// End what descends from the child and is not in its group; what is stopped goes on, so that
    /// it can end.
    EndDescendants,
    /// Kill the group and all else that descends from the child.
    Kill,
    /// Report when nobody is left who descends from the child.
    WatchDescendants,
    /// Say that somebody has stopped the build.
    SayStopped,
    /// Say who does not die of SIGKILL.
    SayWhoRemains,
    /// Give the terminal to the child's group.
    GiveTerminal,
    /// Take the terminal back.
    TakeTerminal,
    /// Tell the keeper that the build stops.
    Suspend,
    /// Stop makeroom's own group.
    StopSelf,
    /// Tell the keeper that the build goes on.
    Resume,
    /// Tell the keeper to keep the room for the next build.
    Linger,
    /// Tell the keeper to put everything back.
    Release,
    /// End like this.
    Finish(Exit),
}

/// The timers of a run. How long each takes is not decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// `--timeout`, from the child's start.
    Timeout,
    /// `--grace`: from the terminating signal to SIGKILL.
    Grace,
    /// From the terminating signal until the targets run again in any case.
    ReleaseAnyway,
    /// From SIGKILL until what does not even die of that is left behind.
    LeaveBehind,
    /// From the moment that somebody stopped the build until it is said.
    SayStopped,
    /// How long a stop waits for the targets.
    StopAnyway,
    /// How long makeroom waits for the keeper at the end of a run.
    Restore,
    /// The same after a signal: whoever sent it does not wait long.
    HastyRestore,
}
