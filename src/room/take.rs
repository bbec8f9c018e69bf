//! Owns taking the claimed targets, all at once: each intent is on disk before its act, and each
//! outcome after it. Runs in the keeper.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};

use crate::{
    core::{
        few::Few,
        lease::{late_call::Call, record::Record},
        run::{
            note::{Level, Phase},
            results::Room,
            wire::FromKeeper,
        },
        target::{
            candidate::Candidate,
            cgroup_of::CgroupOf,
            kind::USUAL,
            method::Method,
            recorded::Target,
            start_order::{self, lives_with},
        },
        text,
    },
    host::kernel::moment,
    lease::journal::Journal,
    room::{
        claim::{Claimed, room_target},
        context::Context,
        mark::mark_held,
    },
    targets::{
        all::Targets,
        error::TargetError,
        kind::TargetKind as _,
        pace::{PAUSE_LIMIT, at_once, stop_limit},
    },
};

/// Between two attempts to freeze what the kernel could not freeze; the runtime itself has tried for
/// a second or more.
const BUSY_RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];
/// Why an announced target was not taken, in the journal.
const CANCELLED: &str = "cancelled";

/// What was taken, as far as its memory is to be pushed out.
#[derive(Default)]
pub(crate) struct Taken {
    /// The cgroups of what is paused.
    pub(crate) paused: Vec<CgroupOf>,
    /// As in [`Claimed`].
    pub(crate) theirs: Vec<String>,
    /// The name of each target, by its id.
    pub(crate) names: HashMap<String, String>,
}

enum NotTaken {
    Cancelled,
    /// This one lives in it and runs on: a stop would cut it off.
    LivedIn(String),
    Failed(TargetError),
}

/// Announces all of them, takes them, and adds to the room what they come to.
pub(crate) async fn take_all(
    context: &Context<'_>,
    targets: &Targets,
    journal: &mut Journal,
    claimed: Claimed,
    room: &mut Room,
) -> Taken {
    let Claimed { candidates, mut joined, paused, theirs, names } = claimed;
    let mut taken = Taken { paused, theirs, names };
    let rounds = in_rounds(candidates);
    let intents = intents(context, &rounds);
    if !intents.is_empty() && !context.cancel.is_said() {
        mark_held(context);
        if let Err(error) = journal.intend(&intents) {
            context.shortfall(format!("no {USUAL} is paused: {error}"), None);
        } else {
            take_announced(context, targets, journal, rounds, &mut taken, room).await;
        }
    }
    let with = |method| joined.iter().filter(|target| target.method == method).count();
    room.joined = joined.len();
    room.paused += with(Method::Pause);
    room.stopped += with(Method::Stop);
    room.targets.append(&mut joined);
    taken
}

/// Those that are taken one after the other: who lives with one that is stopped ends before it.
type Rounds = Vec<Vec<(Candidate, Method)>>;

fn in_rounds(candidates: Vec<(Candidate, Method)>) -> Rounds {
    let of = |(index, level): (usize, Vec<usize>)| level.into_iter().map(move |one| (one, index));
    let targets: Vec<&Target> = candidates.iter().map(|(one, _)| &one.target).collect();
    let levels = start_order::stop_levels(&targets);
    let count = levels.len();
    let round_of: HashMap<usize, usize> = levels.into_iter().enumerate().flat_map(of).collect();
    let mut rounds: Rounds = (0..count).map(|_| Vec::new()).collect();
    for (index, (candidate, method)) in candidates.into_iter().enumerate() {
        // Who is frozen waits for nobody.
        let round = if method == Method::Stop { round_of.get(&index) } else { None };
        rounds[round.copied().unwrap_or(0)].push((candidate, method));
    }
    rounds
}

fn intents(context: &Context<'_>, rounds: &Rounds) -> Vec<Record> {
    let (at, at_once) = (moment(), at_once());
    let candidates = rounds.iter().flatten();
    let longest = candidates.map(|(one, method)| answer_limit(context, one, *method)).max();
    let numbered = rounds
        .iter()
        .enumerate()
        .flat_map(|(round, candidates)| candidates.iter().map(move |one| (round, one)));
    let intent = |(index, (round, (candidate, method))): (usize, (usize, &(Candidate, Method)))| {
        // So many rounds of calls come first.
        let rounds = u32::try_from(index / at_once + round).unwrap_or(u32::MAX);
        let behind = longest.unwrap_or_default().saturating_mul(rounds);
        let call = match method {
            Method::Pause => Call::pause(at, behind),
            Method::Stop => Call::stop(at, stop_patience(context, candidate), behind),
        };
        Record::Taking { target: candidate.target.clone(), method: *method, call: Some(call) }
    };
    numbered.enumerate().map(intent).collect()
}

async fn take_announced(
    context: &Context<'_>,
    targets: &Targets,
    journal: &mut Journal,
    rounds: Rounds,
    taken: &mut Taken,
    room: &mut Room,
) {
    let is_begun: Vec<_> =
        rounds.iter().flatten().map(|(one, _)| (one.target.id.clone(), Cell::new(false))).collect();
    // Those that run on, of the rounds that are over.
    let run_on = RefCell::new(Vec::<Target>::new());
    let (total, mut begun) = (is_begun.len(), is_begun.iter());
    let (mut done, mut few) = (0, Few::default());
    let tell = |done| (context.tell)(FromKeeper::Progress { phase: Phase::Pausing, done, total });
    tell(done);
    let patience = context.cancel.patience();
    tokio::pin!(patience);
    // What is not known after the patience stays announced in the journal, and its call goes on:
    // restoring looks at it.
    for round in rounds {
        let taking = round.into_iter().zip(begun.by_ref());
        let taking = taking.map(|((candidate, method), (_, is_begun))| {
            let run_on = &run_on;
            async move {
                is_begun.set(true);
                let result = take(context, targets, &candidate, method, run_on).await;
                (candidate, method, result)
            }
        });
        let mut results = stream::iter(taking).buffer_unordered(at_once());
        while let Some((candidate, method, result)) =
            tokio::select! { result = results.next() => result, () = &mut patience => None }
        {
            done += 1;
            tell(done);
            let is_taken = result.is_ok();
            let outcome = outcome(context, &candidate, method, result, &mut few);
            context.record(journal, &outcome);
            let Candidate { target, memory_bytes, seen, .. } = candidate;
            if is_taken {
                *(if method == Method::Pause { &mut room.paused } else { &mut room.stopped }) += 1;
                taken.paused.extend(seen.cgroup.filter(|_| method == Method::Pause));
                room.targets.push(room_target(&target, memory_bytes, method));
            } else {
                run_on.borrow_mut().push(target);
            }
        }
    }
    for (id, _) in is_begun.into_iter().filter(|(_, is_begun)| !is_begun.get()) {
        context.record(journal, &Record::NotTaken { id, reason: CANCELLED.to_owned() });
    }
    context.note_rest(&few, Level::Warning);
}

async fn take(
    context: &Context<'_>,
    targets: &Targets,
    candidate: &Candidate,
    method: Method,
    run_on: &RefCell<Vec<Target>>,
) -> Result<(), NotTaken> {
    if context.cancel.is_said() {
        return Err(NotTaken::Cancelled);
    }
    let target = &candidate.target;
    if method == Method::Stop
        && let Some(other) = run_on.borrow().iter().find(|other| lives_with(other, target))
    {
        return Err(NotTaken::LivedIn(other.name.clone()));
    }
    let done = match method {
        Method::Pause => pause(context, targets, target).await,
        Method::Stop => {
            let patience = context.request.settings.stop_timeout;
            let limit = answer_limit(context, candidate, method);
            targets.of(target.kind()).stop(target.handle(), patience, limit).await
        }
    };
    done.map_err(NotTaken::Failed)
}

/// A busy machine's freezer is asked again.
async fn pause(
    context: &Context<'_>,
    targets: &Targets,
    target: &Target,
) -> Result<(), TargetError> {
    let kind = targets.of(target.kind());
    for pause in BUSY_RETRY {
        match kind.pause(target.handle()).await {
            Err(error) if error.is_freezer_busy() && !context.cancel.is_said() => {
                tokio::time::sleep(pause).await;
            }
            done => return done,
        }
    }
    kind.pause(target.handle()).await
}

/// How long the target is given to stop; `None`: for ever.
fn stop_patience(context: &Context<'_>, candidate: &Candidate) -> Option<Duration> {
    context.request.settings.stop_timeout.or(candidate.seen.stop_patience)
}

/// How long the answer to its call is waited for.
fn answer_limit(context: &Context<'_>, candidate: &Candidate, method: Method) -> Duration {
    match method {
        Method::Pause => PAUSE_LIMIT,
        Method::Stop => stop_limit(stop_patience(context, candidate)),
    }
}

fn outcome(
    context: &Context<'_>,
    candidate: &Candidate,
    method: Method,
    result: Result<(), NotTaken>,
    few: &mut Few,
) -> Record {
    let id = candidate.target.id.clone();
    let error = match result {
        Ok(()) => return Record::Taken { id, unknown: None, call: None },
        Err(NotTaken::Cancelled) => {
            return Record::NotTaken { id, reason: CANCELLED.to_owned() };
        }
        Err(NotTaken::LivedIn(other)) => {
            let reason = format!("`{}`, which lives in it, runs on", text::printable(&other));
            let name = text::printable(&candidate.target.name);
            context.shortfall_few(few, format!("`{name}` is not stopped: {reason}"), None);
            return Record::NotTaken { id, reason };
        }
        Err(NotTaken::Failed(error)) => error,
    };
    let verb = if method == Method::Pause { "pause" } else { "stop" };
    let reason = text::printable(&error.to_string());
    // Paused already, by the late call of a keeper before this one: ours all the same.
    if candidate.announced && error.is_conflict() {
        return Record::Taken { id, unknown: Some(reason), call: Some(Call::over(moment())) };
    }
    if !error.is_gone() {
        let name = text::printable(&candidate.target.name);
        let hint = "wait until it is up, or leave it out with --keep".to_owned();
        context.shortfall_few(few, format!("cannot {verb} `{name}`: {reason}"), Some(hint));
    }
    if !error.is_outcome_unknown() {
        return Record::NotTaken { id, reason };
    }
    // One that is not answered is under way still; of the others this much may be left.
    let is_short =
        if error.is_connection_lost() { method == Method::Pause } else { !error.is_unanswered() };
    Record::Taken { id, unknown: Some(reason), call: is_short.then(|| Call::broken(moment())) }
}
