//! Owns looking at the other leases before something is taken, under the lock that they are ordered
//! by. Runs in the keeper.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    core::{
        few::Few,
        lease::state::LeaseState,
        run::note::{Level, Note},
        target::recorded::Target,
        text,
    },
    lease::{leases::Leases, state_dir::StateLock},
    room::{
        context::Context,
        recover::{Effort, recover},
    },
};

/// Another makeroom that makes or gives back room is done within moments, or stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The other leases, with the lock under which they stay so, once what dead holders left is put
/// back. `None`, and said, where that cannot be had.
pub(crate) async fn others(context: &Context<'_>) -> Option<(Leases, StateLock)> {
    let (leases, lock) = look(context).await?;
    let mut few = Few::default();
    for error in &leases.unreadable {
        let note = Note::new(Level::Warning, format!("{error}; it is left alone"));
        context.note_few(&mut few, note.hint("`makeroom status` shows what it may still hold"));
    }
    context.note_rest(&few, Level::Warning);
    if leases.dead.is_empty() {
        return Some((leases, lock));
    }
    recover(context.state, (leases, lock), Effort::Brief, None, context.tell).await;
    // What could not be put back stays dead, and is the next one's to try.
    look(context).await
}

/// The same as they are.
pub(crate) async fn look(context: &Context<'_>) -> Option<(Leases, StateLock)> {
    let lock = context.state.lock_later(LOCK_PATIENCE).await;
    let lock =
        lock.map_err(|error| context.shortfall(error.to_string(), Some(error.hint()))).ok()?;
    let own = Some(context.request.lease.as_str());
    let leases = Leases::look(context.state, &lock, own).unwrap_or_else(Leases::unseen);
    // What another lease holds must not be taken for free.
    if let Some(error) = leases.why_unseen() {
        let text = format!(
            "{}; another lease may hold something: nothing is changed",
            text::printable(&error.to_string())
        );
        let hint = "`makeroom status` shows what is held; `ulimit -n` how many files may be open";
        context.shortfall(text, Some(hint.to_owned()));
        return None;
    }
    Some((leases, lock))
}

/// The targets that leases have taken, or were about to.
pub(crate) fn recorded<'a>(own: &'a LeaseState, others: &'a Leases) -> Vec<&'a Target> {
    let states = std::iter::once(own).chain(others.holding().map(|(_, state)| state));
    let held = states.flat_map(|state| state.targets.values());
    let by_id: BTreeMap<&str, &Target> =
        held.map(|held| (held.target.id.as_str(), &held.target)).collect();
    by_id.into_values().collect()
}
