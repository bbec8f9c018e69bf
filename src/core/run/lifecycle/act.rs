//! Owns the acts of the keeper. Pure: who performs them is `keeper`.

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Make room.
    MakeRoom,
    /// Finish what is under way, and begin nothing new for it.
    Cancel,
    /// Keep what was just taken in until nothing is under way.
    PutOff,
    /// Tell how making room ended.
    SayMade,
    /// Run the user's command for room that was made.
    RunRoomMadeHook,
    /// Take the step that is due.
    TakeStep,
    /// Undo the last step.
    UndoStep,
    /// Look at what somebody else may have changed, and let go what they did.
    Look,
    /// Take a target again.
    Retake,
    /// Bring the targets back while the build is stopped, and say so.
    SuspendTargets,
    /// Undo all steps: only the build that is over needed them.
    UndoSteps,
    /// Look for evidence why the build was killed.
    PostMortem,
    /// Make the lease outlive its build, and say so.
    BeginLingering,
    /// Make the lease outlive its supervisor, and say so.
    BeginHolding,
    /// End the build that nobody supervises any more.
    EndOrphan,
    /// Put everything back.
    Release,
    /// Run the user's command for what was put back.
    RunRestoredHook,
    /// Tell what was put back.
    SayReleased,
    /// Wait for calls that may still change a target, and bring it back; go on removing swap.
    SeeToRest,
    /// Exit.
    Exit,
}
