//! Owns what a round of chaos is made of: services, commands and faults, and what follows from
//! them. Pure; `draw` makes one from a seed.

use std::collections::BTreeSet;

use crate::support::{proxy::Moment, stalled::Kind};

/// What a service is like before anything happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Running,
    /// By somebody else.
    Paused,
    Stopped,
}

/// One that does not end at once on SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStop {
    pub takes_ms: u64,
    /// The container's own, in seconds, after which the engine kills it; -1: never.
    pub timeout: Option<i64>,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    pub policy: &'static str,
    pub auto_remove: bool,
    pub has_health_check: bool,
    pub before: Before,
    pub slow_stop: Option<SlowStop>,
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

/// What a `run` can have besides its room. A build waits where both together do not fit, and
/// nothing has so much.
pub const FEATURES: [&[&str]; 6] = [
    &["--linger", "700ms"],
    &["--wait", "300ms", "--need", "1TiB"],
    &["--wait-healthy", "300ms"],
    &["--warm", "300ms"],
    &["--insist"],
    &["--on-restored", "sleep 0.2; exit 3", "--on-room-made", "sleep 0.2"],
];

/// What becomes of a build's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Plain,
    /// It leaves one in a session of its own.
    LeavesOne,
    /// The same, with no parent any more, and it ignores SIGTERM.
    LeavesAnOrphan,
    /// It is stopped for as long as it would take, and goes on.
    IsStopped,
}

/// A build.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    pub takes_ms: u64,
    /// `--timeout`, by which it is not done.
    pub timeout_ms: Option<u64>,
    pub ignores_signals: bool,
    pub habit: Habit,
}

/// One command of makeroom's.
#[derive(Clone, Debug)]
pub enum Command {
    Run {
        options: Vec<&'static str>,
        /// The first service makes room, the others are a step of `--then` that is due at once.
        is_guarded: bool,
        build: Build,
        surroundings: Surroundings,
    },
    /// `start --name`, and `stop` after a while, which can be before it is done. Two can have one
    /// name.
    Start {
        options: Vec<&'static str>,
        name: &'static str,
        held_ms: u64,
        surroundings: Surroundings,
    },
    Recover,
}

/// Where a command is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// Its stderr is full, and nobody reads it.
    pub full_stderr: Option<Kind>,
    /// So many files at most, for good.
    pub files: Option<u64>,
}

/// When a fault comes.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// So many milliseconds after the beginning.
    At(u64),
    /// At one of the calls to the engine, which is held meanwhile.
    AtCall { call: &'static str, nth: usize, moment: Moment },
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
    /// SIGKILL to so many keepers of a run, one after the other.
    KeepersInARow {
        command: usize,
        count: usize,
        gap_ms: u64,
    },
    /// A process can open no file for a while.
    NoFiles {
        command: usize,
        victim: Victim,
        for_ms: u64,
    },
    /// The call, or its answer, is held on its way for so long.
    Late {
        held_ms: u64,
    },
    /// The engine ends by this signal, and is started again.
    Engine {
        signal: &'static str,
        down_ms: u64,
    },
    /// The engine is killed, and started again when `recover` has given up.
    EngineStaysAway,
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

/// Another user who moves about what he can, all the time.
#[derive(Clone, Copy, Debug)]
pub struct Stranger {
    /// Whether the directory that the state directory is in is his; otherwise everybody can write
    /// to it, and it is sticky.
    pub has_state: bool,
    /// The same for the one that the swap areas' directory is in.
    pub has_swap: bool,
    /// The state directory is there before him.
    pub comes_late: bool,
}

/// A round: everything that is about to happen, and when.
#[derive(Clone, Debug)]
pub struct Round {
    pub services: Vec<Service>,
    /// Whether they depend on each other, as compose's do.
    pub is_project: bool,
    /// Whether the engine leaves its containers alone when it ends.
    pub live_restore: bool,
    pub commands: Vec<(u64, Command)>,
    pub faults: Vec<(When, Fault)>,
    pub stranger: Option<Stranger>,
}

impl Command {
    /// What is special about it, in words that are the same in each round.
    pub fn features(&self) -> Vec<String> {
        let mut features = Vec::new();
        if let Self::Run { options, is_guarded, build, .. } = self {
            let named = |option: &&'static str| {
                FEATURES.iter().any(|feature| feature.first() == Some(option))
            };
            features.extend(
                options
                    .iter()
                    .copied()
                    .filter(named)
                    .chain(is_guarded.then_some("--then"))
                    .map(|option| format!("with {option}")),
            );
            features.extend(build.timeout_ms.map(|_| "with --timeout".to_owned()));
            features.extend(match build.habit {
                Habit::Plain => None,
                Habit::LeavesOne => Some("build leaves a process in another session".to_owned()),
                Habit::LeavesAnOrphan => {
                    Some("build leaves an orphan that ignores SIGTERM".to_owned())
                }
                Habit::IsStopped => Some("build is stopped".to_owned()),
            });
        }
        let Surroundings { full_stderr, files } = self.surroundings();
        features.extend(full_stderr.map(|kind| match kind {
            Kind::Pipe => "full stderr: a pipe".to_owned(),
            Kind::Terminal => "full stderr: a terminal".to_owned(),
            Kind::StoppedTerminal => "full stderr: a stopped terminal".to_owned(),
            Kind::Socket => "full stderr: a socket".to_owned(),
        }));
        features.extend(files.map(|_| "few open files from the start".to_owned()));
        features
    }

    /// Where it is started.
    #[must_use]
    pub fn surroundings(&self) -> Surroundings {
        match self {
            Self::Run { surroundings, .. } | Self::Start { surroundings, .. } => *surroundings,
            Self::Recover => Surroundings::default(),
        }
    }

    /// The name of a `start`.
    #[must_use]
    pub fn lease_name(&self) -> Option<&'static str> {
        match self {
            Self::Start { name, .. } => Some(name),
            Self::Run { .. } | Self::Recover => None,
        }
    }

    /// The build of a `run`.
    #[must_use]
    pub fn build(&self) -> Option<&Build> {
        match self {
            Self::Run { build, .. } => Some(build),
            Self::Start { .. } | Self::Recover => None,
        }
    }

    fn may_stop(&self) -> bool {
        match self {
            Self::Run { options, .. } | Self::Start { options, .. } => options.contains(&"stop"),
            Self::Recover => false,
        }
    }
}

impl Stranger {
    /// Whether the state directory's name can be his, for a moment or for good.
    #[must_use]
    pub fn may_have_state(self) -> bool {
        self.has_state || !self.comes_late
    }
}

impl Fault {
    /// Whether what waits for an answer of the engine's may never get it.
    #[must_use]
    pub fn cuts_calls(&self) -> bool {
        match self {
            Self::Signal { victim, signal, .. } => {
                *signal == libc::SIGKILL && *victim != Victim::Supervisor
            }
            Self::KeepersInARow { .. } | Self::Engine { .. } | Self::EngineStaysAway => true,
            _ => false,
        }
    }
}

impl Round {
    /// Whether there is such a fault in it.
    pub fn has(&self, is_it: impl Fn(&Fault) -> bool) -> bool {
        self.faults.iter().any(|(_, fault)| is_it(fault))
    }

    /// Whether makeroom reaches the engine through a proxy.
    #[must_use]
    pub fn has_proxy(&self) -> bool {
        self.faults.iter().any(|(when, _)| matches!(when, When::AtCall { .. }))
    }

    /// Whether the engine ends in this round.
    #[must_use]
    pub fn kills_the_engine(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::Engine { .. } | Fault::EngineStaysAway))
    }

    /// Whether the engine stays away until `recover` has given up.
    #[must_use]
    pub fn leaves_the_engine_away(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::EngineStaysAway))
    }

    /// Whether the engine is told to end in this round, and can do what it does then.
    #[must_use]
    pub fn ends_the_engine(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::Engine { signal: "TERM", .. }))
    }

    /// Whether the state directory's file system is full for a while.
    #[must_use]
    pub fn fills_the_disk(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::FullDisk { .. }))
    }

    /// Whether the clock on the wall is moved in it.
    #[must_use]
    pub fn moves_the_clock(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::Clock { .. }))
    }

    /// Whether every command can tell what it leaves behind, and is heard.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        let lingers = |command: &Command| matches!(command, Command::Run { options, .. } if options.contains(&"--linger"));
        let is_alone = |(_, command): &(u64, Command)| {
            command.surroundings().full_stderr.is_some() || lingers(command)
        };
        let ends = |fault: &Fault| {
            matches!(
                fault,
                Fault::Signal { .. } | Fault::KeepersInARow { .. } | Fault::NoFiles { .. }
            )
        };
        self.stranger.is_none() && !self.commands.iter().any(is_alone) && !self.has(ends)
    }

    /// The names of its `start` commands, each once.
    #[must_use]
    pub fn lease_names(&self) -> BTreeSet<&'static str> {
        self.commands.iter().filter_map(|(_, command)| command.lease_name()).collect()
    }

    /// Whether this service is removed or replaced in this round.
    #[must_use]
    pub fn meddles_with(&self, index: usize) -> bool {
        self.has(|fault| matches!(fault, Fault::Remove { service } | Fault::Recreate { service } if *service == index))
    }

    /// Whether somebody else does this to this service in this round.
    #[must_use]
    pub fn has_hand(&self, index: usize, done: &str) -> bool {
        self.has(|fault| matches!(fault, Fault::Hand { service, verb } if *service == index && *verb == done))
    }

    /// Whether a command of it may stop services. `auto` stops what swap cannot hold, but nothing
    /// so small.
    #[must_use]
    pub fn may_stop(&self) -> bool {
        self.commands.iter().any(|(_, command)| command.may_stop())
    }

    /// The exit code of this command, where nothing in the round may change it.
    #[must_use]
    pub fn expected_code(&self, index: usize) -> Option<i32> {
        let ends_it = |fault: &Fault| match fault {
            Fault::Signal { command, victim, signal, .. } => {
                *command == index && *victim != Victim::Keeper && *signal != libc::SIGSTOP
            }
            // Without a file to open there may be no child to start.
            Fault::NoFiles { command, victim, .. } => {
                *command == index && *victim != Victim::Keeper
            }
            _ => false,
        };
        let build = self.commands[index].1.build().filter(|_| !self.has(ends_it))?;
        Some(if build.timeout_ms.is_some() { 124 } else { 7 })
    }
}
