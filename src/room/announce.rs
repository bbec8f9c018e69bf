//! Owns what a lease tells others of itself: who it is, which machine it is on, what its build is to
//! take; and what it finds of that in theirs. Runs in the keeper.

use jiff::Timestamp;

use crate::{
    core::{
        lease::record::{Opened, Record, VERSION},
        machine::memory::meminfo,
        run::{
            note::{Level, Note},
            results::Room,
            wire::Request,
        },
        target::seen::Listed,
    },
    engine::endpoint::Endpoint,
    host::kernel::proc_file,
    lease::{journal::Journal, journal_error::JournalError, leases::Leases},
    room::context::Context,
};

/// Writes who this lease is. `has_targets`: there is an engine to restore at.
pub(crate) fn open(
    context: &Context<'_>,
    journal: &mut Journal,
    has_targets: bool,
) -> Result<(), JournalError> {
    let Context { request, machine, .. } = *context;
    let endpoint = machine.endpoint().ok().filter(|_| has_targets);
    let engine = endpoint.map(Endpoint::url);
    // Made anew after Ctrl-Z, with an engine that was not there before: restoring has to find it.
    let opened = journal.state().opened.as_ref();
    if opened.is_some_and(|opened| engine.is_none() || opened.engine == engine) {
        return Ok(());
    }
    let certificates = endpoint.and_then(|endpoint| endpoint.certificates.as_ref());
    journal.announce(&Record::Opened(Opened {
        version: VERSION,
        lease: request.lease.clone(),
        kind: request.kind(),
        name: request.started.as_ref().and_then(|started| started.name.clone()),
        program: request.program.clone(),
        engine,
        certificates: certificates.map(|path| path.to_string_lossy().into_owned()),
        host: machine.host(),
        lingers_until: None,
        releasing: false,
        need_bytes: expected_bytes(context),
        available_bytes: None,
        timeout: request.timeout,
        guard: request.settings.guard.clone(),
        at: Timestamp::now(),
    }))
}

/// Lets everybody know that nothing of this lease can be shared from here on.
pub(crate) fn releasing(journal: &mut Journal) -> Result<(), JournalError> {
    match journal.state().opened.clone().filter(|opened| !opened.releasing) {
        Some(opened) => journal.announce(&Record::Opened(Opened { releasing: true, ..opened })),
        None => Ok(()),
    }
}

/// The lease of this name, where it is held already.
pub(crate) fn held_already(request: &Request, leases: &Leases) -> Option<String> {
    let name = request.started.as_ref()?.name.as_ref()?;
    let has_name = |opened: &Opened| opened.name.as_ref() == Some(name);
    leases
        .holding()
        .find(|(_, state)| state.opened.as_ref().is_some_and(has_name))
        .map(|(lease, _)| lease.clone())
}

/// Whether the lease around this run has all that this one asks for. A limit or steps of its own
/// need a supervisor and a keeper of its own.
pub(crate) fn is_covered(request: &Request, leases: &Leases, chosen: &[Listed]) -> bool {
    let Some(around) = &request.inside else { return false };
    let Some((_, around)) =
        leases.holding().find(|(id, state)| id == around && state.is_of_a_build())
    else {
        return false;
    };
    let sees_to =
        |opened: &Opened| opened.sees_to(request.timeout, request.settings.guard.as_ref());
    around.opened.as_ref().is_some_and(sees_to)
        && chosen.iter().all(|listed| around.targets.contains_key(&listed.id))
}

/// Lets others know what all builds share, so that `--wait` can tell whether one more fits.
pub(crate) fn open_to_others(context: &Context<'_>, journal: &mut Journal, room: &Room) {
    let Some(opened) = journal.state().opened.clone() else { return };
    // Made again after Ctrl-Z, the build has its part of it already.
    if opened.need_bytes.is_none() || opened.available_bytes.is_some() {
        return;
    }
    let here = || {
        proc_file("/proc/meminfo")
            .and_then(|text| meminfo(&text))
            .filter(|_| context.machine.host().is_none())
    };
    let available_bytes = room.memory.or_else(here).map(|memory| memory.available_bytes);
    // Where that is not known there is nothing to reckon with.
    let need_bytes = opened.need_bytes.filter(|_| available_bytes.is_some());
    let opened = Opened { need_bytes, available_bytes, ..opened };
    if let Err(error) = journal.announce(&Record::Opened(opened)) {
        context.note(Note::new(Level::Detail, error.to_string()));
    }
}

/// What the build takes of the host that room is made on: one in front of a VM takes nothing of it.
fn expected_bytes(context: &Context<'_>) -> Option<u64> {
    let Context { request, machine, .. } = context;
    request.expected_bytes.filter(|_| request.builds_in_engine || machine.host().is_none())
}
