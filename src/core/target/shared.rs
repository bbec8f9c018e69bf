//! Owns what it means for a stop that containers live in the namespaces of another one: whom it
//! would cut off for good, and what is started before what. Pure.
//!
//! Who lives in a network whose owner is started anew stays in the old one, without interfaces; who
//! lives in a pid namespace whose first process ends is killed with it. Volumes are nobody's
//! namespace: they outlast a stop.

use std::collections::BTreeSet;

use crate::core::{
    target::{
        command_use::Why,
        lives_in::{LivesIn, is_called},
        seen::{Listed, Seen},
        state::State,
    },
    text,
    values::MethodWish,
};

/// Why one runs on that `--keep` names.
const KEPT: &str = "it is kept";

/// A container that has processes, and where it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Its id.
    pub id: String,
    /// The name that a person knows it by.
    pub name: String,
    /// All of its names.
    names: Vec<String>,
    /// Where it lives.
    lives_in: Vec<LivesIn>,
    /// Why it cannot be stopped with the one that it lives in, in the words for a person; `None`
    /// where it only has to be selected.
    pub why_stays: Option<&'static str>,
}

impl Resident {
    /// From a look at it, where it is to run on in any case if it is kept or used by the command.
    #[must_use]
    pub fn beside(listed: &Listed, seen: &Seen, is_kept: bool, used: Option<Why>) -> Self {
        let used = used.map(Why::clause);
        Self::new(listed, seen, is_kept.then_some(KEPT).or(used))
    }

    /// From a look at it. `why_stays` is given where it is to run on in any case.
    #[must_use]
    pub fn new(listed: &Listed, seen: &Seen, why_stays: Option<&'static str>) -> Self {
        let why_stays = match seen.state {
            _ if why_stays.is_some() => why_stays,
            State::Paused => Some("it is paused already"),
            _ => seen.never_stopped,
        };
        Self {
            id: listed.id.clone(),
            name: listed.name().to_owned(),
            names: listed.names.clone(),
            lives_in: seen.lives_in.clone(),
            why_stays,
        }
    }

    fn lives_in(&self, owner: &Self) -> Option<&LivesIn> {
        self.lives_in.iter().find(|lives| is_called(&lives.of, &owner.id, &owner.names))
    }
}

/// One that a stop would cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOff<'a> {
    /// Who.
    pub who: &'a Resident,
    /// From what.
    pub what: &'static str,
}

/// Why a target is not stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared<'a> {
    /// All who live with it.
    sharers: Vec<CutOff<'a>>,
    /// Those of them who would run on without it.
    stay: Vec<CutOff<'a>>,
}

/// What becomes of one that was to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It is.
    Stopped,
    /// It is paused: nobody asked for a stop.
    Paused(Shared<'a>),
    /// It runs on.
    LeftAlone(Shared<'a>),
}

/// What the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct StopFacts<'a> {
    /// `--method`.
    pub wish: MethodWish,
    /// Whether a pause would give anything.
    pub pause_gives: bool,
    /// The ids of all that are to be stopped.
    pub stopped: &'a [String],
    /// All that have processes.
    pub all: &'a [Resident],
}

/// Decides for one that was to be stopped. `is_part`: it is stopped with its whole, and so comes back
/// as another one.
#[must_use]
pub fn fate<'a>(id: &str, is_part: bool, facts: StopFacts<'a>) -> Fate<'a> {
    let is_asked_for = facts.wish == MethodWish::Stop;
    let together = if is_asked_for { facts.stopped } else { &[] };
    match shared(id, is_part, together, facts.all) {
        None => Fate::Stopped,
        Some(shared) if is_asked_for || !facts.pause_gives => Fate::LeftAlone(shared),
        Some(shared) => Fate::Paused(shared),
    }
}

/// Whether a stop of this one would cut others off: all who live with it, but for those that are
/// stopped `together` with it. In what comes back for a part of a whole nobody lives.
fn shared<'a>(
    id: &str,
    is_part: bool,
    together: &[String],
    all: &'a [Resident],
) -> Option<Shared<'a>> {
    let sharers = sharers(id, all);
    let stays = |one: &&CutOff<'_>| is_part || !together.contains(&one.who.id);
    let stay: Vec<CutOff<'a>> = sharers.iter().filter(stays).cloned().collect();
    (!stay.is_empty()).then_some(Shared { sharers, stay })
}

/// Who lives with this one, in its own namespaces or in those of one that does: each once, the
/// nearest first.
#[must_use]
pub fn sharers<'a>(id: &str, all: &'a [Resident]) -> Vec<CutOff<'a>> {
    let mut found: Vec<CutOff<'a>> = Vec::new();
    let mut owners: Vec<&Resident> = all.iter().filter(|one| one.id == id).collect();
    let mut known: BTreeSet<&str> = owners.iter().map(|owner| owner.id.as_str()).collect();
    while let Some(owner) = owners.pop() {
        for who in all {
            if let Some(lives) = who.lives_in(owner)
                && known.insert(&who.id)
            {
                found.push(CutOff { who, what: lives.what });
                owners.push(who);
            }
        }
    }
    found
}

impl Shared<'_> {
    /// What a person is told of a target with this name: why it is not stopped, and what to type.
    /// `done` is what becomes of it.
    #[must_use]
    pub fn told(&self, name: &str, done: &str) -> (String, String) {
        let text = format!("`{}` {done}: {}", text::printable(name), self.why());
        if self.of_one_who_stays().is_some() {
            return (text, "--method pause freezes it instead, which cuts nobody off".to_owned());
        }
        let sharers = self.sharers.iter().map(|one| one.who.name.as_str());
        let words: Vec<String> = [name]
            .into_iter()
            .chain(sharers)
            .map(|name| format!("--pause {}", text::shell_word(&text::printable(name))))
            .collect();
        let hint =
            format!("{} stops them together, --method pause cuts nobody off", words.join(" "));
        (text, hint)
    }

    /// Why it is not stopped.
    #[must_use]
    pub fn why(&self) -> String {
        let stay = &self.stay;
        let names = text::names(stay.iter().map(|one| one.who.name.as_str()), 5);
        let what = stay.first().map_or("network", |one| one.what);
        let (live, them) = if stay.len() == 1 { ("lives", "it") } else { ("live", "them") };
        let aside =
            self.of_one_who_stays().map_or_else(String::new, |(one, why)| match stay.len() {
                1 => format!(" ({why})"),
                _ => format!(" (`{}`: {why})", text::printable(&one.who.name)),
            });
        format!("{names} {live} in its {what}, and a stop would cut {them} off for good{aside}")
    }

    /// One of those who run on in any case, with the reason.
    fn of_one_who_stays(&self) -> Option<(&CutOff<'_>, &'static str)> {
        self.stay.iter().find_map(|one| Some((one, one.who.why_stays?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::samples;

    fn resident(name: &str, lives_in: &[&str], is_kept: bool) -> Resident {
        let lives_in =
            lives_in.iter().map(|of| LivesIn { what: "network", of: (*of).to_owned() }).collect();
        Resident::new(
            &samples::listed(name),
            &Seen { lives_in, ..samples::seen() },
            is_kept.then_some(KEPT),
        )
    }

    fn names_of(id: &str, all: &[Resident]) -> Vec<String> {
        sharers(id, all).into_iter().map(|one| one.who.name.clone()).collect()
    }

    #[test]
    fn who_lives_with_one_is_found_by_id_and_by_name_and_through_others() {
        let all = [
            resident("vpn", &[], false),
            resident("app", &["id-of-vpn"], false),
            resident("worker", &["app", "id-of-vpn"], false),
            resident("other", &["id-of-elsewhere"], false),
            resident("own", &["own"], false),
        ];
        assert_eq!(names_of("id-of-vpn", &all), ["app", "worker"]);
        assert_eq!(names_of("id-of-app", &all), ["worker"]);
        for alone in ["id-of-worker", "id-of-other", "id-of-own", "id-of-elsewhere"] {
            assert!(names_of(alone, &all).is_empty(), "{alone}");
        }
        // A circle, which no engine makes, ends as well.
        let circle = [resident("a", &["b"], false), resident("b", &["a"], false)];
        assert_eq!(names_of("id-of-a", &circle), ["b"]);
    }

    #[test]
    fn one_is_stopped_only_together_with_all_who_live_with_it() {
        let all = [
            resident("vpn", &[], false),
            resident("app", &["vpn"], false),
            resident("worker", &["app"], false),
        ];
        let together = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("id-of-{name}")).collect()
        };
        for (id, is_part, stopped, stays) in [
            ("vpn", false, &["vpn"][..], &["app", "worker"][..]),
            ("vpn", false, &["vpn", "app"], &["worker"]),
            ("app", false, &["vpn", "app"], &["worker"]),
            ("vpn", false, &["vpn", "app", "worker"], &[]),
            ("app", false, &["vpn", "app", "worker"], &[]),
            ("worker", false, &["worker"], &[]),
            ("vpn", true, &["vpn", "app", "worker"], &["app", "worker"]),
        ] {
            let id = format!("id-of-{id}");
            let found = shared(&id, is_part, &together(stopped), &all);
            let names: Vec<&str> = found
                .iter()
                .flat_map(|found| &found.stay)
                .map(|one| one.who.name.as_str())
                .collect();
            assert_eq!(names, stays, "{id} with {stopped:?}");
        }
    }

    #[test]
    fn what_others_live_in_is_never_stopped_unless_that_was_asked_for() {
        use MethodWish::{Auto, Stop};
        let all = [resident("vpn", &[], false), resident("app", &["vpn"], false)];
        let both = ["id-of-vpn".to_owned(), "id-of-app".to_owned()];
        for (wish, stopped, pause_gives, id, expected) in [
            (Auto, &both[..], true, "id-of-vpn", "paused"),
            (Auto, &both, false, "id-of-vpn", "left alone"),
            (Auto, &both, true, "id-of-app", "stopped"),
            (Stop, &both, true, "id-of-vpn", "stopped"),
            (Stop, &both[..1], true, "id-of-vpn", "left alone"),
        ] {
            let facts = StopFacts { wish, pause_gives, stopped, all: &all };
            let found = match fate(id, false, facts) {
                Fate::Stopped => "stopped",
                Fate::Paused(_) => "paused",
                Fate::LeftAlone(_) => "left alone",
            };
            assert_eq!(found, expected, "{wish:?} of {id} with {stopped:?}");
        }
    }

    #[test]
    fn what_is_not_stopped_is_told_with_who_lives_there_and_what_to_type() {
        let told = |all: &[Resident], together: &[String]| {
            let found = shared("id-of-vpn", false, together, all).expect("it is shared");
            found.told("vpn", "is left alone")
        };
        let all = [
            resident("vpn", &[], false),
            resident("app", &["vpn"], false),
            resident("worker", &["app"], false),
        ];
        let (text, hint) = told(&all, &["id-of-worker".to_owned()]);
        assert_eq!(
            text,
            "`vpn` is left alone: `app` lives in its network, and a stop would cut it off for good"
        );
        assert_eq!(
            hint,
            "--pause vpn --pause app --pause worker stops them together, --method pause cuts \
             nobody off"
        );
        let (text, _) = told(&all, &[]);
        assert!(text.contains("`app`, `worker` live in its network"), "{text}");
        let kept = [resident("vpn", &[], false), resident("app", &["vpn"], true)];
        let (text, hint) = told(&kept, &[]);
        assert!(text.ends_with("would cut it off for good (it is kept)"), "{text}");
        assert!(hint.starts_with("--method pause"), "{hint}");
    }
}
