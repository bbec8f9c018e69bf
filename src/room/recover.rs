//! Owns restoring the leases of dead holders, before room is made and in `recover`. Engines and
//! hosts are reached without the state directory's lock, all at once; it is held only while targets
//! are brought back that can be. Runs in the keeper and in `recover`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::{
    core::{
        lease::{
            record::{AreaGone, Record},
            state::LeaseState,
        },
        machine::{route::Route, way::Prefix},
        run::{
            note::{Level, Note},
            results::{Back, SwapBack},
            wire::{FromKeeper, Request},
        },
        text, values,
    },
    lease::{
        journal::Journal,
        leases::{Leases, id_of},
        state_dir::{StateDir, StateLock},
    },
    room::{
        announce,
        cancel::Cancel,
        context::{Context, Tell},
        machine::Machine,
        recovered::{came, recovered},
        release::{self, Parting, Rest},
        retry::Backoff,
    },
};

/// A run that only comes by tries once, and no longer than a person notices.
const SHORT_TRY: Duration = Duration::from_secs(2);
/// Another makeroom that makes or gives back room is done within moments, or stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How much is done for the leases of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// One short try: a build waits for it.
    Brief,
    /// Until this time limit; and what a call may still do is waited for, however long that takes.
    Full(Duration),
}

impl Effort {
    fn limit(self) -> Duration {
        match self {
            Self::Brief => SHORT_TRY,
            Self::Full(limit) => limit,
        }
    }
}

/// What is between us and what a dead lease has.
#[derive(Debug)]
struct Walls {
    engine: Option<String>,
    host: Option<String>,
}

/// Restores all dead leases that were found, tells of each, and gives what those that had anything
/// were like before. Their journals stay locked until they are gone, so nobody else recovers them,
/// and are marked, so nobody takes them for leases that hold something. What cannot be put back
/// stays recorded. `vm_shell` is gone where a recorded way cannot be.
pub async fn recover(
    state: &StateDir,
    (mut leases, lock): (Leases, StateLock),
    effort: Effort,
    vm_shell: Option<&Prefix>,
    tell: Tell<'_>,
) -> Vec<(LeaseState, Back)> {
    let mut dead = std::mem::take(&mut leases.dead);
    // From here on nobody takes them for leases that hold something, or for nothing.
    for journal in dead.iter_mut().filter(|journal| !journal.state().is_empty()) {
        // What is not written is found out again by looking.
        let _ = announce::releasing(journal);
    }
    drop((leases, lock));
    let ids: Vec<String> = dead.iter().map(|journal| id_of(journal.path())).collect();
    let machine = |(journal, id): (&Journal, &String)| {
        Machine::recorded(journal.state().opened.as_ref(), vm_shell, id)
    };
    let machines: Vec<Machine> = dead.iter().zip(&ids).map(machine).collect();
    let limit = effort.limit();
    let walls = join_all(
        dead.iter().zip(&machines).map(|(journal, machine)| walls(journal.state(), machine, limit)),
    )
    .await;
    let note = |note| tell(FromKeeper::Note(note));
    let lock = match state.lock_later(LOCK_PATIENCE).await {
        Ok(lock) => lock,
        Err(error) => {
            note(
                Note::new(
                    Level::Warning,
                    format!("{error}; leases without a holder are left alone"),
                )
                .hint(error.hint()),
            );
            return Vec::new();
        }
    };
    let mut leases = match Leases::look(state, &lock, None) {
        Ok(leases) => leases,
        Err(error) => {
            note(Note::new(
                Level::Warning,
                format!("{error}; leases without a holder are left alone"),
            ));
            return Vec::new();
        }
    };
    // Ours are among them: we hold their locks.
    leases.live.retain(|(lease, _)| !ids.contains(lease));
    let requests: Vec<Request> = ids.iter().map(|id| Request::to_restore(id, limit)).collect();
    let cancel = Cancel::default();
    let ways = machines.iter().zip(&requests);
    let contexts: Vec<Context<'_>> = ways
        .map(|(machine, request)| Context { request, state, machine, cancel: &cancel, tell })
        .collect();
    let parting = dead.into_iter().zip(&contexts).zip(walls).map(|((journal, context), walls)| {
        let before = journal.state().clone();
        let parting = part(context, journal, &leases, walls);
        async move { (before, tokio::time::timeout(longest(effort), parting).await.ok()) }
    });
    let partings = join_all(parting).await;
    drop((leases, lock));
    let (mut restored, mut waiting) = (Vec::new(), Vec::new());
    for ((id, context), (before, parting)) in ids.iter().zip(&contexts).zip(partings) {
        let (back, late) = match parting {
            Some(parting) => release::finish(context, parting).await,
            None => (
                left(&before, &format!("the engine has not answered for {} s", limit.as_secs())),
                None,
            ),
        };
        let is_any = !before.is_empty() || !before.stopped.is_empty();
        if is_any || before.damaged_line.is_some() {
            let line = recovered(id, &before, &back);
            note(match effort {
                Effort::Brief if !back.late.is_empty() && line.hint.is_none() => {
                    line.hint("`makeroom recover` waits for it")
                }
                _ => line,
            });
            waiting.extend(late.map(|late| (restored.len(), context, late)));
            restored.push((before, back));
        }
    }
    if let Effort::Full(_) = effort {
        wait_for_late(&mut restored, waiting, tell).await;
    }
    restored
}

async fn wait_for_late(
    restored: &mut [(LeaseState, Back)],
    waiting: Vec<(usize, &Context<'_>, Rest)>,
    tell: Tell<'_>,
) {
    if waiting.is_empty() {
        return;
    }
    tell(FromKeeper::Note(Note::new(
        Level::Info,
        "waiting for that; ended now, it stays recorded",
    )));
    let waited = join_all(waiting.into_iter().map(|(index, context, late)| async move {
        (index, release::wait_for(context, late).await)
    }))
    .await;
    for (index, late) in waited {
        let back = &mut restored[index].1;
        tell(FromKeeper::Note(came(&late)));
        back.add_late(late);
    }
}

/// The longest that the lock is held for others' leases.
fn longest(effort: Effort) -> Duration {
    match effort {
        Effort::Brief => SHORT_TRY,
        Effort::Full(_) => Duration::MAX,
    }
}

/// Looks whether what the lease needs can be reached, until it can or the time is over.
async fn walls(state: &LeaseState, machine: &Machine, limit: Duration) -> Walls {
    let deadline = values::deadline(Instant::now(), limit);
    let engine = async {
        if state.targets.is_empty() {
            None
        } else {
            wall(deadline, async || machine.targets().await.map(drop)).await
        }
    };
    let host = async {
        match machine.shell.route() {
            // A way that cannot be gone is asked once: what it runs can be slow to say no.
            Route::Behind(_) if !state.areas.is_empty() => {
                machine.shell.run("", limit).await.err().map(|error| error.to_string())
            }
            Route::NoWay { engine } if !state.areas.is_empty() => {
                Some(format!("no way into {} is known", text::printable(engine)))
            }
            _ => None,
        }
    };
    let (engine, host) = futures_util::future::join(engine, host).await;
    Walls { engine, host }
}

/// What keeps this from being reached; one attempt at least.
async fn wall<E: std::fmt::Display>(
    deadline: Instant,
    reach: impl AsyncFn() -> Result<(), E>,
) -> Option<String> {
    let (mut said, mut backoff) = ("no answer in time".to_owned(), Backoff::for_engine());
    loop {
        match tokio::time::timeout_at(deadline.into(), reach()).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => said = error.to_string(),
            // What it said before says more.
            Err(_) => break,
        }
        if !backoff.wait(Some(deadline)).await {
            break;
        }
    }
    Some(said)
}

async fn part(
    context: &Context<'_>,
    mut journal: Journal,
    leases: &Leases,
    walls: Walls,
) -> Parting {
    let before = journal.state().clone();
    if let Some(note) = context.machine.refusal(&before) {
        context.note(note);
    }
    if before.damaged_line.is_some() {
        // What it was about to do to them is not known: whoever can be read comes first.
        for path in before.areas.keys().filter(|path| leases.has_area(path, before.host())) {
            context.record_restored(
                &mut journal,
                &Record::AreaGone { path: path.clone(), how: AreaGone::HandedOver },
            );
        }
    }
    let (has_engine, has_host) = (walls.engine.is_none(), walls.host.is_none());
    let mut parting = release::part(context, journal, leases, |_| has_engine, has_host).await;
    if let Some(reason) = walls.engine {
        parting.back.failed.extend(left(&before, &reason).failed);
    }
    if let (Some(reason), Some(path)) = (walls.host, before.areas.keys().next()) {
        parting.back.swap = Some(SwapBack::Stays { path: path.clone(), reason });
    }
    parting
}

/// What is said where nothing was tried.
fn left(state: &LeaseState, reason: &str) -> Back {
    Back {
        failed: state
            .targets
            .values()
            .map(|held| (held.target.name.clone(), reason.to_owned()))
            .collect(),
        ..Back::default()
    }
}
