//! Owns the stages of a run, and the events that lead from one to another. Pure.

use crate::core::run::{exit::Exit, session::act::Timer};

/// The stages of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// The keeper makes room; there is no child yet.
    #[default]
    MakingRoom,
    /// The child runs.
    Running,
    /// Ctrl-Z: the group is stopped and the targets are on their way back.
    Suspending,
    /// Continued after Ctrl-Z: room is made again before the group goes on.
    Resuming,
    /// The child was told to end.
    Ending,
    /// The child is gone, or never was; everything is put back.
    Restoring,
    /// makeroom has nothing left to do.
    Done,
}

/// What happens to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// makeroom got this signal.
    Signal(i32),
    /// The shell died of whose script makeroom is a part. Nobody said it twice by that.
    ShellDied,
    /// Room is made, as well as it could be.
    RoomMade,
    /// `--strict`, and room could not be made.
    Refused,
    /// The child could not be executed: makeroom's exit code for it.
    CannotStart(u8),
    /// The child was stopped by this signal, makeroom being in the terminal's foreground or not.
    ChildStopped { signal: i32, foreground: bool },
    /// The child was continued.
    ChildContinued,
    /// The child ended.
    ChildEnded(Exit),
    /// Nobody alive is left who descends from the child, and the child was reaped.
    NobodyLeft,
    /// The targets run while the build is stopped.
    Suspended,
    /// makeroom goes on after it stopped itself.
    Continued,
    /// The keeper keeps the room for a while, on its own.
    Lingering,
    /// The targets run again.
    TargetsBack,
    /// The keeper has put everything back, as well as it could.
    Released,
    /// No keeper makes room: each one that tried is gone. What was taken until then has a keeper
    /// again later.
    NoRoom,
    /// There is no keeper and there will not be one: nothing is held, or what is held is out of
    /// reach.
    KeeperLost,
    /// Memory has been thrashing for as long as `--abort-on-thrash` allows.
    Thrashing,
    /// A timer that was armed went off.
    Due(Timer),
}
