//! Owns the hooks: commands of the user's own that run when something happens to the room, and the
//! facts that they find in their environment. Pure; `room::hooks` runs them.

use serde::{Deserialize, Serialize};

use crate::core::{
    lease::state::LeaseState,
    run::{
        ending::{EndedBy, Ending},
        results::{Back, Room, Step},
    },
    text::printable,
    variables,
};

/// What hooks are run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is room; the build starts at the same time.
    RoomMade,
    /// Memory got short while the build runs, and a step of `--then` was taken.
    Pressure,
    /// Everything is back, as well as it could be.
    Restored,
}

impl Event {
    /// The setting that names its command, which is also what a person reads.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::RoomMade => "on_room_made",
            Self::Pressure => "on_pressure",
            Self::Restored => "on_restored",
        }
    }
}

/// The commands, each for `sh -c`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commands {
    /// `--on-room-made`.
    pub on_room_made: Option<String>,
    /// `--on-pressure`.
    pub on_pressure: Option<String>,
    /// `--on-restored`.
    pub on_restored: Option<String>,
}

impl Commands {
    /// The one for this event.
    #[must_use]
    pub fn of(&self, event: Event) -> Option<&str> {
        match event {
            Event::RoomMade => self.on_room_made.as_deref(),
            Event::Pressure => self.on_pressure.as_deref(),
            Event::Restored => self.on_restored.as_deref(),
        }
    }
}

/// Whose room it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// The lease's id.
    pub lease: String,
    /// The state directory, in which a makeroom that the hook calls finds the lease.
    pub state_dir: String,
    /// The build's program; a started lease has none.
    pub program: Option<String>,
}

/// What a hook is told. What is not known has no variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The services that this is about: the ones that are held, that the step took, or that run
    /// again.
    pub services: Vec<String>,
    /// The services that could not be brought back, and those that vanished.
    pub failed: Vec<String>,
    /// What the services gave back, in bytes.
    pub given_back_bytes: Option<u64>,
    /// MemAvailable in bytes: with room made, or when the step became due.
    pub available_bytes: Option<u64>,
    /// The pressure when the step became due: the part of the time that all tasks were stalled, in
    /// percent.
    pub pressure_percent: Option<f64>,
    /// How the build ended.
    pub ending: Option<Ending>,
}

impl Facts {
    /// When room is made.
    #[must_use]
    pub fn of_room(room: &Room) -> Self {
        Self {
            services: room.targets.iter().map(|target| target.name.clone()).collect(),
            given_back_bytes: room.given_back_bytes,
            available_bytes: room.memory.map(|memory| memory.available_bytes),
            ..Self::default()
        }
    }

    /// When a step was taken.
    #[must_use]
    pub fn of_step(step: &Step) -> Self {
        Self {
            services: step.targets.iter().map(|target| target.name.clone()).collect(),
            given_back_bytes: step.given_back_bytes,
            available_bytes: Some(step.figures.available_bytes),
            pressure_percent: step.figures.pressure_percent,
            ..Self::default()
        }
    }

    /// When everything is back. `None` where nothing is, because another lease needs all of it: the
    /// last one out tells its own hook. `held` is what the lease had before.
    #[must_use]
    pub fn of_back(held: &LeaseState, back: &Back, ending: Option<Ending>) -> Option<Self> {
        let failed = back.failed.iter().map(|(name, _)| name.clone());
        let failed: Vec<String> = failed.chain(back.vanished().map(str::to_owned)).collect();
        if !back.handed_over.is_empty() && back.running.is_empty() && failed.is_empty() {
            return None;
        }
        let name = |id: &String| Some(held.targets.get(id)?.target.name.clone());
        Some(Self {
            services: back.running.iter().filter_map(name).collect(),
            failed,
            ending,
            ..Self::default()
        })
    }

    /// The variables that a hook finds. They are facts: no shell reads them unless the hook makes
    /// it.
    #[must_use]
    pub fn variables(&self, event: Event, whose: &Whose) -> Vec<(&'static str, String)> {
        let names = |names: &[String]| {
            names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(" ")
        };
        let ended_by: Option<EndedBy> = self.ending.and_then(|ending| ending.ended_by);
        let happened = event.setting().trim_start_matches("on_").to_owned();
        let variables = [
            (variables::EVENT, Some(happened)),
            (variables::LEASE, Some(whose.lease.clone())),
            (variables::STATE_DIR, Some(whose.state_dir.clone())),
            (variables::PROGRAM, whose.program.as_deref().map(printable)),
            (variables::SERVICES, Some(names(&self.services))),
            (
                variables::NOT_RESTORED,
                Some(names(&self.failed)).filter(|_| event == Event::Restored),
            ),
            (variables::GIVEN_BACK_BYTES, self.given_back_bytes.map(|bytes| bytes.to_string())),
            (variables::AVAILABLE_BYTES, self.available_bytes.map(|bytes| bytes.to_string())),
            (
                variables::PRESSURE_PERCENT,
                self.pressure_percent.map(|percent| format!("{percent:.1}")),
            ),
            (variables::EXIT, self.ending.map(|ending| ending.exit.code().to_string())),
            (variables::ENDED_BY, ended_by.map(|by| by.word().to_owned())),
        ];
        variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        lease::state::HeldTarget,
        run::exit::Exit,
        target::{method::Method, recorded::Target, samples},
    };

    fn whose(program: Option<&str>) -> Whose {
        Whose {
            lease: "l".to_owned(),
            state_dir: "/s".to_owned(),
            program: program.map(str::to_owned),
        }
    }

    fn held(ids: &[&str]) -> LeaseState {
        let target = |id: &&str| Target {
            id: (*id).to_owned(),
            name: format!("name-{id}"),
            ..samples::target(id)
        };
        let targets =
            ids.iter().map(|id| ((*id).to_owned(), HeldTarget::held(target(id), Method::Pause)));
        LeaseState { targets: targets.collect(), ..LeaseState::default() }
    }

    #[test]
    fn a_hook_finds_the_facts_that_are_known_and_no_variable_for_those_that_are_not() {
        let facts = Facts {
            services: vec!["a".to_owned(), "b".to_owned()],
            given_back_bytes: Some(7),
            ..Facts::default()
        };
        let found = facts.variables(Event::RoomMade, &whose(Some("pnpm")));
        let expected = [
            ("MAKEROOM_EVENT", "room_made"),
            ("MAKEROOM_LEASE", "l"),
            ("MAKEROOM_STATE_DIR", "/s"),
            ("MAKEROOM_PROGRAM", "pnpm"),
            ("MAKEROOM_SERVICES", "a b"),
            ("MAKEROOM_GIVEN_BACK_BYTES", "7"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
        for (exit, by, code, word) in [
            (Exit::Code(7), None, "7", None),
            (Exit::Signal(9), None, "137", None),
            (Exit::Code(0), Some(EndedBy::Interrupt), "0", Some("interrupt")),
            (Exit::Code(0), Some(EndedBy::Timeout), "124", Some("timeout")),
            (Exit::Signal(9), Some(EndedBy::Thrash), "124", Some("thrash")),
        ] {
            let ended = Facts { ending: Some(Ending::of(exit, by)), ..Facts::default() };
            let found = ended.variables(Event::Restored, &whose(None));
            let by = word.map(|word| ("MAKEROOM_ENDED_BY", word));
            let expected = [
                ("MAKEROOM_EVENT", "restored"),
                ("MAKEROOM_LEASE", "l"),
                ("MAKEROOM_STATE_DIR", "/s"),
                ("MAKEROOM_SERVICES", ""),
                ("MAKEROOM_NOT_RESTORED", ""),
                ("MAKEROOM_EXIT", code),
            ];
            let expected = expected.into_iter().chain(by);
            let expected: Vec<_> = expected.map(|(name, value)| (name, value.to_owned())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_name_from_outside_cannot_end_a_variable() {
        let facts = Facts { services: vec!["a\0b\n".to_owned()], ..Facts::default() };
        let found = facts.variables(Event::RoomMade, &whose(Some("x\0")));
        assert!(found.iter().all(|(_, value)| !value.contains(['\0', '\n'])), "{found:?}");
    }

    #[test]
    fn what_another_lease_still_needs_is_not_back() {
        let held = held(&["a", "b"]);
        let facts = |handed_over: &[&str], running: &[&str], failed: &[&str]| {
            let handed_over = handed_over.iter().map(ToString::to_string).collect();
            let running = running.iter().map(ToString::to_string).collect();
            let failed = failed.iter().map(|name| ((*name).to_owned(), "500".to_owned())).collect();
            Facts::of_back(&held, &Back { running, handed_over, failed, ..Back::default() }, None)
        };
        let of = |services: &[&str], failed: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            Some(Facts { services: owned(services), failed: owned(failed), ..Facts::default() })
        };
        assert_eq!(facts(&[], &["a", "b"], &[]), of(&["name-a", "name-b"], &[]));
        assert_eq!(facts(&["a"], &["b"], &[]), of(&["name-b"], &[]));
        assert_eq!(facts(&["a"], &[], &["name-b"]), of(&[], &["name-b"]));
        assert_eq!(
            facts(&[], &[], &[]),
            of(&[], &[]),
            "a build without targets has a beginning and an end as well"
        );
        assert_eq!(facts(&["a", "b"], &[], &[]), None);
    }
}
