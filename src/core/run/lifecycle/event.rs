//! Owns the events of a lease: what the keeper is told, what becomes due, how its acts end. Pure.

/// What happens to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Another request for room. There is one a keeper: this one means nothing.
    MakeRoom,
    /// There is a build.
    Child,
    /// Processes of the build are outside of the child's group.
    Strays,
    /// The supervisor ends the build.
    Ending,
    /// The build is stopped.
    Suspend,
    /// The build goes on.
    Resume,
    /// The lease is to outlive its supervisor.
    Hold,
    /// The build has ended.
    Ended,
    /// The build is over by itself, and its room is to be kept.
    Linger,
    /// The build may have been killed for want of room.
    LookAround,
    /// Everything is to be put back.
    Release,
    /// SIGTERM, SIGINT or SIGHUP.
    Signal,
    /// The supervisor is gone.
    EndOfFile,
    /// A step is due.
    StepDue,
    /// The last step can be undone.
    UndoDue,
    /// Somebody else may have changed a target.
    LookDue,
    /// It is time to take a target again.
    RetakeDue,
    /// The time of a lease that stands on its own is over, its process is gone, or `stop` asked for
    /// its end.
    ControlEnded,
    /// `Act::MakeRoom` has ended like this.
    RoomMade(Made),
    /// `Act::TakeStep` has ended.
    StepTaken,
    /// `Act::UndoStep` has ended.
    StepUndone,
    /// `Act::Look` has ended.
    Looked,
    /// `Act::Retake` has ended.
    Retaken,
    /// `Act::SuspendTargets` has ended.
    Suspended,
    /// `Act::UndoSteps` has ended, and there is something left to keep or not.
    StepsUndone { is_anything_left: bool },
    /// `Act::PostMortem` has ended.
    Examined,
    /// `Act::BeginLingering` was successful.
    LingeringBegun,
    /// `Act::BeginLingering` failed.
    LingeringFailed,
    /// `Act::BeginHolding` was successful.
    HoldingBegun,
    /// `Act::BeginHolding` failed.
    HoldingFailed,
    /// `Act::EndOrphan` has ended.
    OrphanEnded,
    /// `Act::Release` has ended.
    Released,
    /// `Act::SayReleased` has ended; something is left to wait for or to try again, or nothing.
    ReleaseSaid { is_rest_left: bool },
    /// `Act::SeeToRest` has ended.
    RestSeenTo,
}

/// How making room ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    /// As well as it could be.
    Room,
    /// The lease around this run has all that is asked for.
    Covered,
    /// A started lease of this name is held already.
    HeldAlready,
    /// The started lease cannot be recorded.
    NotRecorded,
}
