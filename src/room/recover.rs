//! Owns restoring the leases of dead holders, before room is made and in `recover`. Engines and
//! hosts are reached without the state directory's lock, all at once; it is held only while targets
//! are brought back that can be. Runs in the keeper and in `recover`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::{
    core::{
        lease::{
            late_call::awaited,
            record::{AreaGone, LeaseState, Opened, Record},
        },
        machine::{route::Route, way::Prefix},
        run::{
            note::{Level, Note},
            results::{Back, SwapBack},
            room_settings::Afterwards,
            wire::FromKeeper,
        },
        text, values,
    },
    lease::{
        journal::Journal,
        leases::{Leases, id_of},
        state_dir::{StateDir, StateLock},
    },
    room::{
        Tell,
        late_calls::Waiting,
        machine::Machine,
        restore::{Parting, RETRY, Restorer},
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
        if let Some(opened) = journal.state().opened.clone().filter(|opened| !opened.releasing) {
            // What is not written is found out again by looking.
            let _ = journal.announce(&Record::Opened(Opened { releasing: true, ..opened }));
        }
    }
    drop((leases, lock));
    let ids: Vec<String> = dead.iter().map(|journal| id_of(journal.path())).collect();
    let machine = |(journal, id): (&Journal, &String)| {
        Machine::recorded(journal.state().opened.as_ref(), vm_shell, id)
    };
    let reaches: Vec<Machine> = dead.iter().zip(&ids).map(machine).collect();
    let limit = effort.limit();
    let walls = join_all(
        dead.iter().zip(&reaches).map(|(journal, machine)| walls(journal.state(), machine, limit)),
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
    let parting = dead.into_iter().zip(&reaches).zip(walls).map(|((journal, machine), walls)| {
        let restorer = Restorer { state, machine, limit, afterwards: Afterwards::default(), tell };
        let before = journal.state().clone();
        let leases = &leases;
        async move {
            (
                before,
                restorer,
                tokio::time::timeout(longest(effort), part(restorer, journal, leases, walls))
                    .await
                    .ok(),
            )
        }
    });
    let partings = join_all(parting).await;
    drop((leases, lock));
    let (mut restored, mut waiting) = (Vec::new(), Vec::new());
    for (id, (before, restorer, parting)) in ids.into_iter().zip(partings) {
        let (back, late) = match parting {
            Some(parting) => restorer.finish_recovery(parting).await,
            None => (
                left(&before, &format!("the engine has not answered for {} s", limit.as_secs())),
                None,
            ),
        };
        if !before.is_empty() || before.damaged_line.is_some() {
            let line = recovered(&id, &before, &back);
            note(match effort {
                Effort::Brief if !back.late.is_empty() && line.hint.is_none() => {
                    line.hint("`makeroom recover` waits for it")
                }
                _ => line,
            });
            waiting.extend(late.map(|late| (restored.len(), restorer, late)));
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
    waiting: Vec<(usize, Restorer<'_>, Waiting)>,
    tell: Tell<'_>,
) {
    if waiting.is_empty() {
        return;
    }
    tell(FromKeeper::Note(Note::new(
        Level::Info,
        "waiting for that; ended now, it stays recorded",
    )));
    let waited = join_all(
        waiting
            .into_iter()
            .map(|(index, restorer, late)| async move { (index, restorer.wait_for(late).await) }),
    )
    .await;
    for (index, late) in waited {
        let back = &mut restored[index].1;
        tell(FromKeeper::Note(came(&late)));
        back.add_late(late);
    }
}

/// One line about what became of the calls that were waited for.
#[must_use]
pub fn came(late: &Back) -> Note {
    match (late.restored, late.failed.is_empty()) {
        (0, true) => Note::new(Level::Info, "nothing came any more"),
        (restored, true) => Note::new(
            Level::Info,
            format!("it came: {} running again", text::count(restored, "service")),
        ),
        // The last line says which.
        (_, false) => Note::new(Level::Info, "what came could not be put back"),
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
            wall(deadline, async || machine.engine().await.map(drop)).await
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
    let mut said = "no answer in time".to_owned();
    for attempt in 0.. {
        match tokio::time::timeout_at(deadline.into(), reach()).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => said = error.to_string(),
            // What it said before says more.
            Err(_) => break,
        }
        let pause = RETRY[attempt.min(RETRY.len() - 1)];
        if Instant::now() + pause >= deadline {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    Some(said)
}

async fn part(
    restorer: Restorer<'_>,
    mut journal: Journal,
    leases: &Leases,
    walls: Walls,
) -> Parting {
    let before = journal.state().clone();
    if let Some(note) = restorer.machine.refusal(&before) {
        restorer.note(note);
    }
    if before.damaged_line.is_some() {
        // What it was about to do to them is not known: whoever can be read comes first.
        for path in before.areas.keys().filter(|path| leases.has_area(path, before.host())) {
            restorer.record(
                &mut journal,
                &Record::AreaGone { path: path.clone(), how: AreaGone::HandedOver },
            );
        }
    }
    let (has_engine, has_host) = (walls.engine.is_none(), walls.host.is_none());
    let mut parting = restorer.part(journal, leases, |_| has_engine, has_host).await;
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

/// One line about a lease that was found without its holder, and what became of it.
#[must_use]
pub fn recovered(lease: &str, state: &LeaseState, back: &Back) -> Note {
    let opened = state.opened.as_ref();
    let whose = opened.map_or_else(String::new, |opened| {
        let program = opened
            .program
            .as_deref()
            .map_or_else(String::new, |program| format!(" of `{}`", text::printable(program)));
        format!("{program} begun {}", opened.at.strftime("%F %T UTC"))
    });
    let held = text::names(state.targets.values().map(|held| held.target.name.as_str()), 5);
    let mut said = format!("a lease{whose} had lost its holder");
    if !state.targets.is_empty() {
        said += &format!(
            " and still held {held}; {} running again",
            text::count(back.restored, "service")
        );
    }
    if let Some((_, reason)) = back.failed.first() {
        said += &format!(", {} not: {}", back.failed.len(), text::printable(reason));
    }
    match &back.swap {
        Some(SwapBack::Removed) => said += "; its swap removed",
        Some(SwapBack::Stays { path, reason }) => {
            said +=
                &format!("; its swap {} stays: {}", text::printable(path), text::printable(reason));
        }
        Some(SwapBack::HandedOver) | None => {}
    }
    if let Some(late) = awaited(&back.late) {
        said += &format!("; {late}");
    }
    let is_whole = back.failed.is_empty() && !matches!(back.swap, Some(SwapBack::Stays { .. }));
    if let Some(line) = state.damaged_line {
        let kept =
            if is_whole { format!("set aside as {lease}.damaged") } else { "kept".to_owned() };
        said += &format!(
            "; line {line} of its journal is damaged and may have held more: it is {kept}"
        );
        if !state.lost.is_empty() {
            let lost = text::names(state.lost.iter().map(String::as_str), 5);
            said += &format!("; it names {lost}, and what is to be done for that is lost");
        }
    }
    if !is_whole {
        let hint = format!(
            "`makeroom recover` tries for longer, `makeroom recover --forget {}` gives it up",
            text::printable(lease)
        );
        return Note::new(Level::Warning, said).hint(hint);
    }
    if state.damaged_line.is_some() {
        return Note::new(Level::Warning, said)
            .hint("`docker ps --all --filter status=paused --filter status=exited` shows what may still be down");
    }
    Note::new(if back.late.is_empty() { Level::Info } else { Level::Warning }, said)
}
