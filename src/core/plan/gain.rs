//! Owns whether a target is worth taking at all: one whose pause would free nothing is stopped where
//! it may be, and left alone otherwise, each with the reason. Pure.

use crate::core::{
    machine::cgroup::{Cgroup, Measured, READ_ONLY},
    target::method::{Method, MethodFacts, WORTH_STOPPING_BYTES},
    values::MethodWish,
};

/// What there is for pushing memory out.
#[derive(Clone, Copy, Debug)]
pub struct PushOut<'a> {
    /// The host, where its targets are seen.
    pub host: Option<&'a Measured>,
    /// Whether there is a way to be root on it.
    pub has_root: bool,
    /// The swap that is free, or will be.
    pub swap_free_bytes: u64,
}

impl PushOut<'_> {
    /// Why nobody's memory can be pushed out; `None` where it can.
    #[must_use]
    pub fn why_closed(&self) -> Option<&'static str> {
        match self.host {
            None => Some("its memory is not seen from here"),
            Some(_) if !self.has_root => Some("only root can push its memory out"),
            Some(host) if host.is_read_only => Some(READ_ONLY),
            Some(_) if self.swap_free_bytes == 0 => Some("there is no free swap"),
            Some(_) => None,
        }
    }

    /// Why a pause of this target would free nothing; `None` where it would. Below what is worth
    /// stopping nothing is at stake: it is paused beside the others.
    #[must_use]
    pub fn why_nothing(&self, target: &Holding<'_>) -> Option<&'static str> {
        if target.bytes.is_some_and(|bytes| bytes < WORTH_STOPPING_BYTES) {
            return None;
        }
        let of_cgroup = |cgroup: &Cgroup| {
            // What the kernel itself holds for a target never leaves.
            let is_nothing = cgroup.swappable_bytes() < cgroup.own_bytes() / NOTHING_PART;
            cgroup.why_it_stays().filter(|_| is_nothing)
        };
        self.why_closed().or_else(|| target.cgroup.and_then(of_cgroup))
    }
}

/// Less than this part of a target's memory is nothing.
const NOTHING_PART: u64 = 10;

/// What is known of a target's size.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// Its cgroup, where that is seen.
    pub cgroup: Option<&'a Cgroup>,
    /// What it holds: by its cgroup, or else in the engine's words.
    pub bytes: Option<u64>,
}

/// What becomes of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It is taken by this method.
    Take(Method),
    /// It is stopped, because a pause would free nothing.
    StopFor(&'static str),
    /// It is left alone: a pause would free nothing, and a stop is not for it.
    Leave {
        /// Why a pause would free nothing.
        why: &'static str,
        /// Why it is not stopped.
        not_stopped: &'static str,
    },
}

/// Weighs a method that was chosen for a target. Asked for by name, a pause is one, whatever it
/// frees. `never_stopped` is why it would not come back from a stop.
#[must_use]
pub fn weigh(
    facts: MethodFacts,
    method: Method,
    push_out: &PushOut<'_>,
    target: &Holding<'_>,
    never_stopped: Option<&'static str>,
) -> Worth {
    if method == Method::Stop && facts.wish == MethodWish::Auto && !facts.no_reclaim {
        return push_out.why_closed().map_or(Worth::Take(method), Worth::StopFor);
    }
    if method == Method::Stop || facts.wish == MethodWish::Pause || facts.no_reclaim {
        return Worth::Take(method);
    }
    let Some(why) = push_out.why_nothing(target) else { return Worth::Take(method) };
    match (never_stopped, target.bytes) {
        (Some(not_stopped), _) => Worth::Leave { why, not_stopped },
        (None, None) => Worth::Leave { why, not_stopped: "how much it holds is not known" },
        (None, Some(_)) => Worth::StopFor(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn cgroup() -> Cgroup {
        Cgroup {
            used_bytes: 100 * MIB,
            unevictable_bytes: 0,
            cache_bytes: 0,
            swap_limit_bytes: None,
            swappiness: Some(60),
            swapped_bytes: 0,
        }
    }

    fn facts(wish: MethodWish) -> MethodFacts {
        MethodFacts { wish, no_reclaim: false, swap_free_bytes: 0, targets_bytes: None }
    }

    #[test]
    fn nothing_can_be_pushed_out_of_what_is_not_seen_without_root_or_swap_or_where_nobody_may_write()
     {
        let seen = Measured::default();
        let read_only = Measured { is_read_only: true, ..Measured::default() };
        let open = PushOut { host: Some(&seen), has_root: true, swap_free_bytes: 1 };
        for (push_out, expected) in [
            (open, None),
            (PushOut { host: None, ..open }, Some("not seen")),
            (PushOut { has_root: false, ..open }, Some("root")),
            (PushOut { host: Some(&read_only), ..open }, Some("read-only")),
            (PushOut { swap_free_bytes: 0, ..open }, Some("no free swap")),
        ] {
            let why = push_out.why_closed();
            assert_eq!(why.is_some(), expected.is_some(), "{push_out:?}");
            assert!(why.unwrap_or_default().contains(expected.unwrap_or_default()), "{why:?}");
        }
    }

    #[test]
    fn what_a_pause_would_free_nothing_of_is_stopped_or_left_alone_with_the_reason() {
        use Method::{Pause, Stop};
        let seen = Measured::default();
        let open = PushOut { host: Some(&seen), has_root: true, swap_free_bytes: MIB };
        let blind = PushOut { host: None, ..open };
        let locked = Cgroup { unevictable_bytes: 99 * MIB, ..cgroup() };
        let half = Cgroup { unevictable_bytes: 60 * MIB, ..cgroup() };
        let never = Some("--rm");
        let by = |push_out, cgroup: Option<Cgroup>, bytes, method, wish, never| {
            let target = Holding { cgroup: cgroup.as_ref(), bytes };
            match weigh(facts(wish), method, &push_out, &target, never) {
                Worth::Take(Pause) => "pause",
                Worth::Take(Stop) => "stop",
                Worth::StopFor(_) => "stop instead",
                Worth::Leave { .. } => "leave",
            }
        };
        let (auto, large) = (MethodWish::Auto, Some(100 * MIB));
        for (found, expected, why) in [
            (by(open, Some(cgroup()), large, Pause, auto, None), "pause", "it can leave"),
            (by(open, Some(cgroup()), large, Stop, auto, None), "stop", "swap is short"),
            (
                by(PushOut { swap_free_bytes: 0, ..open }, Some(cgroup()), large, Stop, auto, None),
                "stop instead",
                "there is no swap",
            ),
            (by(open, Some(locked.clone()), large, Pause, auto, None), "stop instead", "locked"),
            (by(open, Some(locked.clone()), large, Pause, auto, never), "leave", "and --rm"),
            (by(open, Some(half), large, Pause, auto, None), "pause", "half of it can leave"),
            (
                by(open, Some(locked), large, Pause, MethodWish::Pause, None),
                "pause",
                "asked for by name",
            ),
            (
                by(
                    open,
                    Some(Cgroup { swappiness: Some(0), ..cgroup() }),
                    large,
                    Pause,
                    auto,
                    None,
                ),
                "stop instead",
                "swappiness 0",
            ),
            (
                by(
                    open,
                    Some(Cgroup { swap_limit_bytes: Some(0), ..cgroup() }),
                    large,
                    Pause,
                    auto,
                    never,
                ),
                "leave",
                "no swap allowed",
            ),
            (by(blind, None, large, Pause, auto, None), "stop instead", "not seen"),
            (by(blind, None, large, Pause, MethodWish::Stop, never), "leave", "it may not stop"),
            (by(blind, None, None, Pause, auto, None), "leave", "its size is not known"),
            (by(blind, None, Some(MIB), Pause, auto, never), "pause", "nothing is at stake"),
        ] {
            assert_eq!(found, expected, "{why}");
        }
        let no_reclaim = MethodFacts { no_reclaim: true, ..facts(auto) };
        let target = Holding { cgroup: None, bytes: large };
        assert_eq!(weigh(no_reclaim, Pause, &blind, &target, None), Worth::Take(Pause));
    }
}
