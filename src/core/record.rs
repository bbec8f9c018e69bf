//! Owns the records of a journal, their form as lines, and their fold into what a lease still
//! has to give back. Pure; `lease::journal` reads and writes the bytes.
//!
//! A line is eight hexadecimal digits of CRC-32, a space, and the record as JSON. A last line
//! that is torn never existed. A line that is damaged is passed over and said: what the others tell still holds, because
//! restoring looks before it acts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    call::{Call, LateCall, Moment},
    guard,
    swarm::Scaled,
    target::Method,
    way::{self, Way},
};

/// The version of the records that this makeroom writes and understands.
pub const VERSION: u32 = 5;

/// The variable in which a build's processes find its lease.
pub const LEASE: &str = "MAKEROOM_LEASE";

/// A process that cannot be mistaken for another one that got its pid later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// Its start in clock ticks since boot: field 22 of `/proc/PID/stat`, proc_pid_stat(5). On the portable
    /// path (`host::kernel`) in seconds since 1970. Only ever compared with what the same path says.
    pub start_ticks: u64,
}

/// Whether a lease belongs to a run or outlives the command that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Made by `makeroom run`, ends with its child.
    Run,
    /// Made by `makeroom start`, or kept after its build by `--linger`; ends with `makeroom stop`.
    Start,
}

/// Who a lease belongs to: the first record, and written again when that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// [`VERSION`].
    pub version: u32,
    /// The lease's id.
    pub lease: String,
    /// Run or start.
    pub kind: Kind,
    /// The name given with `start --name`.
    pub name: Option<String>,
    /// The build's program, without its arguments: they can hold secrets.
    pub program: Option<String>,
    /// The engine's URL; `None` where none was found.
    pub engine: Option<String>,
    /// The directory with the certificates for it.
    #[serde(default)]
    pub certificates: Option<String>,
    /// The way to the host; `None` where that is this machine. Since version 2: a makeroom that does
    /// not know it would look for the swap on the wrong machine. Since version 5 by its parts: what is run is not read.
    #[serde(default, deserialize_with = "way::read")]
    pub host: Option<Way>,
    /// Until when the lease of a run is kept after its build, by this clock; it is of [`Kind::Start`] from then on.
    #[serde(default)]
    pub lingers_until: Option<Timestamp>,
    /// Its release has begun: what it still has is on its way back, and counts as held for nobody else.
    #[serde(default)]
    pub releasing: bool,
    /// What the build of a run is expected to take of its host, in bytes.
    #[serde(default)]
    pub need_bytes: Option<u64>,
    /// MemAvailable of the host with room made, before the build took any; `None` until then.
    #[serde(default)]
    pub available_bytes: Option<u64>,
    /// The time limit that the run keeps to.
    #[serde(default)]
    pub timeout: Option<Duration>,
    /// What the run watches the host's memory for.
    #[serde(default)]
    pub guard: Option<guard::Wish>,
    /// When.
    pub at: Timestamp,
}

impl Opened {
    /// Whether a run inside that asks for these has them already: the limit around it ends it no later.
    #[must_use]
    pub fn sees_to(&self, timeout: Option<Duration>, guard: Option<&guard::Wish>) -> bool {
        timeout.is_none_or(|inside| self.timeout.is_some_and(|around| around <= inside))
            && (guard.is_none() || guard == self.guard.as_ref())
    }
}

/// A container as it was when it was taken, or a Swarm service in the place of its tasks: enough to know it again and
/// to restore it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The full id, of the container or of the service.
    pub id: String,
    /// The name, for messages only.
    pub name: String,
    /// The engine's StartedAt: another one means that it was restarted since and is not ours.
    /// A service has none.
    pub started_at: String,
    /// Compose's project.
    pub project: Option<String>,
    /// Compose's service.
    pub service: Option<String>,
    /// The services of the same project that it depends on.
    pub depends_on: Vec<String>,
    /// Its health check was content.
    #[serde(default)]
    pub was_healthy: bool,
    /// It is a Swarm service, which is stopped by scaling it to 0. Since version 4: a makeroom that does not know it
    /// would look for a container, find none, and take it for removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Scaled>,
}

/// A swap area that makeroom made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// Its file on the host.
    pub path: String,
    /// The file's size in bytes.
    pub size_bytes: u64,
    /// The label in its header: what tells it from anybody else's file.
    pub label: String,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// Always the first.
    Opened(Opened),
    /// Intent: the target is about to be paused or stopped, by a call that may take effect so long. Since version 5:
    /// a makeroom that does not know it would take a stop that is slow for one that never came.
    Taking {
        target: Target,
        method: Method,
        #[serde(default)]
        call: Option<Call>,
    },
    /// Outcome: it is. Also written where the outcome is not known, with the reason, and with what is left of the call
    /// where that has changed.
    Taken {
        id: String,
        unknown: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<Call>,
    },
    /// Outcome: the engine refused, nothing was changed.
    NotTaken { id: String, reason: String },
    /// Another live lease has it already; its original state is copied.
    Joined { target: Target, method: Method },
    /// Outcome of restoring: nothing is left to do for it in this lease.
    Restored { id: String, how: Restored },
    /// Outcome of restoring: it could not be done; it stays this lease's.
    NotRestored { id: String, reason: String },
    /// Intent: the area is about to be made.
    AreaMaking { area: Area },
    /// Outcome: the area is active.
    AreaMade { path: String },
    /// A live lease made this area, and this lease needs it too.
    AreaJoined { area: Area },
    /// Intent: from here on the area counts as absent for everybody else.
    AreaRemoving { path: String },
    /// Outcome: this lease has nothing left to do for it.
    AreaGone { path: String, how: AreaGone },
    /// Outcome: it could not be removed and stays this lease's.
    AreaStays { path: String, reason: String },
}

/// How restoring a target ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restored {
    /// It was unpaused or started.
    Done,
    /// It was running already.
    AlreadySo,
    /// It was removed.
    Removed,
    /// It was restarted or replaced by somebody else, so it is theirs.
    Theirs,
    /// Another live lease has it and restores it.
    HandedOver,
}

/// How an area left a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AreaGone {
    /// It is off and its file is deleted.
    Removed,
    /// It was never made, or is gone already.
    AlreadySo,
    /// Another live lease has it and removes it.
    HandedOver,
}

/// How far a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Announced, perhaps done.
    Intended,
    /// The engine was asked and its answer was lost: it may still do it.
    Unknown,
    /// Done, perhaps by another lease.
    Held,
}

/// A target that a lease still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTarget {
    /// The target as it was.
    pub target: Target,
    /// What was done to it.
    pub method: Method,
    /// How far.
    pub stage: Stage,
    /// The call that was announced and whose outcome is not known; `None` also where a journal before version 5 has it.
    pub call: Option<Call>,
    /// What may still come of calls before that one.
    pub earlier: Option<Call>,
}

impl HeldTarget {
    /// One whose outcome is known.
    #[must_use]
    pub fn held(target: Target, method: Method) -> Self {
        Self { target, method, stage: Stage::Held, call: None, earlier: None }
    }

    /// What may still come of all that was sent, though the target looks as it did before. Where the journal does not
    /// tell, the call counts as sent when that was `seen`, to a container that is given `patience` to stop.
    #[must_use]
    pub fn open_call(&self, seen: Moment, patience: Option<Duration>) -> Option<Call> {
        let untold = || match self.method {
            Method::Pause => Call::pause(seen, Duration::ZERO),
            Method::Stop => Call::stop(seen, patience, Duration::ZERO),
        };
        match self.stage {
            Stage::Held => self.earlier,
            Stage::Intended | Stage::Unknown => Some(self.call.unwrap_or_else(untold).later(self.earlier)),
        }
    }
}

/// An area that a lease still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldArea {
    /// The area.
    pub area: Area,
    /// Its removal has begun: it counts as absent.
    pub removing: bool,
}

/// What a journal says a lease still has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// The first record; `None` in a journal whose first line was never finished.
    pub opened: Option<Opened>,
    /// By container id.
    pub targets: BTreeMap<String, HeldTarget>,
    /// By path.
    pub areas: BTreeMap<String, HeldArea>,
    /// The ids of targets that became somebody else's; nothing is owed to them.
    pub theirs: BTreeSet<String>,
    /// The first line of the journal that does not hold what was written, if there is one: it may have had more.
    pub damaged_line: Option<usize>,
}

impl LeaseState {
    /// The way to the host that its areas are on; `None` for this machine.
    #[must_use]
    pub fn host(&self) -> Option<&Way> {
        self.opened.as_ref()?.host.as_ref()
    }

    /// Whether it is kept after its build, for the next one.
    #[must_use]
    pub fn lingers(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.lingers_until.is_some())
    }

    /// Whether a build runs in it, which its room outlasts. A started lease, as which one lingers, ends when it likes.
    #[must_use]
    pub fn is_of_a_build(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.kind == Kind::Run) && !self.is_releasing()
    }

    /// Whether its release has begun.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.releasing)
    }

    /// Whether nothing is left to give back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.areas.is_empty()
    }

    /// The calls of this lease that may still take effect after this moment, by what is recorded.
    #[must_use]
    pub fn late_calls(&self, now: Moment) -> Vec<LateCall> {
        let late = |held: &HeldTarget| {
            let call = held.open_call(now, None).filter(|call| !call.left(now).is_zero() && held.target.swarm.is_none())?;
            let HeldTarget { target, method, .. } = held;
            Some(LateCall { id: target.id.clone(), name: target.name.clone(), method: *method, until: call.until() })
        };
        self.targets.values().filter_map(late).collect()
    }

    /// Takes one more record into account.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Opened(opened) => self.opened = Some(opened.clone()),
            Record::Taking { target, method, call } => {
                // A keeper before this one can have died over a call that is still on its way.
                let before = self.targets.remove(&target.id);
                let earlier = before.and_then(|before| before.call.map_or(before.earlier, |call| Some(call.later(before.earlier))));
                let held = HeldTarget { target: target.clone(), method: *method, stage: Stage::Intended, call: *call, earlier };
                self.targets.insert(target.id.clone(), held);
                self.theirs.remove(&target.id);
            }
            Record::Joined { target, method } => {
                self.targets.insert(target.id.clone(), HeldTarget::held(target.clone(), *method));
            }
            Record::Taken { id, unknown, call } => {
                if let Some(held) = self.targets.get_mut(id) {
                    (held.stage, held.call) = match unknown {
                        Some(_) => (Stage::Unknown, call.or(held.call)),
                        None => (Stage::Held, None),
                    };
                }
            }
            Record::Restored { id, how: Restored::Theirs } => {
                self.targets.remove(id);
                self.theirs.insert(id.clone());
            }
            Record::NotTaken { id, .. } => match self.targets.get_mut(id) {
                // This call did nothing, and one before it may still come.
                Some(held) if held.earlier.is_some() => (held.stage, held.call, held.earlier) = (Stage::Unknown, held.earlier, None),
                _ => drop(self.targets.remove(id)),
            },
            Record::Restored { id, .. } => {
                self.targets.remove(id);
            }
            Record::AreaMaking { area } | Record::AreaJoined { area } => {
                self.areas.insert(area.path.clone(), HeldArea { area: area.clone(), removing: false });
            }
            Record::AreaRemoving { path } => {
                if let Some(held) = self.areas.get_mut(path) {
                    held.removing = true;
                }
            }
            Record::AreaGone { path, .. } => {
                self.areas.remove(path);
            }
            Record::NotRestored { .. } | Record::AreaMade { .. } | Record::AreaStays { .. } => {}
        }
    }
}

/// Why a journal cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is more than was ever written.
    #[error("it has {bytes} bytes, and none of ours has more than {most}")]
    Large { bytes: u64, most: u64 },
    /// Written by a makeroom that knows more.
    #[error("it was written in version {version}, and this makeroom reads up to {VERSION}")]
    Newer { version: u32 },
}

/// A record as a line, newline included.
#[must_use]
pub fn line(record: &Record) -> String {
    // A record holds only strings, numbers and maps with string keys: nothing that serde_json refuses.
    let json = serde_json::to_string(record).unwrap_or_default();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

/// Reads a whole journal, as far as it can be read.
///
/// # Errors
/// [`Unreadable::Newer`] where a line that can be read is of a makeroom that knows more.
pub fn read(journal: &[u8]) -> Result<LeaseState, Unreadable> {
    let mut state = LeaseState::default();
    // What follows the last newline was being written when the holder died: it never existed.
    let finished = journal.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    for (index, line) in journal[..finished].split_inclusive(|&byte| byte == b'\n').enumerate() {
        let json = checked(line);
        if let Some(version) = json.and_then(version_of).filter(|version| *version > VERSION) {
            return Err(Unreadable::Newer { version });
        }
        match json.and_then(|json| serde_json::from_slice(json).ok()) {
            Some(record) => state.apply(&record),
            None => drop(state.damaged_line.get_or_insert(index + 1)),
        }
    }
    Ok(state)
}

fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json)).then_some(json)
}

fn version_of(json: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<u32>,
    }
    serde_json::from_slice::<Versioned>(json).ok()?.version
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod version_4;
