//! Owns finding everything that descends from a build that is being ended, also what left its
//! process group by setsid(2), setpgid(2) or a double fork. Each process is known by pid and start
//! time. Never finds a keeper or anything that it started, because keepers restore. Used by the
//! supervisor, which is above all of it, and by a keeper whose supervisor is gone.
//!
//! On the portable path makeroom is no subreaper. There it finds the group, and what descends from
//! the child or from what was found before.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    core::machine::process::{Process, ProcessId, Role, descendants},
    host::{kernel, process::group_is_alive},
};

/// How often to look again, before SIGKILL, for what was forked while everything known was being
/// stopped.
const STOPS: u32 = 16;
/// Whoever comes to us later than this after the last one is found by the next look.
const CHASE: Duration = Duration::from_millis(2);
/// Who is not caught within this is chased again after the next look.
const LONGEST_CHASE: Duration = Duration::from_millis(100);

/// How far to look below the makerooms that run inside the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Not below them: they pass signals on.
    Shallow,
    /// To the bottom.
    Deep,
}

/// What descends from a build.
#[derive(Debug, Default)]
pub struct Offspring {
    known: BTreeMap<i32, u64>,
    /// Sessions that are not part of it: each keeper leads one, and whatever it started is in it.
    apart: BTreeSet<i32>,
    is_below_us: bool,
}

impl Offspring {
    /// The offspring of a build that runs below this process, a subreaper.
    #[must_use]
    pub fn below_us() -> Self {
        Self { is_below_us: true, ..Self::default() }
    }

    /// Notes a process that is part of it.
    pub fn note(&mut self, process: ProcessId) {
        self.known.insert(process.pid, process.start_ticks);
    }

    /// Notes a session that is not part of it.
    pub fn leave_out(&mut self, session: i32) {
        self.apart.insert(session);
    }

    /// Notes the processes that have this entry in their environment but no variable named
    /// `without`.
    pub fn note_environment(&mut self, entry: &str, without: &str) {
        let found = kernel::with_environment(entry, without)
            .into_iter()
            .filter_map(crate::host::process::identify);
        found.for_each(|process| self.note(process));
    }

    /// Finds who of it runs now.
    ///
    /// # Errors
    /// Where processes cannot be listed.
    pub fn look(&mut self, depth: Depth) -> io::Result<Vec<Process>> {
        let table = kernel::all()?;
        let own = std::process::id().cast_signed();
        // A known process may be gone, and its pid somebody else's.
        self.known.retain(|pid, start| {
            table
                .iter()
                .any(|process| process.pid == *pid && process.start == *start && process.runs)
        });
        let below_us =
            if self.is_below_us { kernel::own_children().unwrap_or_default() } else { vec![] };
        let roots: Vec<i32> =
            self.known.keys().copied().chain(below_us).filter(|&pid| pid != own).collect();
        let is_apart =
            |process: &Process| process.pid == own || self.apart.contains(&session(process.pid));
        let found = descendants(&table, roots.iter().copied(), is_apart);
        // A keeper leads its session and group; a supervisor can be anywhere.
        let roles = kernel::roles(&found.iter().map(|process| process.pid).collect::<Vec<_>>())?;
        let keepers: BTreeSet<i32> =
            roles.iter().filter(|(_, role)| **role == Role::Keeper).map(|(pid, _)| *pid).collect();
        let supervisors =
            roles.iter().filter(|(_, role)| **role == Role::Supervisor).map(|(pid, _)| *pid);
        let supervisors: BTreeSet<i32> =
            if depth == Depth::Shallow { supervisors.collect() } else { BTreeSet::new() };
        let found: Vec<Process> = descendants(&table, roots, |process| {
            is_apart(process)
                || keepers.contains(&process.pid)
                || keepers.contains(&session(process.pid))
                || supervisors.contains(&process.parent)
        });
        for process in &found {
            self.note(process.id());
        }
        Ok(found)
    }

    /// Tells whether nobody is left, after a look that found nobody: what was forked during that
    /// look has become our child by now.
    #[must_use]
    pub fn is_gone(&self, child: ProcessId) -> bool {
        let Some(children) = kernel::own_children().filter(|_| self.is_below_us) else {
            return !group_is_alive(child);
        };
        let left: Vec<i32> =
            children.iter().copied().filter(|pid| !self.apart.contains(&session(*pid))).collect();
        let Ok(roles) = kernel::roles(&left) else { return false };
        let is_there =
            |pid: &i32| kernel::process(*pid).is_ok_and(|seen| seen.is_some_and(|seen| seen.runs));
        let is_left = left.iter().any(|pid| roles.get(pid) != Some(&Role::Keeper) && is_there(pid));
        // Nobody was reaped meanwhile: who lives now and is not below one of these is new.
        let is_same = |now: Vec<i32>| now.iter().all(|pid| children.contains(pid));
        !is_left && kernel::own_children().is_some_and(is_same)
    }

    /// Sends SIGKILL to all of it. Stops all of it first, so that nothing is forked between the
    /// look and the signal.
    ///
    /// # Errors
    /// Where processes cannot be listed.
    pub fn kill(&mut self) -> io::Result<()> {
        let mut stopped: BTreeMap<i32, Process> = BTreeMap::new();
        for _ in 0..STOPS {
            let fresh: Vec<Process> = self
                .look(Depth::Deep)?
                .into_iter()
                .filter(|process| !stopped.contains_key(&process.pid))
                .collect();
            if fresh.is_empty() {
                break;
            }
            for process in fresh {
                send(process.id(), libc::SIGSTOP);
                stopped.insert(process.pid, process);
            }
        }
        for process in stopped.values() {
            send(process.id(), libc::SIGKILL);
        }
        if self.is_below_us {
            self.chase();
        }
        Ok(())
    }

    /// Sends SIGKILL to whoever comes to us as a child from now on: who forks and ends faster than
    /// a look takes is caught before it has forked again.
    fn chase(&self) {
        let (begun, mut met) = (Instant::now(), BTreeSet::new());
        let mut since = begun;
        while since.elapsed() < CHASE && begun.elapsed() < LONGEST_CHASE {
            let children = kernel::own_children().unwrap_or_default();
            let fresh: Vec<i32> = children
                .into_iter()
                .filter(|pid| !self.apart.contains(&session(*pid)) && met.insert(*pid))
                .collect();
            if fresh.is_empty() {
                continue;
            }
            since = Instant::now();
            let Ok(roles) = kernel::roles(&fresh) else { return };
            for pid in fresh.into_iter().filter(|pid| roles.get(pid) != Some(&Role::Keeper)) {
                // ESRCH: it has ended. Its number is nobody else's before we reap it.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// Sends a signal to this very process. If it is gone by now, or is another user's, nothing can be
/// done about it, and the next look finds who is left.
pub fn send(process: ProcessId, signal: i32) {
    let _ = kernel::send(process, signal);
}

fn session(pid: i32) -> i32 {
    // SAFETY: only asks; -1 for a missing process is nobody's session.
    unsafe { libc::getsid(pid) }
}
