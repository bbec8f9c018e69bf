//! Owns running a lease until its release: feeds the pure policy (`core::run::lifecycle`) with what
//! happens, and performs its acts one after the other. Decides nothing. Runs in the keeper.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::{
    core::{
        lease::foreign_change::{End, has_ended},
        run::{
            hook::{self, Facts},
            lifecycle::{Act, Event, Lifecycle, Made},
            note::{Level, Note},
            oom_log::Killed,
            verdict::Spare,
            wire::{FromKeeper, ToKeeper},
        },
    },
    keeper::{
        build::Build,
        changes,
        control::Control,
        engine_watch::{EngineWatch, Sign},
        events::{EventSources, News},
        foreign_changes::{self, Past},
        host_samples::HostSamples,
        input::{Heard, Input},
        last_look, linger,
        operations::{self, Cancel, Context, Taken, without_progress},
        orphan,
        pressure_watch::{Due, PressureWatch},
        release,
    },
    lease::journal::Journal,
};

/// Runs a lease from its first message to its end.
pub(crate) async fn run(context: Context<'_>, input: Input, journal: Journal) {
    let Context { request, machine, tell, .. } = context;
    let samples = HostSamples::new(&machine.shell, request.builds_in_engine);
    if request.started.is_none() && !request.adopt {
        samples.expect_child();
    }
    let guard = request.settings.guard.as_ref();
    let mut sources = EventSources {
        input,
        samples,
        pressure: PressureWatch::new(guard, machine.shell.route(), tell),
        engine: EngineWatch::new(machine, tell),
        hooks: operations::hooks(request),
        control: None,
        tell,
    };
    if request.adopt && !journal.state().targets.is_empty() {
        sources.engine.take_over();
    }
    let (lifecycle, acts) = Lifecycle::begin(request.adopt);
    let keeper = Keeper {
        context,
        lifecycle,
        acts: acts.into(),
        sources,
        later: VecDeque::new(),
        at_hand: None,
        build: Build::new(),
        made: None,
        facts: Facts::default(),
        steps: Vec::new(),
        past: Past::default(),
        evidence: Evidence::default(),
        is_hasty: false,
    };
    Box::pin(keeper.keep(journal)).await;
}

/// What else could have made room, and what the kernel killed.
type Evidence = (Vec<Spare>, Vec<Killed>);

/// A lease that is kept.
struct Keeper<'a> {
    context: Context<'a>,
    lifecycle: Lifecycle,
    /// The acts that are to be performed, in order.
    acts: VecDeque<Act>,
    sources: EventSources<'a>,
    /// What came while something was under way, and waits.
    later: VecDeque<News>,
    /// What the next act is about.
    at_hand: Option<News>,
    build: Build,
    /// How making room ended, until that is told.
    made: Option<operations::Made>,
    /// What the hook for room that was made is told.
    facts: Facts,
    /// The steps that were taken, in order.
    steps: Vec<Taken>,
    past: Past,
    /// What was found before the room is kept.
    evidence: Evidence,
    /// Whoever ended the build, or this keeper, does not wait.
    is_hasty: bool,
}

impl Keeper<'_> {
    async fn keep(mut self, mut journal: Journal) {
        loop {
            match self.acts.pop_front() {
                Some(Act::Release) => break,
                Some(act) => {
                    if let Some(ended) = Box::pin(self.perform(act, &mut journal)).await {
                        self.acts.extend(self.lifecycle.handle(ended));
                    }
                }
                None => self.wait().await,
            }
        }
        let later = std::mem::take(&mut self.later).into_iter();
        let signs = later.filter_map(|news| match news {
            News::Sign(sign) => Some(sign),
            _ => None,
        });
        let engine = &mut self.sources.engine;
        last_look::look(self.context, signs, &mut self.past, engine, &mut journal).await;
        let cancel = Cancel::default();
        if self.is_hasty {
            cancel.say();
        }
        let context = Context { cancel: &cancel, ..self.context };
        release::run(context, self.lifecycle, self.sources, &self.build, journal).await;
    }

    /// Takes in the next of what happens, with nothing under way.
    async fn wait(&mut self) {
        let news = match self.later.pop_front() {
            Some(news) => news,
            None => self.sources.next(self.lifecycle.listening()).await,
        };
        self.take_in(news, &Cancel::default());
    }

    fn take_in(&mut self, news: News, cancel: &Cancel) {
        if let News::Heard(Heard::Message(message)) = &news {
            self.build.note(message);
        }
        self.is_hasty |=
            matches!(&news, News::Heard(Heard::Signal | Heard::Message(ToKeeper::Ending { .. })));
        for act in self.lifecycle.handle(news.event()) {
            match act {
                Act::Cancel => cancel.say(),
                Act::PutOff => return self.later.push_back(news),
                act => self.acts.push_back(act),
            }
        }
        self.at_hand = Some(news);
    }

    /// Works while listening: whoever changes their mind meanwhile is heard at once.
    async fn while_listening<T>(&mut self, work: impl Future<Output = T>, cancel: &Cancel) -> T {
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                news = self.sources.next(self.lifecycle.listening()) => self.take_in(news, cancel),
            }
        }
    }

    /// Performs an act; gives how it ended where that is to be decided on.
    async fn perform(&mut self, act: Act, journal: &mut Journal) -> Option<Event> {
        match act {
            Act::MakeRoom => return Some(self.make_room(journal).await),
            Act::TakeStep => self.take_step(journal).await,
            Act::UndoStep => self.undo_step(journal).await,
            Act::Look => self.look(journal).await,
            Act::Retake => self.retake(journal).await,
            Act::SuspendTargets => self.suspend(journal).await,
            Act::UndoSteps => return Some(self.undo_steps(journal).await),
            Act::PostMortem => {
                let (held, within) = (journal.state(), self.build.time());
                self.evidence = operations::look_for_evidence(self.context, held, within).await;
            }
            Act::BeginLingering => return Some(self.begin_lingering(journal)),
            Act::BeginHolding => return Some(self.begin_holding()),
            Act::EndOrphan => {
                if let Some(child) = self.build.child {
                    orphan::end(child, &self.build.strays, &self.context.request.lease).await;
                }
            }
            Act::SayMade => self.say_made(),
            Act::RunRoomMadeHook => {
                let facts = std::mem::take(&mut self.facts);
                self.sources.hooks.begin(hook::Event::RoomMade, &facts);
            }
            // The first two are done where they are asked for, the others by `release`.
            Act::Cancel
            | Act::PutOff
            | Act::Release
            | Act::RunRestoredHook
            | Act::SayReleased
            | Act::SeeToRest
            | Act::Exit => {}
        }
        ended(act)
    }

    async fn make_room(&mut self, journal: &mut Journal) -> Event {
        let (cancel, since) = (Cancel::default(), Timestamp::now());
        let making = operations::make_room(self.context, journal, &cancel);
        let acquired = self.while_listening(making, &cancel).await;
        if !journal.state().targets.is_empty() {
            self.sources.engine.follow(since);
        }
        let made = match acquired {
            operations::Made::Room(_) => Made::Room,
            operations::Made::Covered => Made::Covered,
            operations::Made::HeldAlready(_) => Made::HeldAlready,
            operations::Made::NotRecorded => Made::NotRecorded,
        };
        self.made = Some(acquired);
        Event::RoomMade(made)
    }

    fn say_made(&mut self) {
        let tell = self.context.tell;
        match self.made.take() {
            Some(operations::Made::Room(room)) => {
                self.facts = Facts::of_room(&room);
                tell(FromKeeper::RoomMade(*room));
            }
            Some(operations::Made::Covered) => tell(FromKeeper::Covered),
            Some(operations::Made::HeldAlready(lease)) => tell(FromKeeper::HeldAlready { lease }),
            Some(operations::Made::NotRecorded) | None => {}
        }
    }

    async fn take_step(&mut self, journal: &mut Journal) {
        let Some(News::Due(Due::Take { step, cause, figures })) = self.at_hand.take() else {
            return;
        };
        let (cancel, since) = (Cancel::default(), Timestamp::now());
        let tell = without_progress(self.context.tell);
        let context = Context { tell: &tell, ..self.context };
        let taking = operations::take_step(context, journal, (step, cause, figures), &cancel);
        let Some(taken) = self.while_listening(taking, &cancel).await else { return };
        self.sources.pressure.taken(taken.held_bytes);
        if !taken.targets.is_empty() {
            self.sources.engine.follow(since);
        }
        if let Some(facts) = &taken.facts {
            self.sources.hooks.begin(hook::Event::Pressure, facts);
        }
        self.steps.push(taken);
    }

    async fn undo_step(&mut self, journal: &mut Journal) {
        let step = self.steps.pop().unwrap_or_default();
        self.sources.engine.leave(&step.targets);
        let cancel = Cancel::default();
        let tell = without_progress(self.context.tell);
        let context = Context { tell: &tell, ..self.context };
        // What is not done in time is in the journal still, and given back with the rest.
        let undoing = cancel.or(operations::undo_step(context, journal, &step));
        self.while_listening(undoing, &cancel).await;
        self.sources.pressure.undone();
    }

    async fn look(&mut self, journal: &mut Journal) {
        let Some(News::Sign(sign)) = self.at_hand.take() else { return };
        let Context { machine, tell, .. } = self.context;
        let (ids, look) = foreign_changes::to_look_at(&sign, journal.state());
        self.past.take_in(&sign);
        let (past, engine) = (&mut self.past, &mut self.sources.engine);
        foreign_changes::note_stopped(past, &sign, engine, self.context);
        match &sign {
            Sign::Happened(event) if ids.is_empty() => {
                foreign_changes::note_replacement(&mut self.past, event, tell);
            }
            // An engine that is ending takes no new connection, and answers on those that it has.
            Sign::Happened(_) | Sign::Confirm(_) => machine.forget_engine(),
            Sign::Missed { .. } | Sign::Again(_) => {}
        }
        for id in ids {
            let Some(held) = foreign_changes::held(&id, journal.state()).cloned() else { continue };
            let cancel = Cancel::default();
            let looking = cancel.or(changes::look(machine, &held));
            // Where that cannot be told, restoring looks again.
            let Some(Ok(now)) = self.while_listening(looking, &cancel).await else { continue };
            let has_ended = now.as_ref().is_some_and(|now| has_ended(&held, now));
            let by_somebody = match (&sign, &now) {
                (Sign::Happened(_), _) if has_ended => {
                    self.past.was_told_to_end(&id) && self.sources.engine.is_unbroken()
                }
                (_, Some(now)) if has_ended => {
                    let asking = cancel.or(changes::how_it_ended(machine, &held, now));
                    self.while_listening(asking, &cancel).await == Some(End::BySomebody)
                }
                _ => false,
            };
            if self.lifecycle.wants_room() {
                let (past, engine) = (&mut self.past, &mut self.sources.engine);
                let seen = (&held, now.as_ref(), by_somebody);
                foreign_changes::act_on(seen, look, past, journal, engine, self.context);
            }
        }
        if let Some(target) = self.past.take_restarted() {
            let cancel = Cancel::default();
            let telling = operations::tell_of_enforcers(self.context, journal.state(), &target);
            self.while_listening(cancel.or(telling), &cancel).await;
        }
    }

    async fn retake(&mut self, journal: &mut Journal) {
        let Some(News::Sign(Sign::Again(target))) = self.at_hand.take() else { return };
        let cancel = Cancel::default();
        let tell = without_progress(self.context.tell);
        let context = Context { tell: &tell, ..self.context };
        let taking = operations::take_again(context, journal, &target, &cancel);
        for target in self.while_listening(taking, &cancel).await {
            tell(FromKeeper::TakenAgain(target));
        }
    }

    async fn suspend(&mut self, journal: &mut Journal) {
        operations::suspend(self.context, journal).await;
        // Room is made anew when the build goes on.
        self.steps.clear();
        self.later.clear();
        self.sources.pressure.begin_anew();
        self.sources.engine.begin_anew();
        (self.context.tell)(FromKeeper::Suspended);
    }

    /// Undoes what only this build needed, after a last look at the host.
    async fn undo_steps(&mut self, journal: &mut Journal) -> Event {
        if let Some(sample) = self.sources.samples.last().await {
            (self.context.tell)(FromKeeper::Sample(sample));
        }
        for step in std::mem::take(&mut self.steps).iter().rev() {
            operations::undo_step(self.context, journal, step).await;
        }
        self.later.clear();
        let is_anything_left =
            self.context.request.settings.linger.is_some() && !journal.state().is_empty();
        Event::StepsUndone { is_anything_left }
    }

    fn begin_lingering(&mut self, journal: &mut Journal) -> Event {
        let Context { request, tell, .. } = self.context;
        let evidence = std::mem::take(&mut self.evidence);
        let Some(time) = request.settings.linger else { return Event::LingeringFailed };
        match linger::begin(journal, time) {
            Ok(control) => {
                self.sources.control = Some(control);
                tell(FromKeeper::Lingering(linger::told(journal.state(), time, evidence)));
                Event::LingeringBegun
            }
            Err(error) => {
                let text = format!("the room is not kept: {error}");
                tell(FromKeeper::Note(Note::new(Level::Warning, text)));
                Event::LingeringFailed
            }
        }
    }

    fn begin_holding(&mut self) -> Event {
        let Context { request, state, tell, .. } = self.context;
        let started = request.started.clone().unwrap_or_default();
        match Control::open(state.leases(), &request.lease, &started) {
            Ok(control) => {
                self.sources.control = Some(control);
                tell(FromKeeper::Holding);
                Event::HoldingBegun
            }
            Err(error) => {
                // A lease that `stop` could not reach would be held for ever.
                let text = format!("the lease cannot be held: {error}");
                tell(FromKeeper::Note(Note::new(Level::Shortfall, text)));
                Event::HoldingFailed
            }
        }
    }
}

/// The event of an act that can end in one way only.
fn ended(act: Act) -> Option<Event> {
    match act {
        Act::TakeStep => Some(Event::StepTaken),
        Act::UndoStep => Some(Event::StepUndone),
        Act::Look => Some(Event::Looked),
        Act::Retake => Some(Event::Retaken),
        Act::SuspendTargets => Some(Event::Suspended),
        Act::PostMortem => Some(Event::Examined),
        Act::EndOrphan => Some(Event::OrphanEnded),
        _ => None,
    }
}
