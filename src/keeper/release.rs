//! Owns the end of a lease: puts everything back, and performs the acts that follow until the
//! keeper exits. Decides nothing: that is for `core::run::lifecycle`. Runs in the keeper.

use futures_util::future;

use crate::{
    core::{
        lease::{
            foreign_change::{ForeignChange, Reply},
            state::LeaseState,
        },
        run::{
            ending::Ending,
            hook::{self, Facts},
            lifecycle::{Act, Event, Lifecycle},
            results::Back,
            wire::FromKeeper,
        },
    },
    keeper::{
        build::Build,
        control::Control,
        events::EventSources,
        operations::{self, Context, Rest, Tell},
    },
    lease::journal::Journal,
};

/// Puts everything back, says so, and waits for what may still change it.
pub(crate) async fn run(
    context: Context<'_>,
    mut lifecycle: Lifecycle,
    mut sources: EventSources<'_>,
    build: &Build,
    journal: Journal,
) {
    let held = journal.state().clone();
    tell_stopped(&held, sources.control.as_ref());
    let (mut back, mut rest) = release(context, &mut sources, journal).await;
    let mut acts = lifecycle.handle(Event::Released);
    while !acts.is_empty() {
        let mut ended = None;
        for act in acts {
            match act {
                Act::PostMortem => {
                    (back.spare, back.killed) =
                        operations::look_for_evidence(context, &held, build.time()).await;
                    ended = Some(Event::Examined);
                }
                Act::RunRestoredHook => {
                    if let Some(facts) = Facts::of_back(&held, &back, ending(context, build, &back))
                    {
                        sources.hooks.begin(hook::Event::Restored, &facts);
                    }
                }
                Act::SayReleased => {
                    say_released(context, &mut sources, std::mem::take(&mut back)).await;
                    ended = Some(Event::ReleaseSaid { is_rest_left: rest.is_some() });
                }
                Act::SeeToRest => {
                    if let Some(rest) = rest.take() {
                        see_to_rest(context, &mut lifecycle, &mut sources, rest).await;
                    }
                    ended = Some(Event::RestSeenTo);
                }
                // `Exit`, and no other.
                _ => return,
            }
        }
        acts = ended.map(|ended| lifecycle.handle(ended)).unwrap_or_default();
    }
}

/// Tells whoever ends a lease that stood on its own what somebody stopped meanwhile: nobody has heard
/// of it.
fn tell_stopped(held: &LeaseState, control: Option<&Control>) {
    let Some(control) = control else { return };
    for (id, name) in &held.stopped {
        let (change, reply) = (ForeignChange::Stopped, Reply::LeftAlone);
        let (id, name) = (id.clone(), name.clone());
        control.tell(&FromKeeper::Touched { id, name, change, reply });
    }
}

/// How the build ended. A limit tells that before the child has ended, which may take its time.
fn ending(context: Context<'_>, build: &Build, back: &Back) -> Option<Ending> {
    let limited = || Some(Ending::of(build.ended_by?.exit()?, build.ended_by));
    let ending = build.ending.or_else(limited)?;
    Some(ending.with_strict(context.request.strict, back.is_whole()))
}

async fn release(
    context: Context<'_>,
    sources: &mut EventSources<'_>,
    journal: Journal,
) -> (Back, Option<Rest>) {
    let EventSources { control, samples, .. } = sources;
    let tell_all = |message| say_to_all(message, control.as_ref(), context.tell);
    let restoring = Context { tell: &tell_all, ..context };
    // The last figures are looked at while everything is put back, and cost it nothing.
    let (released, last) =
        future::join(operations::release(restoring, journal), samples.last()).await;
    if let Some(sample) = last {
        (context.tell)(FromKeeper::Sample(sample));
    }
    released
}

/// Says it to the supervisor and to whoever asked for the end, once the hooks have ended.
async fn say_released(context: Context<'_>, sources: &mut EventSources<'_>, back: Back) {
    // Whoever asked waits for the end of the connection.
    let control = sources.control.take();
    let tell_all = |message| say_to_all(message, control.as_ref(), context.tell);
    sources.hooks.finish(&tell_all).await;
    tell_all(FromKeeper::Released(back));
    if let Some(control) = &control {
        control.finish().await;
    }
}

/// Waits until nothing can come any more, and removes what swap is left. Told to end, it leaves all
/// of it recorded, for `recover`.
async fn see_to_rest(
    context: Context<'_>,
    lifecycle: &mut Lifecycle,
    sources: &mut EventSources<'_>,
    rest: Rest,
) {
    let told_to_end = async {
        loop {
            let news = sources.next(lifecycle.listening()).await;
            if lifecycle.handle(news.event()).contains(&Act::Cancel) {
                return;
            }
        }
    };
    tokio::select! {
        () = operations::see_to_rest(context, rest) => {}
        () = told_to_end => {}
    }
}

fn say_to_all(message: FromKeeper, control: Option<&Control>, tell: Tell<'_>) {
    if let Some(control) = control {
        control.tell(&message);
    }
    tell(message);
}
