//! Owns the order of making room, and nothing else of it: recover what dead holders left, look, make
//! sure of swap, take the targets, push their memory out. Every change is in the journal, on disk,
//! before it is made. Runs in the keeper.

use std::time::Instant;

use crate::{
    core::{machine::cgroup::Measured, run::results::Room},
    lease::{journal::Journal, leases::Leases, state_dir::StateLock},
    room::{
        announce,
        claim::claim_all,
        context::Context,
        leases, linger,
        look::{self, Found},
        need, push_out, swap,
        take::take_all,
    },
};

/// How making room ended.
#[derive(Debug)]
pub enum Made {
    /// As well as it could be.
    Room(Box<Room>),
    /// The lease around this run has all that is asked for.
    Covered,
    /// A started lease of this name is held already.
    HeldAlready(String),
    /// The started lease cannot be recorded, and is not held.
    NotRecorded,
}

/// Makes room.
pub async fn make(context: &Context<'_>, journal: &mut Journal) -> Made {
    let begun = Instant::now();
    let mut room = Room::default();
    let request = context.request;
    let Some((leases, lock)) = leases::others(context).await else { return unrecorded(context) };
    if let Some(lease) = announce::held_already(request, &leases) {
        return Made::HeldAlready(lease);
    }
    let mut found =
        look::at_targets_first(context, &leases::recorded(journal.state(), &leases)).await;
    if let Some(found) = &mut found {
        // Made again after Ctrl-Z: what somebody else took from this lease meanwhile stays theirs.
        found.chosen.retain(|listed| !journal.state().theirs.contains(&listed.id));
    }
    if let Err(error) = announce::open(context, journal, found.is_some()) {
        context.shortfall(format!("{error}; nothing is changed"), None);
        return unrecorded(context);
    }
    let chosen = found.as_ref().map_or(&[][..], |found| &found.chosen);
    if announce::is_covered(request, &leases, chosen) {
        return Made::Covered;
    }
    let looked = look::at_host(context, found.as_ref()).await;
    room.host = context.machine.host().map(|host| host.prefix().name);
    room.vm_driver = context.machine.vm_driver();
    room.need_bytes = request.need_bytes;
    room.available_before_bytes =
        looked.as_ref().and_then(|looked| Some(looked.memory?.available_bytes));
    let gap_bytes = need::gap_bytes(context, looked.as_ref());
    let found = match (found, &looked, gap_bytes) {
        (Some(found), Some(looked), Some(gap_bytes)) => {
            Some(need::only_enough(context, found, looked, gap_bytes, &leases).await)
        }
        (found, ..) => found,
    };
    let is_swap_wanted = gap_bytes != Some(0);
    let measured =
        swap::ensure(context, journal, &leases, looked.clone(), is_swap_wanted, &mut room).await;
    if let Some(found) = found {
        let sizes = looked.as_ref();
        take_and_push_out(
            context,
            found,
            journal,
            (leases, lock),
            sizes,
            measured.as_ref(),
            &mut room,
        )
        .await;
    } else {
        room.memory = measured.and_then(|measured| measured.memory);
    }
    announce::open_to_others(context, journal, &room);
    room.took = begun.elapsed();
    need::tell_if_short(context, &room);
    Made::Room(Box::new(room))
}

/// Takes the chosen targets and pushes their memory out. `sizes` is the host before swap was made,
/// `measured` after it.
pub(crate) async fn take_and_push_out(
    context: &Context<'_>,
    found: Found,
    journal: &mut Journal,
    (leases, lock): (Leases, StateLock),
    sizes: Option<&Measured>,
    measured: Option<&Measured>,
    room: &mut Room,
) {
    let claimed = claim_all(context, journal, &leases, &found, sizes, measured).await;
    let taken = take_all(context, &found.targets, journal, claimed, room).await;
    room.memory = measured.and_then(|measured| measured.memory);
    linger::carry_on(context, journal, &leases);
    // Whoever waits for the lock does not need the memory to be out.
    drop((leases, lock));
    push_out::push_out(context, &taken, room).await;
}

/// A run goes on without room. A started lease that is not recorded would be held for ever: nobody
/// could name it.
fn unrecorded(context: &Context<'_>) -> Made {
    if context.request.started.is_some() { Made::NotRecorded } else { Made::Room(Box::default()) }
}
