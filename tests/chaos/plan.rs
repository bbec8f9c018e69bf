//! Owns what a round of chaos is made of: services, commands and faults, all of them from a seed. Pure.

use std::collections::BTreeSet;

/// The numbers of a seed: xorshift64*, the same on each machine.
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds shall have nothing in common, and none may be 0.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// From 0 to one less than this.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn pick<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[usize::try_from(self.below(choice.len() as u64)).expect("small")]
    }
}

/// What a service is like before anything happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Running,
    /// By somebody else.
    Paused,
    Stopped,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    pub policy: &'static str,
    pub auto_remove: bool,
    pub has_health_check: bool,
    pub before: Before,
}

/// What a process of a run, or the run, is hit by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Supervisor,
    Keeper,
    Both,
    /// The supervisor's process group, the child's not included.
    Group,
}

/// What a `run` can have besides its room. A build waits where both together do not fit, and nothing has so much.
const FEATURES: [&[&str]; 6] = [
    &["--linger", "700ms"],
    &["--wait", "300ms", "--need", "1TiB"],
    &["--wait-healthy", "300ms"],
    &["--warm", "300ms"],
    &["--insist"],
    &["--on-restored", "sleep 0.2; exit 3", "--on-room-made", "sleep 0.2"],
];

/// One command of makeroom's.
#[derive(Clone, Debug)]
pub enum Command {
    Run {
        options: Vec<&'static str>,
        /// The first service makes room, the others are a step of `--then` that is due at once.
        is_guarded: bool,
        build_ms: u64,
        is_stubborn: bool,
    },
    /// `start --name`, and `stop` after a while, which can be before it is done. Two can have one name.
    Start {
        options: Vec<&'static str>,
        name: &'static str,
        held_ms: u64,
    },
    Recover,
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A signal to a run. SIGSTOP is followed by SIGCONT after a while.
    Signal {
        command: usize,
        victim: Victim,
        signal: i32,
        frozen_ms: u64,
    },
    /// The engine ends by this signal, and is started again.
    Engine {
        signal: &'static str,
        down_ms: u64,
    },
    Remove {
        service: usize,
    },
    Recreate {
        service: usize,
    },
    /// Somebody else's `unpause`, `start` or `stop`.
    Hand {
        service: usize,
        verb: &'static str,
    },
    /// The state directory's file system has no room for a while.
    FullDisk {
        full_ms: u64,
    },
    /// The clock on the wall is another one for the rest of the round.
    Clock {
        seconds: i64,
    },
}

/// A round: everything that is about to happen, and when, in milliseconds.
#[derive(Clone, Debug)]
pub struct Round {
    pub services: Vec<Service>,
    /// Whether they depend on each other, as compose's do.
    pub is_project: bool,
    /// Whether the engine leaves its containers alone when it ends.
    pub live_restore: bool,
    pub commands: Vec<(u64, Command)>,
    pub faults: Vec<(u64, Fault)>,
}

impl Command {
    /// What is special about it, in words that are the same in each round.
    pub fn features(&self) -> impl Iterator<Item = String> {
        let (options, is_guarded) = match self {
            Self::Run { options, is_guarded, .. } => (options.as_slice(), *is_guarded),
            Self::Start { .. } | Self::Recover => (&[][..], false),
        };
        let named = |option: &&'static str| FEATURES.iter().any(|feature| feature.first() == Some(option));
        options.iter().copied().filter(named).chain(is_guarded.then_some("--then")).map(|option| format!("with {option}"))
    }

    /// The name of a `start`.
    #[must_use]
    pub fn lease_name(&self) -> Option<&'static str> {
        match self {
            Self::Start { name, .. } => Some(name),
            Self::Run { .. } | Self::Recover => None,
        }
    }
}

impl Round {
    /// The round of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let services: Vec<_> = (0..2 + random.below(4)).map(|_| service(&mut random)).collect();
        let number = random.pick(&[1, 1, 2, 3]);
        let commands: Vec<_> = (0..number).map(|_| (random.below(500), command(&mut random))).collect();
        let faults = (0..random.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4])).map(|_| fault(&mut random, &services, &commands)).collect();
        Self { is_project: random.percent(50), live_restore: random.percent(50), services, commands, faults }
    }

    /// Whether the engine ends in this round.
    #[must_use]
    pub fn kills_the_engine(&self) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Engine { .. }))
    }

    /// Whether the engine is told to end in this round, and can do what it does then.
    #[must_use]
    pub fn ends_the_engine(&self) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Engine { signal: "TERM", .. }))
    }

    /// Whether the state directory's file system is full for a while.
    #[must_use]
    pub fn fills_the_disk(&self) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::FullDisk { .. }))
    }

    /// Whether the clock on the wall is moved in it.
    #[must_use]
    pub fn moves_the_clock(&self) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Clock { .. }))
    }

    /// The names of its `start` commands, each once.
    #[must_use]
    pub fn lease_names(&self) -> BTreeSet<&'static str> {
        self.commands.iter().filter_map(|(_, command)| command.lease_name()).collect()
    }

    /// Whether this service is removed or replaced in this round.
    #[must_use]
    pub fn meddles_with(&self, index: usize) -> bool {
        let does = |fault: &Fault| matches!(fault, Fault::Remove { service } | Fault::Recreate { service } if *service == index);
        self.faults.iter().any(|(_, fault)| does(fault))
    }

    /// Whether somebody else does this to this service in this round.
    #[must_use]
    pub fn has_hand(&self, index: usize, done: &str) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Hand { service, verb } if *service == index && *verb == done))
    }

    /// Whether a command of it may stop services. `auto` stops what swap cannot hold, but nothing so small.
    #[must_use]
    pub fn may_stop(&self) -> bool {
        self.commands.iter().any(|(_, command)| match command {
            Command::Run { options, .. } | Command::Start { options, .. } => options.contains(&"stop"),
            Command::Recover => false,
        })
    }

    /// The exit code of this command, where nothing in the round may change it.
    #[must_use]
    pub fn expected_code(&self, index: usize) -> Option<i32> {
        let ends_it = |fault: &Fault| {
            matches!(fault, Fault::Signal { command, victim, signal, .. }
                if *command == index && *victim != Victim::Keeper && *signal != libc::SIGSTOP)
        };
        let is_run = matches!(self.commands[index].1, Command::Run { .. });
        (is_run && !self.faults.iter().any(|(_, fault)| ends_it(fault))).then_some(7)
    }
}

fn service(random: &mut Random) -> Service {
    let auto_remove = random.percent(15);
    Service {
        // The engine refuses the two together.
        policy: if auto_remove { "no" } else { random.pick(&["no", "on-failure", "unless-stopped", "always"]) },
        auto_remove,
        has_health_check: random.percent(30),
        before: if auto_remove {
            Before::Running
        } else {
            random.pick(&[Before::Running, Before::Running, Before::Running, Before::Running, Before::Paused, Before::Stopped])
        },
    }
}

fn command(random: &mut Random) -> Command {
    let method = random.pick(&[&["--method", "pause"][..], &["--method", "stop"], &[]]);
    let swap = random.pick(&[&["--swap", "off"][..], &["--swap", "off"], &["--swap", "16MiB"]]);
    let options = [method, swap].concat();
    match random.below(10) {
        0..6 => {
            let feature = if random.percent(40) { random.pick(&FEATURES) } else { &[] };
            Command::Run {
                options: [options.as_slice(), feature].concat(),
                is_guarded: random.percent(20),
                build_ms: 50 + random.below(1200),
                is_stubborn: random.percent(20),
            }
        }
        6..9 => {
            // A `stop` within some milliseconds races with its `start`.
            let held_ms = if random.percent(30) { random.below(100) } else { 100 + random.below(1200) };
            Command::Start { options, name: random.pick(&["ci", "ci", "ci", "nightly"]), held_ms }
        }
        _ => Command::Recover,
    }
}

fn fault(random: &mut Random, services: &[Service], commands: &[(u64, Command)]) -> (u64, Fault) {
    let service = usize::try_from(random.below(services.len() as u64)).expect("small");
    let command = usize::try_from(random.below(commands.len() as u64)).expect("small");
    let victim = random.pick(&[Victim::Supervisor, Victim::Keeper, Victim::Both, Victim::Group]);
    let frozen_ms = 50 + random.below(700);
    let fault = match random.below(23) {
        0..7 => Fault::Signal { command, victim, signal: libc::SIGKILL, frozen_ms },
        7..10 => Fault::Signal { command, victim, signal: random.pick(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP]), frozen_ms },
        10..13 => Fault::Signal { command, victim, signal: libc::SIGSTOP, frozen_ms },
        13..16 => Fault::Engine { signal: random.pick(&["TERM", "KILL"]), down_ms: random.below(1000) },
        16 => Fault::Remove { service },
        17 => Fault::Recreate { service },
        18 => Fault::FullDisk { full_ms: 50 + random.below(700) },
        19..22 => Fault::Hand { service, verb: random.pick(&["unpause", "start", "stop"]) },
        _ => Fault::Clock { seconds: random.pick(&[-7200, -60, 60, 7200]) },
    };
    // Every other one while room is being made, or soon after.
    let at = if random.percent(50) { commands[command].0 + random.below(400) } else { random.below(1500) };
    (at, fault)
}

#[test]
fn a_seed_gives_the_same_round_each_time_and_another_seed_another_one() {
    let told = |seed| format!("{:?}", Round::of(seed));
    assert_eq!(told(7), told(7));
    assert_ne!(told(7), told(8));
}

#[test]
fn each_fault_comes_up() {
    let rounds: Vec<_> = (0..300).map(Round::of).collect();
    let features: BTreeSet<_> = rounds.iter().flat_map(|round| &round.commands).flat_map(|(_, command)| command.features()).collect();
    assert_eq!(features.len(), FEATURES.len() + 1, "{features:?}");
    let all = format!("{rounds:?}");
    for name in [
        "Signal",
        "Engine",
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
    ] {
        assert!(all.contains(name), "{name}");
    }
}

#[test]
fn two_starts_of_one_name_and_a_stop_that_races_with_its_start_come_up() {
    let rounds: Vec<_> = (0..300).map(Round::of).collect();
    let starts = |round: &Round| round.commands.iter().filter(|(_, command)| command.lease_name().is_some()).count();
    assert!(rounds.iter().any(|round| starts(round) > round.lease_names().len()));
    let races = |command: &Command| matches!(command, Command::Start { held_ms, .. } if *held_ms < 100);
    assert!(rounds.iter().any(|round| round.commands.iter().any(|(_, command)| races(command))));
}
