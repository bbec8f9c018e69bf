//! Owns which containers become targets and by which method. Pure.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::core::{
    target::{healthcheck::Probe, selector::Selector, swarm},
    text,
    values::MethodWish,
};

/// Compose's label with what a service depends on: `service:condition:restart,…`.
pub const COMPOSE_DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// Podman's label with the systemd unit that a container is of (podman-generate-systemd(1), podman-systemd.unit(5)).
/// Ending the container ends the unit, or has systemd start another one, so it is never stopped.
pub const SYSTEMD_UNIT: &str = "PODMAN_SYSTEMD_UNIT";

/// What a container is doing, as far as makeroom has to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Its processes run.
    Running,
    /// Its processes are frozen.
    Paused,
    /// The engine is about to start it again.
    Restarting,
    /// It has no processes: created, exited, dead or being removed.
    Stopped,
}

/// A container as the engine's list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The full id, 64 hexadecimal digits.
    pub id: String,
    /// Its names, without the engine's leading slash.
    pub names: Vec<String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// What it was doing when the list was made.
    pub activity: Activity,
    /// Its ports as the host knows them.
    pub ports: Vec<u16>,
}

impl Listed {
    /// Whether it holds memory.
    #[must_use]
    pub fn has_processes(&self) -> bool {
        matches!(self.activity, Activity::Running | Activity::Paused)
    }

    /// The name that a person knows it by.
    #[must_use]
    pub fn name(&self) -> &str {
        // A legacy link adds names of the form `other/alias`; the container's own has no slash.
        self.names
            .iter()
            .find(|name| !name.contains('/'))
            .or(self.names.first())
            .map_or(&self.id, |name| name)
    }
}

/// What an engine lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The containers, in its order.
    pub containers: Vec<Listed>,
    /// What it lists beside them and cannot be read: a name, where there is one.
    pub unreadable: Vec<Option<String>>,
}

impl Listing {
    /// What a person has to know of it.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let known: Vec<&str> = self.unreadable.iter().flatten().map(String::as_str).collect();
        let names =
            if known.is_empty() { String::new() } else { format!(": {}", text::names(known, 5)) };
        let (count, these) = match self.unreadable.len() {
            0 => return None,
            1 => ("1 container".to_owned(), "it is"),
            count => (text::count(count, "container"), "they are"),
        };
        Some(format!("the engine lists {count} without an id, and {these} left alone{names}"))
    }
}

/// The engine's word for a container that was never started: the zero of its clock (Go, `time.Time`).
const NEVER: &str = "0001-01-01T00:00:00";

/// Whether an engine has said at all when a container was started.
#[must_use]
pub fn is_known_start(started_at: &str) -> bool {
    !started_at.is_empty() && !started_at.starts_with(NEVER)
}

/// Whether these two are, as far as is known, one incarnation of a container. What the engine does not say is not another
/// one: what is taken for somebody else's is never put back.
#[must_use]
pub fn is_same_start(held: &str, now: &str) -> bool {
    held == now || !is_known_start(held) || !is_known_start(now)
}

/// A container as the engine's inspection has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// What it was doing at that moment.
    pub activity: Activity,
    /// When it was last started, in the engine's own words: compared with [`is_same_start`], never computed with.
    pub started_at: String,
    /// Its first process on the engine's kernel; 0 where it has none.
    pub pid: i32,
    /// It disappears when it stops (`--rm`).
    pub auto_remove: bool,
    /// How long it is given to stop; `None`: for ever.
    pub stop_patience: Option<Duration>,
    /// The port that its log driver sends to.
    pub log_port: Option<u16>,
    /// Its health check was content when it was last asked.
    pub is_healthy: bool,
    /// That check.
    pub probe: Option<Probe>,
}

/// Which of the listed containers are meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Indices into the list, in its order.
    pub chosen: Vec<usize>,
    /// Selectors of `--pause` that match no container at all.
    pub unmatched: Vec<String>,
    /// Those of which `--keep` leaves nothing.
    pub kept: Vec<String>,
}

/// Applies `--pause` and `--keep` to a list; what is kept wins.
#[must_use]
pub fn choose(listed: &[Listed], pause: &[Selector], keep: &[Selector]) -> Choice {
    let matches = |selector: &Selector, container: &Listed| {
        selector.matches(&container.names, &container.labels)
    };
    let any = |selectors: &[Selector], container: &Listed| {
        selectors.iter().any(|selector| matches(selector, container))
    };
    let kept: Vec<bool> = listed.iter().map(|container| any(keep, container)).collect();
    let chosen =
        (0..listed.len()).filter(|&index| !kept[index] && any(pause, &listed[index])).collect();
    let mut choice = Choice { chosen, ..Choice::default() };
    for selector in pause {
        let mut meant =
            (0..listed.len()).filter(|&index| matches(selector, &listed[index])).peekable();
        if meant.peek().is_none() {
            choice.unmatched.push(selector.to_string());
        } else if meant.all(|index| kept[index]) {
            choice.kept.push(selector.to_string());
        }
    }
    choice
}

/// How a target makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Frozen, its memory pushed out to swap.
    Pause,
    /// Ended, and started again later.
    Stop,
}

impl Method {
    /// Says what a target is that was taken with it: "paused".
    #[must_use]
    pub fn participle(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Stop => "stopped",
        }
    }
}

/// What the choice of a method rests on.
#[derive(Clone, Copy, Debug)]
pub struct MethodFacts {
    /// `--method`.
    pub wish: MethodWish,
    /// `--no-reclaim`.
    pub no_reclaim: bool,
    /// Free swap in bytes.
    pub swap_free_bytes: u64,
    /// The memory of all targets in bytes; `None` where it cannot be read.
    pub targets_bytes: Option<u64>,
}

/// Below this a stop has nothing to give: the service would lose its state for less than the
/// engine needs to start it again.
pub const WORTH_STOPPING_BYTES: u64 = 8 << 20;

/// The method for one target.
#[must_use]
pub fn method(facts: MethodFacts, target_bytes: Option<u64>, comes_back: bool) -> Method {
    if !comes_back {
        return Method::Pause;
    }
    let stop = match facts.wish {
        MethodWish::Pause => false,
        MethodWish::Stop => true,
        // Pausing is all that is wanted.
        MethodWish::Auto if facts.no_reclaim => false,
        MethodWish::Auto => {
            // What cannot be measured is not a reason to end a service.
            facts.targets_bytes.is_some_and(|bytes| bytes > facts.swap_free_bytes)
                && target_bytes.is_some_and(|bytes| bytes >= WORTH_STOPPING_BYTES)
        }
    };
    if stop { Method::Stop } else { Method::Pause }
}

/// Whether a container that was stopped can be started again as the same one. A Swarm task cannot, but where `scalable`
/// says so of its service's id, the service can be scaled to 0 and back.
#[must_use]
pub fn comes_back(listed: &Listed, now: &Inspected, scalable: impl Fn(&str) -> bool) -> bool {
    why_never_stopped(listed, now, scalable).is_none()
}

/// Why it cannot; in the words for a person who wanted it stopped.
#[must_use]
pub fn why_never_stopped(
    listed: &Listed,
    now: &Inspected,
    scalable: impl Fn(&str) -> bool,
) -> Option<&'static str> {
    if now.auto_remove {
        Some("the engine removes it when it ends (--rm)")
    } else if listed.labels.contains_key(SYSTEMD_UNIT) {
        Some("its systemd unit would end with it, or start another one")
    } else if listed.labels.contains_key(swarm::TASK)
        && !swarm::service_of(listed).is_some_and(scalable)
    {
        Some("Swarm would start another one in its place")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str) -> Listed {
        Listed {
            id: name.repeat(3),
            names: vec![name.to_owned()],
            labels: HashMap::new(),
            activity: Activity::Running,
            ports: vec![],
        }
    }

    fn selectors(texts: &[&str]) -> Vec<Selector> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn keep_wins_over_pause_and_what_matches_nothing_is_named() {
        let all = [listed("mon-a"), listed("mon-b"), listed("web")];
        let choice =
            choose(&all, &selectors(&["mon-*", "absent", "web"]), &selectors(&["mon-b", "re:^w"]));
        assert_eq!(
            choice,
            Choice {
                chosen: vec![0],
                unmatched: vec!["absent".to_owned()],
                kept: vec!["web".to_owned()]
            }
        );
    }

    #[test]
    fn only_two_starts_that_are_known_and_differ_are_two_incarnations() {
        let (never, first, second) =
            ("0001-01-01T00:00:00Z", "2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.2Z");
        for (held, now, expected) in [
            (first, first, true),
            (first, second, false),
            (first, "", true),
            ("", first, true),
            (first, never, true),
            (never, second, true),
            ("", "", true),
        ] {
            assert_eq!(is_same_start(held, now), expected, "{held:?} and {now:?}");
        }
        assert!(is_known_start(first) && !is_known_start("") && !is_known_start(never));
    }

    #[test]
    fn a_container_that_two_selectors_name_is_chosen_once() {
        assert_eq!(choose(&[listed("a")], &selectors(&["a", "*"]), &[]).chosen, [0]);
    }

    #[test]
    fn the_name_shown_is_the_containers_own_and_not_a_links() {
        let linked = Listed { names: vec!["proxy/db".to_owned(), "db".to_owned()], ..listed("x") };
        assert_eq!(linked.name(), "db");
        assert_eq!(Listed { names: vec![], ..listed("x") }.name(), "xxx");
    }

    #[test]
    fn the_method_follows_the_wish_the_free_swap_and_what_comes_back() {
        use Method::{Pause, Stop};
        const MIB: u64 = 1 << 20;
        let auto = MethodFacts {
            wish: MethodWish::Auto,
            no_reclaim: false,
            swap_free_bytes: 100 * MIB,
            targets_bytes: Some(100 * MIB),
        };
        let short = MethodFacts { targets_bytes: Some(101 * MIB), ..auto };
        for (facts, target, comes_back, expected, why) in [
            (auto, Some(50 * MIB), true, Pause, "swap holds all"),
            (short, Some(50 * MIB), true, Stop, "swap is short"),
            (short, Some(50 * MIB), false, Pause, "it would not come back"),
            (short, Some(MIB), true, Pause, "it has nothing worth a stop"),
            (short, None, true, Pause, "its memory is not known"),
            (
                MethodFacts { targets_bytes: None, ..auto },
                Some(50 * MIB),
                true,
                Pause,
                "nothing is known",
            ),
            (MethodFacts { no_reclaim: true, ..short }, Some(50 * MIB), true, Pause, "pause only"),
            (
                MethodFacts { wish: MethodWish::Stop, no_reclaim: true, ..short },
                Some(50 * MIB),
                true,
                Stop,
                "asked for by name",
            ),
            (
                MethodFacts { wish: MethodWish::Pause, ..short },
                Some(50 * MIB),
                true,
                Pause,
                "asked for",
            ),
            (MethodFacts { wish: MethodWish::Stop, ..auto }, Some(0), true, Stop, "asked for"),
            (
                MethodFacts { wish: MethodWish::Stop, ..auto },
                Some(50 * MIB),
                false,
                Pause,
                "never stopped",
            ),
        ] {
            assert_eq!(method(facts, target, comes_back), expected, "{why}");
        }
    }

    #[test]
    fn what_is_removed_on_exit_or_replaced_by_a_swarm_does_not_come_back() {
        let now = |auto_remove| Inspected {
            activity: Activity::Running,
            started_at: String::new(),
            pid: 1,
            auto_remove,
            stop_patience: Some(Duration::from_secs(10)),
            log_port: None,
            is_healthy: false,
            probe: None,
        };
        let with = |label: &str| Listed {
            labels: HashMap::from([(label.to_owned(), "x".to_owned())]),
            ..listed("a")
        };
        let any = |_: &str| true;
        assert!(comes_back(&listed("a"), &now(false), any));
        assert!(!comes_back(&listed("a"), &now(true), any));
        assert!(!comes_back(&with(SYSTEMD_UNIT), &now(false), any));
        let mut task = with(swarm::TASK);
        assert!(!comes_back(&task, &now(false), any), "of no service");
        task.labels.insert(swarm::SERVICE.to_owned(), "s".to_owned());
        assert!(comes_back(&task, &now(false), |service| service == "s"));
        assert!(!comes_back(&task, &now(false), |_| false));
    }
}
