//! Owns what supervisor and keeper say to each other: one JSON object a line, over the keeper's
//! standard input, and the same over the control socket of a started lease. Pure.

mod request;

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use request::{Request, Started};

use crate::core::{
    lease::{
        foreign_change::{ForeignChange, Reply},
        late_call::LateCall,
    },
    machine::{
        memory::Memory,
        pressure::{Cause, Figures},
        process::ProcessId,
        sample::HostSample,
    },
    run::{exit::Exit, oom_log::Killed, verdict::Spare},
    target::choice::Method,
};

/// To the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToKeeper {
    /// The first message.
    MakeRoom(Box<Request>),
    /// The child is about to execute its first instruction.
    Child { process: ProcessId },
    /// What of the build was last seen outside of the child's process group.
    Strays { processes: Vec<ProcessId> },
    /// The build is being ended: whoever is left of it goes with it.
    Ending,
    /// The build is stopped: the targets run meanwhile.
    Suspend,
    /// The build goes on.
    Resume,
    /// The started lease stands on its own from here: end-of-file means nothing any more.
    Hold,
    /// The build has ended like this.
    Ended { exit: Exit },
    /// The build is over by itself: the room is kept for a while, for the next one. End-of-file
    /// means nothing any more.
    Linger,
    /// The build was killed: the last word is to tell who else could have made room.
    LookAround,
    /// Restore and exit.
    Release,
}

/// From the keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromKeeper {
    /// Something a person is to know.
    Note(Note),
    /// How far the targets are.
    Progress { phase: Phase, done: usize, total: usize },
    /// Room is made: as well as it could be.
    RoomMade(Room),
    /// The host while the build runs, where it is another machine.
    Sample(HostSample),
    /// A step was taken under pressure.
    StepTaken(Step),
    /// The last of them was undone, because the pressure is gone.
    StepUndone { running: Vec<String>, restored: usize, took: Duration },
    /// Somebody else did this to a target, which is theirs now.
    Touched { id: String, name: String, deed: ForeignChange, reply: Reply },
    /// One of these was taken again.
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

/// How grave a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Details, with `-v`.
    Detail,
    /// News.
    Info,
    /// Worth knowing, and no reason to fail even with `--strict`.
    Warning,
    /// Room could not be made as asked: with `--strict` the build is not run.
    Shortfall,
}

/// One line for a person, with the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How grave.
    pub level: Level,
    /// One line.
    pub text: String,
    /// What to type or to change.
    pub hint: Option<String>,
}

impl Note {
    /// A note without a hint.
    #[must_use]
    pub fn new(level: Level, text: impl Into<String>) -> Self {
        Self { level, text: text.into(), hint: None }
    }

    /// The same with the way out.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What the keeper is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Targets are paused or stopped.
    Pausing,
    /// Memory is pushed out to swap.
    Reclaiming,
    /// Targets are brought back.
    Restoring,
    /// Services that were healthy are waited for.
    Answering,
    /// Swap is taken away.
    SwapOff,
}

/// What was made room with, measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// What a person calls the host, where it is not this machine.
    pub host: Option<String>,
    /// Each target that is held.
    pub targets: Vec<RoomTarget>,
    /// MemAvailable before anything was changed, in bytes.
    pub available_before_bytes: Option<u64>,
    /// Targets that are paused.
    pub paused: usize,
    /// Targets that are stopped.
    pub stopped: usize,
    /// Of these, the ones that another live lease took before.
    pub joined: usize,
    /// What the build is said to need, in bytes.
    pub need_bytes: Option<u64>,
    /// The fall of the targets' own memory, less the growth of zram and zswap; `None` where nothing
    /// was reclaimed.
    pub given_back_bytes: Option<u64>,
    /// The change of MemAvailable over the same time.
    pub available_change_bytes: i64,
    /// The host's memory afterwards.
    pub memory: Option<Memory>,
    /// Swap that this run made, in bytes.
    pub swap_made_bytes: Option<u64>,
    /// Where it made it.
    pub swap_path: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// One target of a run. Its fields are keys of the report's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RoomTarget {
    /// Its name.
    pub name: String,
    /// The container's full id, or the Swarm service's.
    #[schemars(regex(pattern = "^([0-9a-f]{64}|[0-9a-z]{25})$"))]
    pub id: String,
    /// How it makes room.
    pub method: Method,
    /// What its cgroup held before; null where that cannot be read.
    pub memory_bytes: Option<u64>,
    /// What its cgroup fell by; null where nothing was pushed out.
    pub given_back_bytes: Option<u64>,
}

/// A step that was taken while the build ran, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its selector.
    pub selector: String,
    /// Why it was due.
    pub cause: Cause,
    /// The host when it was.
    pub figures: Figures,
    /// Each target that was taken for it.
    pub targets: Vec<RoomTarget>,
    /// As in [`Room`].
    pub given_back_bytes: Option<u64>,
    /// How long it took.
    pub took: Duration,
}

/// How bringing everything back went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// Targets that run again because of this.
    pub restored: usize,
    /// The ids of all that were seen to run: the restored ones, and what ran already.
    pub running: Vec<String>,
    /// How long those that were healthy before took to answer again, where that was waited for.
    pub answers: Vec<Answer>,
    /// The ids of targets that another live lease still needs.
    pub handed_over: Vec<String>,
    /// Targets that could not be restored: name and reason.
    pub failed: Vec<(String, String)>,
    /// Targets that run, and may still be paused or stopped by a call that was sent: they stay the
    /// lease's.
    pub late: Vec<LateCall>,
    /// The engine did not answer at first, or went away meanwhile.
    pub engine_lost: bool,
    /// How long the targets took.
    pub took: Duration,
    /// What became of swap; `None` where this lease had none.
    pub swap: Option<SwapBack>,
    /// Who else could have made room, where that was asked for.
    pub spare: Vec<Spare>,
    /// What the host's kernel killed for memory while the build ran, the same.
    pub killed: Vec<Killed>,
}

impl Back {
    /// The same where another keeper had told `before`, and then died: what that one did was done
    /// already for this one.
    #[must_use]
    pub fn taking_over(mut self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        self.restored = self.restored.max(before.restored);
        self.took = self.took.max(before.took);
        self.engine_lost |= before.engine_lost;
        for (ids, before) in
            [(&mut self.running, before.running), (&mut self.handed_over, before.handed_over)]
        {
            let missing: Vec<String> = before.into_iter().filter(|id| !ids.contains(id)).collect();
            ids.extend(missing);
        }
        self
    }

    /// Adds what became of the `late` calls once they were waited for: none is awaited any more.
    pub fn add_late(&mut self, late: Self) {
        self.late.clear();
        self.restored += late.restored;
        self.running.extend(late.running);
        self.failed.extend(late.failed);
    }
}

/// The room that is kept after a build, and what was looked for at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lingering {
    /// Targets that stay paused.
    pub paused: usize,
    /// Targets that stay stopped.
    pub stopped: usize,
    /// For how long.
    pub time: Duration,
    /// As in [`Back`].
    pub spare: Vec<Spare>,
    /// As in [`Back`].
    pub killed: Vec<Killed>,
}

/// What a service's own health check said after it ran again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The container's full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// From the moment that it ran again until its check was content; `None` where it was not in
    /// time.
    pub after: Option<Duration>,
}

/// What became of the lease's swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapBack {
    /// Off, and the file deleted.
    Removed,
    /// Another live lease still needs it.
    HandedOver,
    /// Recorded for `recover`: where, and why.
    Stays { path: String, reason: String },
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
    fn a_keeper_that_took_over_tells_what_the_one_before_it_had_done() {
        let ids = |ids: [&str; 2]| ids.map(str::to_owned).to_vec();
        let before = Back {
            restored: 2,
            running: ids(["a", "b"]),
            handed_over: ids(["c", "d"]),
            took: Duration::from_secs(1),
            ..Back::default()
        };
        let (running, handed_over) = (vec!["b".to_owned()], vec!["d".to_owned()]);
        let later = Back { running, handed_over, swap: Some(SwapBack::Removed), ..Back::default() };
        let told = later.taking_over(Some(before.clone()));
        assert_eq!(
            (told.restored, told.took, told.swap),
            (2, Duration::from_secs(1), Some(SwapBack::Removed))
        );
        assert_eq!(told.running, ["b", "a"]);
        assert_eq!(told.handed_over, ["d", "c"]);
        assert_eq!(before.clone().taking_over(Some(before.clone())), before);
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
