//! Owns what a keeper's work came to: the room that was made, a step that was taken, the room that
//! is kept, and how bringing everything back went. Plain data, measured. Pure.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::core::{
    lease::late_call::LateCall,
    machine::{
        memory::Memory,
        pressure::{Cause, Figures},
        vm::VmDriver,
    },
    run::{oom_log::Killed, verdict::Spare},
    target::{healthcheck::Word, kind::Kind, method::Method},
};

/// The room that was made, as it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// What a person calls the host, where it is not this machine.
    pub host: Option<String>,
    /// What runs the host, where that is a virtual machine on this one and its maker's files tell.
    pub vm_driver: Option<VmDriver>,
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
    /// Its full id, in the words of its kind.
    #[schemars(regex(pattern = "^([0-9a-f]{64}|[0-9a-z]{25})$"))]
    pub id: String,
    /// What sort of target it is.
    #[serde(default)]
    pub kind: Kind,
    /// How it makes room.
    pub method: Method,
    /// What its cgroup held before; null where that cannot be read.
    pub memory_bytes: Option<u64>,
    /// What its cgroup fell by; null where nothing was pushed out.
    pub given_back_bytes: Option<u64>,
}

/// A step that was taken while the build ran, as it was measured.
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
    /// The kinds of all that were to be brought back.
    #[serde(default)]
    pub kinds: BTreeSet<Kind>,
    /// Targets that run again because of this.
    pub restored: usize,
    /// The ids of all that were seen to run: the restored ones, and what ran already.
    pub running: Vec<String>,
    /// How long those that were healthy before took to answer again, where that was waited for.
    pub answers: Vec<Answer>,
    /// Where it was not: those that the engine does not call healthy yet.
    #[serde(default)]
    pub lagging: Vec<Answer>,
    /// The ids of targets that another live lease still needs.
    pub handed_over: Vec<String>,
    /// Targets that could not be restored: name and reason.
    pub failed: Vec<(String, String)>,
    /// Targets that were removed while they were held.
    #[serde(default)]
    pub gone: Vec<Gone>,
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
    /// Whether everything is back, and nothing is awaited any more; swap that its keeper goes on
    /// removing counts as back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let stays = matches!(self.swap, Some(SwapBack::Stays { .. }));
        self.late.is_empty() && self.failed.is_empty() && self.vanished().next().is_none() && !stays
    }

    /// The same where another keeper had told `before`, and then died: what that one did was done
    /// already for this one.
    #[must_use]
    pub fn taking_over(mut self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        self.restored = self.restored.max(before.restored);
        self.took = self.took.max(before.took);
        self.engine_lost |= before.engine_lost;
        self.kinds.extend(before.kinds);
        for (ids, before) in
            [(&mut self.running, before.running), (&mut self.handed_over, before.handed_over)]
        {
            let missing: Vec<String> = before.into_iter().filter(|id| !ids.contains(id)).collect();
            ids.extend(missing);
        }
        self
    }

    /// Adds what came back after all others.
    pub fn add_last(&mut self, last: Self) {
        self.restored += last.restored;
        self.engine_lost |= last.engine_lost;
        self.kinds.extend(last.kinds);
        self.running.extend(last.running);
        self.handed_over.extend(last.handed_over);
        self.failed.extend(last.failed);
        self.late.extend(last.late);
    }

    /// Adds what became of the `late` calls once they were waited for: none is awaited any more.
    pub fn add_late(&mut self, late: Self) {
        self.late.clear();
        self.restored += late.restored;
        self.running.extend(late.running);
        self.failed.extend(late.failed);
        self.swap = late.swap.or(self.swap.take());
    }
}

/// A target that was removed while it was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What was done to it before.
    pub method: Method,
    /// Another one runs in its place.
    pub is_replaced: bool,
}

impl Back {
    /// The names of what vanished: it was removed, and nothing runs in its place.
    pub fn vanished(&self) -> impl Iterator<Item = &str> {
        self.gone.iter().filter(|gone| !gone.is_replaced).map(|gone| gone.name.as_str())
    }
}

/// The room that is kept after a build, and what was found out at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lingering {
    /// The kinds of all that stay so.
    #[serde(default)]
    pub kinds: BTreeSet<Kind>,
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

/// What a target's own health check said after it ran again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The container's full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// From the moment that it ran again until its check was content; `None` where it was not in
    /// time.
    pub after: Option<Duration>,
    /// The same until the engine called it healthy as well.
    #[serde(default)]
    pub called_healthy_after: Option<Duration>,
    /// What the engine called it last.
    #[serde(default)]
    pub word: Word,
    /// Within this time the engine asks for itself.
    #[serde(default)]
    pub asks_within: Duration,
}

/// What became of the lease's swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapBack {
    /// Off, and the file deleted.
    Removed,
    /// Another live lease still needs it.
    HandedOver,
    /// Its keeper goes on trying: where, and why it failed so far.
    NotYet { path: String, reason: String },
    /// Recorded for `recover`: where, and why.
    Stays { path: String, reason: String },
}

impl SwapBack {
    /// What is said of two areas of one lease: whatever asks more of a person.
    #[must_use]
    pub fn or(self, other: Option<Self>) -> Self {
        let weight = |swap: &Self| match swap {
            Self::Removed => 0,
            Self::HandedOver => 1,
            Self::NotYet { .. } => 2,
            Self::Stays { .. } => 3,
        };
        match other {
            Some(other) if weight(&other) > weight(&self) => other,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_back_where_nothing_failed_stays_or_is_awaited() {
        assert!(Back { swap: Some(SwapBack::HandedOver), ..Back::default() }.is_whole());
        let failed = vec![("a".to_owned(), "500".to_owned())];
        assert!(!Back { failed, ..Back::default() }.is_whole());
        let stays = SwapBack::Stays { path: "/s".to_owned(), reason: "busy".to_owned() };
        assert!(!Back { swap: Some(stays), ..Back::default() }.is_whole());
    }

    #[test]
    fn a_keeper_that_took_over_tells_what_the_one_before_it_had_done() {
        let ids = |ids: [&str; 2]| ids.map(str::to_owned).to_vec();
        let before = Back {
            kinds: Kind::ALL[1..].iter().copied().collect(),
            restored: 2,
            running: ids(["a", "b"]),
            handed_over: ids(["c", "d"]),
            took: Duration::from_secs(1),
            ..Back::default()
        };
        let (running, handed_over) = (vec!["b".to_owned()], vec!["d".to_owned()]);
        let later = Back {
            kinds: [Kind::Container].into(),
            running,
            handed_over,
            swap: Some(SwapBack::Removed),
            ..Back::default()
        };
        let told = later.taking_over(Some(before.clone()));
        assert_eq!(
            (told.restored, told.took, told.swap),
            (2, Duration::from_secs(1), Some(SwapBack::Removed))
        );
        assert_eq!(told.kinds, Kind::ALL.into());
        assert_eq!(told.running, ["b", "a"]);
        assert_eq!(told.handed_over, ["d", "c"]);
        assert_eq!(before.clone().taking_over(Some(before.clone())), before);
    }
}
