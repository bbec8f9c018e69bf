//! Owns the last look before everything is put back: what the engine has told and nobody has looked
//! at yet. What somebody has stopped since is not to be started. Runs in the keeper.

use std::time::Duration;

use futures_util::future;

use crate::{
    core::lease::foreign_change::has_ended,
    keeper::{
        changes,
        engine_watch::{EngineWatch, Sign},
        foreign_changes::{self, Look, Past},
        operations::Context,
    },
    lease::journal::Journal,
};

/// It takes no longer: whoever waits for the targets waits for this.
const LIMIT: Duration = Duration::from_secs(1);

/// Takes in these signs and what comes after them, looks at the paused targets that somebody wanted
/// to end, and tells what is not told yet.
pub(crate) async fn look(
    context: Context<'_>,
    signs: impl Iterator<Item = Sign>,
    past: &mut Past,
    engine: &mut EngineWatch<'_>,
    journal: &mut Journal,
) {
    for sign in signs.chain(engine.told().into_iter().map(Sign::Happened)) {
        past.take_in(&sign);
    }
    let machine = context.machine;
    let held = journal.state().targets.values();
    let told = held.filter(|held| past.may_have_been_stopped(held)).cloned().collect::<Vec<_>>();
    if !told.is_empty() {
        machine.forget_engine();
    }
    let looking = told.into_iter().map(|held| async move {
        let looked = tokio::time::timeout(LIMIT, changes::look(machine, &held)).await;
        (held, looked)
    });
    for (held, looked) in future::join_all(looking).await {
        let Ok(Ok(Some(now))) = looked else { continue };
        if has_ended(&held, &now) && engine.is_unbroken() {
            let seen = (&held, Some(&now), true);
            foreign_changes::act_on(seen, Look::First, past, journal, engine, context);
        }
    }
    foreign_changes::tell_rest(past, context.tell);
}
