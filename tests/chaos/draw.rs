//! Owns drawing a round from its seed. Pure: a seed gives the same round on each machine.

use crate::{
    plan::{
        Before, Build, Command, FEATURES, Fault, Habit, Round, Service, SlowStop, Stranger,
        Surroundings, Victim, When,
    },
    random::Random,
    support::{proxy::Moment, stalled::Kind},
};

/// One round in so many may take tens of seconds.
pub const ONE_IS_SLOW: u64 = 10;
/// The kinds of calls at which something can happen.
const CALLS: [&str; 6] = ["list", "inspect", "pause", "stop", "unpause", "start"];

/// Whether this seed's round may take tens of seconds: one of the ten that its own is one of.
#[must_use]
pub fn is_slow(seed: u64) -> bool {
    Random::new(seed / ONE_IS_SLOW).below(ONE_IS_SLOW) == seed % ONE_IS_SLOW
}

impl Round {
    /// The round of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let (mut random, is_slow) = (Random::new(seed), is_slow(seed));
        let services: Vec<_> =
            (0..random.between(2, 6)).map(|_| service(&mut random, is_slow)).collect();
        let number = random.pick(&[1, 1, 2, 3]);
        let commands: Vec<_> =
            (0..number).map(|_| (random.below(500), command(&mut random))).collect();
        let count = random.pick(&[0, 1, 1, 2, 2, 3, 3, 4, 5]);
        let mut faults: Vec<_> =
            (0..count).map(|_| fault(&mut random, &services, &commands, is_slow)).collect();
        if is_slow {
            // What is late is of interest where somebody has stopped waiting for it.
            let call = random.pick(&["pause", "stop"]);
            let held = Fault::Late { held_ms: random.between(6000, 20_000) };
            faults.push((
                When::AtCall { call, nth: random.index(2) + 1, moment: Moment::Before },
                held,
            ));
            let victim =
                random.pick(&[Victim::Supervisor, Victim::Keeper, Victim::Both, Victim::Group]);
            let signal = random.pick(&[libc::SIGKILL, libc::SIGTERM, libc::SIGINT]);
            faults.push((
                When::At(random.between(300, 2500)),
                Fault::Signal {
                    command: random.index(commands.len()),
                    victim,
                    signal,
                    frozen_ms: 0,
                },
            ));
        }
        let stranger = random.percent(10).then(|| Stranger {
            has_state: random.percent(30),
            has_swap: random.percent(50),
            comes_late: random.percent(60),
        });
        let (is_project, live_restore) = (random.percent(50), random.percent(50));
        let mut round = Self { services, is_project, live_restore, commands, faults, stranger };
        round.settle(is_slow);
        round
    }

    /// Takes out what does not go together.
    fn settle(&mut self, is_slow: bool) {
        if self.leaves_the_engine_away() {
            // It ends once.
            self.faults.retain(|(_, fault)| !matches!(fault, Fault::Engine { .. }));
            let first =
                self.faults.iter().position(|(_, fault)| matches!(fault, Fault::EngineStaysAway));
            let mut index = 0;
            self.faults.retain(|(_, fault)| {
                index += 1;
                !matches!(fault, Fault::EngineStaysAway) || Some(index - 1) == first
            });
        }
        let is_endless =
            |service: &Service| service.slow_stop.is_some_and(|stop| stop.timeout == Some(-1));
        if self.services.iter().any(is_endless) {
            // Who asks for a stop without a limit and never hears of it waits without a limit.
            self.faults.retain(|(_, fault)| !fault.cuts_calls());
        }
        if self.stranger.is_some_and(|stranger| stranger.has_state) {
            // Nobody moves what a disk is mounted on.
            self.faults.retain(|(_, fault)| !matches!(fault, Fault::FullDisk { .. }));
        }
        if !is_slow {
            // An engine that ends over a stop has it waited for until the container's time and a
            // margin are over.
            self.faults.retain(|(when, fault)| {
                !(fault.cuts_calls() && matches!(when, When::AtCall { call: "stop", .. }))
            });
        }
    }
}

fn service(random: &mut Random, is_slow: bool) -> Service {
    let auto_remove = random.percent(15);
    let before = if auto_remove {
        Before::Running
    } else {
        random.pick(&[
            Before::Running,
            Before::Running,
            Before::Running,
            Before::Running,
            Before::Paused,
            Before::Stopped,
        ])
    };
    let stops_slowly = before == Before::Running && random.percent(if is_slow { 60 } else { 20 });
    let slow_stop = stops_slowly.then(|| {
        if is_slow {
            SlowStop {
                takes_ms: random.between(5000, 12_000),
                timeout: random.pick(&[None, Some(-1), Some(3), Some(30)]),
            }
        } else {
            SlowStop {
                takes_ms: random.between(300, 2500),
                timeout: random.pick(&[None, Some(1), Some(15)]),
            }
        }
    });
    Service {
        // The engine refuses the two together.
        policy: if auto_remove {
            "no"
        } else {
            random.pick(&["no", "on-failure", "unless-stopped", "always"])
        },
        auto_remove,
        has_health_check: random.percent(30),
        before,
        slow_stop,
    }
}

fn command(random: &mut Random) -> Command {
    let method = random.pick(&[&["--method", "pause"][..], &["--method", "stop"], &[]]);
    let swap = random.pick(&[&["--swap", "off"][..], &["--swap", "off"], &["--swap", "16MiB"]]);
    let options = [method, swap].concat();
    let kinds = [Kind::Pipe, Kind::Terminal, Kind::StoppedTerminal, Kind::Socket];
    let surroundings = Surroundings {
        full_stderr: random.percent(15).then(|| random.pick(&kinds)),
        files: random.percent(6).then(|| random.between(26, 40)),
    };
    match random.below(10) {
        0..6 => {
            let feature = if random.percent(40) { random.pick(&FEATURES) } else { &[] };
            let timeout_ms = random.percent(15).then(|| random.between(100, 800));
            Command::Run {
                options: [options.as_slice(), feature].concat(),
                is_guarded: random.percent(20),
                build: Build {
                    takes_ms: if timeout_ms.is_some() { 6000 } else { random.between(50, 1250) },
                    timeout_ms,
                    ignores_signals: random.percent(20),
                    habit: random.pick(&[
                        Habit::Plain,
                        Habit::Plain,
                        Habit::Plain,
                        Habit::Plain,
                        Habit::Plain,
                        Habit::LeavesOne,
                        Habit::LeavesAnOrphan,
                        Habit::IsStopped,
                    ]),
                },
                surroundings,
            }
        }
        6..9 => {
            // A `stop` within some milliseconds races with its `start`.
            let held_ms =
                if random.percent(30) { random.below(100) } else { random.between(100, 1300) };
            Command::Start {
                options,
                name: random.pick(&["ci", "ci", "ci", "nightly"]),
                held_ms,
                surroundings,
            }
        }
        _ => Command::Recover,
    }
}

fn fault(
    random: &mut Random,
    services: &[Service],
    commands: &[(u64, Command)],
    is_slow: bool,
) -> (When, Fault) {
    let (service, command) = (random.index(services.len()), random.index(commands.len()));
    let victim = random.pick(&[Victim::Supervisor, Victim::Keeper, Victim::Both, Victim::Group]);
    let frozen_ms = random.between(50, 750);
    let moment = random.pick(&[Moment::Before, Moment::After]);
    let at_call =
        When::AtCall { call: random.pick(&CALLS), nth: random.pick(&[1, 1, 2, 3]), moment };
    // Every other one while room is being made, or soon after.
    let at = When::At(if random.percent(50) {
        commands[command].0 + random.below(400)
    } else {
        random.below(1500)
    });
    let when = if random.percent(25) { at_call } else { at };
    let most_ms = if is_slow { 18_000 } else { 2500 };
    match random.below(32) {
        0..7 => (when, Fault::Signal { command, victim, signal: libc::SIGKILL, frozen_ms }),
        7..10 => (
            when,
            Fault::Signal {
                command,
                victim,
                signal: random.pick(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP]),
                frozen_ms,
            },
        ),
        10..13 => (when, Fault::Signal { command, victim, signal: libc::SIGSTOP, frozen_ms }),
        13..16 => (
            when,
            Fault::Engine { signal: random.pick(&["TERM", "KILL"]), down_ms: random.below(1000) },
        ),
        16 => (when, Fault::Remove { service }),
        17 => (when, Fault::Recreate { service }),
        18..20 => (when, Fault::FullDisk { full_ms: random.between(50, 750) }),
        20..23 => (when, Fault::Hand { service, verb: random.pick(&["unpause", "start", "stop"]) }),
        23 => (at, Fault::Clock { seconds: random.pick(&[-7200, -60, 60, 7200]) }),
        24..26 => (
            when,
            Fault::KeepersInARow { command, count: random.index(6) + 2, gap_ms: random.below(250) },
        ),
        26..28 => {
            let victim = random.pick(&[Victim::Supervisor, Victim::Keeper, Victim::Keeper]);
            (when, Fault::NoFiles { command, victim, for_ms: random.between(50, 1500) })
        }
        28..31 => (at_call, Fault::Late { held_ms: random.between(most_ms / 10, most_ms) }),
        _ => (when, Fault::EngineStaysAway),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rounds() -> Vec<Round> {
        (0..500).map(Round::of).collect()
    }

    #[test]
    fn a_seed_gives_the_same_round_each_time_and_another_seed_another_one() {
        let told = |seed| format!("{:?}", Round::of(seed));
        assert_eq!(told(7), told(7));
        assert_ne!(told(7), told(8));
    }

    #[test]
    fn each_fault_comes_up() {
        let rounds = rounds();
        let features: BTreeSet<_> = rounds
            .iter()
            .flat_map(|round| &round.commands)
            .flat_map(|(_, command)| command.features())
            .collect();
        // Besides: --then, --timeout, three habits, four kinds of stderr, few files.
        assert_eq!(features.len(), FEATURES.len() + 10, "{features:?}");
        let all = format!("{rounds:?}");
        for name in [
            "Signal",
            "Engine {",
            "Remove",
            "Recreate",
            "unpause",
            "start",
            "stop",
            "FullDisk",
            "Clock",
            "Supervisor",
            "Keeper",
            "Both",
            "Group",
            "Recover",
            "Start",
            "Paused",
            "Stopped",
            "KeepersInARow",
            "NoFiles",
            "Late",
            "EngineStaysAway",
            "timeout: Some(-1)",
            "has_state: true",
            "has_swap: true",
            "comes_late: true",
            "comes_late: false",
        ] {
            assert!(all.contains(name), "{name}");
        }
        let at_calls: BTreeSet<_> = rounds
            .iter()
            .flat_map(|round| &round.faults)
            .filter_map(|(when, fault)| match when {
                When::AtCall { call, .. }
                    if matches!(
                        fault,
                        Fault::FullDisk { .. } | Fault::Signal { .. } | Fault::Late { .. }
                    ) =>
                {
                    Some(*call)
                }
                When::At(_) | When::AtCall { .. } => None,
            })
            .collect();
        assert_eq!(at_calls, BTreeSet::from(CALLS));
    }

    #[test]
    fn one_round_in_ten_may_be_slow_and_no_other() {
        for first in (0..500).step_by(10) {
            assert_eq!(
                (first..first + ONE_IS_SLOW).filter(|seed| is_slow(*seed)).count(),
                1,
                "{first}"
            );
        }
        for (seed, round) in (0..).zip(rounds()).filter(|(seed, _)| !is_slow(*seed)) {
            let is_long = |service: &Service| {
                service
                    .slow_stop
                    .is_some_and(|stop| stop.takes_ms > 3000 || stop.timeout == Some(-1))
            };
            assert!(
                !round.services.iter().any(is_long)
                    && !round.has(|fault| matches!(fault, Fault::Late { held_ms: 3000.. })),
                "{seed}"
            );
        }
    }

    #[test]
    fn two_starts_of_one_name_and_a_stop_that_races_with_its_start_come_up() {
        let rounds = rounds();
        let starts = |round: &Round| {
            round.commands.iter().filter(|(_, command)| command.lease_name().is_some()).count()
        };
        assert!(rounds.iter().any(|round| starts(round) > round.lease_names().len()));
        let races =
            |command: &Command| matches!(command, Command::Start { held_ms, .. } if *held_ms < 100);
        assert!(
            rounds.iter().any(|round| round.commands.iter().any(|(_, command)| races(command)))
        );
    }
}
