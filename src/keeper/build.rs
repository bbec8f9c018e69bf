//! Owns what the keeper was told of the build. Decides nothing.

use std::time::{Duration, Instant};

use crate::core::{
    machine::process::ProcessId,
    run::{
        ending::{EndedBy, Ending},
        wire::ToKeeper,
    },
};

/// The build, as far as it is known.
#[derive(Debug)]
pub(crate) struct Build {
    /// Its first process.
    pub(crate) child: Option<ProcessId>,
    /// What was last seen outside of the child's group.
    pub(crate) strays: Vec<ProcessId>,
    /// What ends it, where it does not end by itself.
    pub(crate) ended_by: Option<EndedBy>,
    /// How it ended.
    pub(crate) ending: Option<Ending>,
    since: Instant,
}

impl Build {
    /// There is none yet.
    pub(crate) fn new() -> Self {
        let (ended_by, ending) = (None, None);
        Self { child: None, strays: Vec::new(), ended_by, ending, since: Instant::now() }
    }

    /// Notes what this message tells of it.
    pub(crate) fn note(&mut self, message: &ToKeeper) {
        match message {
            ToKeeper::Child { process } => {
                (self.child, self.since) = (Some(*process), Instant::now());
            }
            ToKeeper::Strays { processes } => self.strays.clone_from(processes),
            ToKeeper::Ending { by } => self.ended_by = *by,
            ToKeeper::Ended(ending) => self.ending = Some(*ending),
            ToKeeper::MakeRoom(_)
            | ToKeeper::Suspend
            | ToKeeper::Resume
            | ToKeeper::Hold
            | ToKeeper::Linger
            | ToKeeper::LookAround
            | ToKeeper::Release => {}
        }
    }

    /// How long it has been known.
    pub(crate) fn time(&self) -> Duration {
        self.since.elapsed()
    }
}
