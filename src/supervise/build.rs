//! Owns the build while it runs: its child, what descends from it, and the watch over what they
//! hold. Its beginning, its changes and its end go into the record. Runs in the supervisor.

use std::{env, time::Instant};

use jiff::Timestamp;

use crate::{
    core::{
        machine::process::ProcessId,
        run::{
            exit::{self, Exit},
            heard::ChildStart,
            session::Event,
            verdict::was_killed,
            wire::ToKeeper,
        },
        text,
        variables::LEASE,
    },
    host::program::Program,
    supervise::{
        child::{self, ChildError},
        descendants::Descendants,
        finish::say_build_ended,
        inherited::Inherited,
        keepers::Keepers,
        memory_watch::{self, MemoryWatch},
        reap::{ChildChange, Reaping},
        signals::Signals,
        state::RunState,
        terminal::Terminal,
    },
};

/// The build.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) child: Option<ProcessId>,
    pub(super) descendants: Descendants,
    pub(super) reaping: Reaping,
    /// Until all that it saw is in the record.
    pub(super) watch: Option<MemoryWatch>,
}

/// Starts the child; the keeper knows it before it executes anything.
pub(super) fn start_child(
    state: &mut RunState<'_>,
    build: &mut Build,
    keepers: &mut Keepers,
    program: &Program,
    inherited: Inherited,
    signals: &Signals,
) {
    state.say.unfold();
    state.begun = Instant::now();
    let is_here = state.heard.host.is_none();
    let memory = memory_watch::now().filter(|_| is_here);
    let start = ChildStart { at: Timestamp::now(), memory };
    if let Some((request, _)) = keepers.lease() {
        // SAFETY: this process has one thread.
        unsafe {
            env::set_var(LEASE, &request.lease);
            // A makeroom inside the build finds the same leases, whatever named them.
            env::set_var("MAKEROOM_STATE_DIR", &request.state_dir);
        }
    }
    let started = child::fork_gated(program, inherited, signals.handled()).and_then(|gated| {
        build.child = Some(gated.process);
        build.reaping.begin(gated.process.pid);
        keepers.tell(&ToKeeper::Child { process: gated.process });
        gated.open()
    });
    match started {
        Ok(child) => {
            state.heard.child_start = Some(start);
            let site = state.heard.about.site;
            build.watch = Some(MemoryWatch::begin(site, child.pid, !is_here));
        }
        Err(error) => {
            let command = &state.heard.about.command;
            let program = command.first().map(|program| program.to_string_lossy());
            let program = text::printable(&program.unwrap_or_default());
            state.say.error(format!("cannot run `{program}`: {error}"), None, None);
            state.push(Event::CannotStart(match error {
                ChildError::Exec { errno } => exit::of_failed_exec(errno),
                ChildError::Fork(_) => exit::FAILED,
            }));
        }
    }
}

/// Reaps who ended, and takes in what became of the child.
pub(super) fn reap(
    state: &mut RunState<'_>,
    build: &mut Build,
    keepers: &mut Keepers,
    signals: &Signals,
    terminal: &Terminal,
) {
    let is_running = state.is_running();
    build.reaping.listen_again(is_running, signals);
    for change in build.reaping.reap_child() {
        child_changed(state, build, keepers, terminal, change);
    }
    let (changes, has_reaped) = build.reaping.reap_all(is_running, signals);
    for change in changes {
        child_changed(state, build, keepers, terminal, change);
    }
    if has_reaped {
        // One less of the build, perhaps.
        build.descendants.look_soon();
    }
}

fn child_changed(
    state: &mut RunState<'_>,
    build: &mut Build,
    keepers: &mut Keepers,
    terminal: &Terminal,
    change: ChildChange,
) {
    match change {
        ChildChange::Stopped(signal) => {
            state.push(Event::ChildStopped { signal, foreground: terminal.is_foreground() });
        }
        ChildChange::Continued => state.push(Event::ChildContinued),
        ChildChange::Ended { exit, largest_bytes } => {
            if let Some(watch) = &mut build.watch {
                watch.see_largest(largest_bytes);
            }
            child_ended(state, build, keepers, exit);
        }
    }
}

fn child_ended(state: &mut RunState<'_>, build: &mut Build, keepers: &mut Keepers, exit: Exit) {
    let is_in_engine = state.heard.about.site.is_in_engine();
    // A client tells by its code that a step failed, not of what.
    let is_suspect = is_in_engine || build.watch.as_ref().is_some_and(MemoryWatch::has_seen_kills);
    let may_be_memory =
        was_killed(exit) || state.heard.thrash.is_some() || (is_suspect && !exit.is_success());
    let ending = state.heard.child_ended(exit, state.begun.elapsed());
    keepers.tell(&ToKeeper::Ended(ending));
    if may_be_memory {
        keepers.tell(&ToKeeper::LookAround);
    }
    // The last figures of what only the keeper sees come with its last word.
    if state.heard.host.is_none() && !is_in_engine {
        end_watch(state, build);
    }
    state.push(Event::ChildEnded(ending.exit));
}

/// The build has ended, and all that will be seen of it is: says so, once.
pub(super) fn end_watch(state: &mut RunState<'_>, build: &mut Build) {
    if state.heard.child_end.is_some()
        && let Some(watch) = build.watch.take()
    {
        state.heard.memory_seen = Some(watch.end());
        say_build_ended(state.say, &state.heard);
    }
}
