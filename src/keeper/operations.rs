//! Owns the keeper's way into the operations on a lease: one small function each, and the types
//! that it needs of them. Beside it only `changes` names `room`. Decides nothing.

use std::time::Duration;

use futures_util::future;

use crate::{
    core::{
        lease::state::LeaseState,
        machine::pressure::{Cause, Figures},
        run::{
            hook::Whose,
            oom_log::Killed,
            results::{Back, RoomTarget},
            verdict::Spare,
            wire::{FromKeeper, Request},
        },
        target::recorded::Target,
    },
    lease::journal::Journal,
    room::{enforcers, make, post_mortem, release, step},
};

pub(crate) use crate::room::{
    cancel::Cancel,
    context::{Context, Tell},
    hooks::Hooks,
    machine::Machine,
    make::Made,
    release::Rest,
    step::Taken,
};

/// Finds the way to the engine: the recorded one for a keeper that takes over, whatever names an
/// engine by now.
pub(crate) fn find_machine(request: &Request, journal: &Journal) -> Machine {
    let settings = &request.settings;
    if request.adopt {
        return Machine::recorded(
            journal.state().opened.as_ref(),
            settings.vm_shell.as_ref(),
            &request.lease,
        );
    }
    Machine::of_settings(settings, &request.lease)
}

/// The hooks that the request names. None of them runs yet.
pub(crate) fn hooks(request: &Request) -> Hooks {
    let whose = Whose {
        lease: request.lease.clone(),
        state_dir: request.state_dir.clone(),
        program: request.program.clone(),
    };
    Hooks::new(request.settings.hooks.clone(), whose)
}

/// Tells everything but progress: a line that moves has no place in a build's output.
pub(crate) fn without_progress(tell: Tell<'_>) -> impl Fn(FromKeeper) {
    move |message| {
        if !matches!(message, FromKeeper::Progress { .. }) {
            tell(message);
        }
    }
}

/// Makes room.
pub(crate) async fn make_room(
    context: Context<'_>,
    journal: &mut Journal,
    cancel: &Cancel,
) -> Made {
    make::make(&Context { cancel, ..context }, journal).await
}

/// Takes this step of `--then`, and tells of it; `None` where there is no such step.
pub(crate) async fn take_step(
    context: Context<'_>,
    journal: &mut Journal,
    (place, cause, figures): (usize, Cause, Figures),
    cancel: &Cancel,
) -> Option<Taken> {
    let mut steps = context.request.settings.guard.iter().flat_map(|guard| &guard.then);
    let selector = steps.nth(place)?;
    let context = Context { cancel, ..context };
    Some(step::take_step(&context, journal, selector, cause, figures).await)
}

/// Undoes a step, and tells of it. What is not done then is in the journal still, and given back
/// with the rest.
pub(crate) async fn undo_step(context: Context<'_>, journal: &mut Journal, taken: &Taken) {
    step::undo_step(&context, journal, taken).await;
}

/// Takes one target again; gives what was taken.
pub(crate) async fn take_again(
    context: Context<'_>,
    journal: &mut Journal,
    target: &Target,
    cancel: &Cancel,
) -> Vec<RoomTarget> {
    // Its name was read off the engine, which takes no other characters.
    let Ok(selector) = target.name.parse() else { return vec![] };
    let context = Context { cancel, ..context };
    let room = step::room_of(&context, journal, &selector, |listed| listed.id == target.id).await;
    room.map(|room| room.targets).unwrap_or_default()
}

/// Names what may have restarted this target, and the remedy.
pub(crate) async fn tell_of_enforcers(context: Context<'_>, held: &LeaseState, target: &Target) {
    enforcers::tell_of(&context, held, target).await;
}

/// Brings the targets back while the build is stopped; swap stays.
pub(crate) async fn suspend(context: Context<'_>, journal: &mut Journal) {
    release::suspend(&context, journal).await;
}

/// Puts everything back; gives what is left to wait for and to try again.
pub(crate) async fn release(context: Context<'_>, journal: Journal) -> (Back, Option<Rest>) {
    release::release(&context, journal).await
}

/// Waits for calls that were sent and brings back what they change, and goes on removing swap.
pub(crate) async fn see_to_rest(context: Context<'_>, rest: Rest) {
    release::wait_for(&context, rest).await;
}

/// Looks for what else could have made room, and for what the kernel killed within this time.
pub(crate) async fn look_for_evidence(
    context: Context<'_>,
    held: &LeaseState,
    within: Duration,
) -> (Vec<Spare>, Vec<Killed>) {
    let taken: Vec<String> = held.targets.keys().cloned().collect();
    future::join(
        post_mortem::spare(context.machine, context.request, &taken),
        post_mortem::killed(context.machine, within),
    )
    .await
}
