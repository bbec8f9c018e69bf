//! Owns what supervisor and keeper say to each other: one JSON object a line, over the keeper's
//! standard input, and the same over the control socket of a started lease. Pure.

mod request;

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use request::{Request, Started};

use crate::core::{
    lease::foreign_change::{ForeignChange, Reply},
    machine::{pressure::Figures, process::ProcessId, sample::HostSample},
    run::{
        ending::{EndedBy, Ending},
        note::{Note, Phase},
        results::{Back, Lingering, Room, RoomTarget, Step},
    },
    target::kind::Kind,
};

/// A keeper's descriptor of its journal, after standard input, output and error.
pub const JOURNAL_FD: i32 = 3;
/// A keeper's descriptor of the state directory: the very one that was checked, wherever its path
/// leads by now.
pub const STATE_DIR_FD: i32 = 4;

/// What the supervisor tells the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToKeeper {
    /// The first message.
    MakeRoom(Box<Request>),
    /// The child is about to execute its first instruction.
    Child { process: ProcessId },
    /// The processes of the build that were last seen outside of the child's process group.
    Strays { processes: Vec<ProcessId> },
    /// The build is being ended: whoever is left of it goes with it.
    Ending {
        /// What ends it.
        #[serde(default)]
        by: Option<EndedBy>,
    },
    /// The build is stopped: the targets run meanwhile.
    Suspend,
    /// The build goes on.
    Resume,
    /// The started lease stands on its own from here: end-of-file means nothing any more.
    Hold,
    /// The build has ended like this.
    Ended(Ending),
    /// The build is over by itself: the room is kept for a while, for the next one. End-of-file
    /// means nothing any more.
    Linger,
    /// The build was killed: the last message is to name who else could have made room.
    LookAround,
    /// Restore and exit.
    Release,
}

/// What the keeper tells the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromKeeper {
    /// Something that a person should know.
    Note(Note),
    /// How far the current phase is.
    Progress { phase: Phase, done: usize, total: usize },
    /// Room is made, as well as it could be.
    RoomMade(Room),
    /// The host's figures while the build runs, where it is another machine.
    Sample(HostSample),
    /// A step was taken under pressure.
    StepTaken(Step),
    /// The last of them was undone, because the pressure is gone.
    StepUndone {
        #[serde(default)]
        kinds: BTreeSet<Kind>,
        running: Vec<String>,
        restored: usize,
        took: Duration,
    },
    /// Somebody else did this to a target, which is theirs now.
    Touched { id: String, name: String, change: ForeignChange, reply: Reply },
    /// A target that had become somebody else's was taken again.
    TakenAgain(RoomTarget),
    /// Memory has been thrashing for so long, and no step is left.
    Thrashing { time: Duration, figures: Figures },
    /// The lease that the run is inside of has all that is asked for; nothing was changed.
    Covered,
    /// A started lease with this name is held already; nothing was changed.
    HeldAlready { lease: String },
    /// The targets run while the build is stopped.
    Suspended,
    /// The started lease stands on its own.
    Holding,
    /// The room is kept without the supervisor.
    Lingering(Lingering),
    /// The targets run again; swap may still be on its way out.
    TargetsBack(Back),
    /// All is done, as well as it could be; the keeper exits.
    Released(Back),
}

/// A message as a line, newline included.
#[must_use]
pub fn line(message: &impl Serialize) -> String {
    // Messages hold only what serde_json takes: strings, numbers, sequences and named fields.
    serde_json::to_string(message).unwrap_or_default() + "\n"
}

/// Collects bytes as they arrive and gives whole messages; what is no message is an error.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

/// No message is longer, in bytes; more without a newline is not from us.
pub const LONGEST_BYTES: usize = 1 << 20;

impl Inbox {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    /// The line as text where it is not a message.
    pub fn take<M: DeserializeOwned>(&mut self) -> Option<Result<M, String>> {
        let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') else {
            return (self.bytes.len() > LONGEST_BYTES)
                .then(|| Err("a message without an end".to_owned()));
        };
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        Some(serde_json::from_slice(&line).map_err(|error| error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::run::note::Level;

    fn room() -> FromKeeper {
        FromKeeper::RoomMade(Room { paused: 3, took: Duration::from_millis(5), ..Room::default() })
    }

    #[test]
    fn messages_arrive_whole_however_they_are_cut() {
        let sent = [
            room(),
            FromKeeper::Covered,
            FromKeeper::Note(Note::new(Level::Info, "a\nb").hint("c")),
        ];
        let bytes = sent.iter().map(line).collect::<String>().into_bytes();
        for size in 1..bytes.len() {
            let mut inbox = Inbox::default();
            let mut arrived = Vec::new();
            for chunk in bytes.chunks(size) {
                inbox.push(chunk);
                while let Some(message) = inbox.take::<FromKeeper>() {
                    arrived.push(message.expect("a message"));
                }
            }
            assert_eq!(arrived, sent, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_and_the_next_one_is_read() {
        let mut inbox = Inbox::default();
        inbox.push(b"{\"say\":\"sing\"}\n{\"say\":\"release\"}\n");
        assert!(inbox.take::<ToKeeper>().expect("a line").is_err());
        assert_eq!(inbox.take(), Some(Ok(ToKeeper::Release)));
        assert_eq!(inbox.take::<ToKeeper>(), None);
    }

    #[test]
    fn a_line_without_an_end_does_not_grow_for_ever() {
        let mut inbox = Inbox::default();
        inbox.push(&vec![b'x'; LONGEST_BYTES]);
        assert_eq!(inbox.take::<ToKeeper>(), None);
        inbox.push(b"xx");
        assert!(inbox.take::<ToKeeper>().expect("an end").is_err());
    }
}
