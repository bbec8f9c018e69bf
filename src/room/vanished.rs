//! Owns what is found out at the end about targets that were removed while they were held: whether
//! another one runs in their place. Changes nothing. Runs in the keeper, and in `recover` and `stop`
//! for leases whose holder is dead.

use std::collections::BTreeMap;

use crate::{
    core::{
        lease::state::HeldTarget,
        run::results::Gone,
        target::{in_place::is_in_place_of, seen::Listed, state::State},
    },
    room::context::Context,
};

/// Looks once at what there is. Where that cannot be seen, they count as vanished: so much is known.
pub(crate) async fn look(
    context: &Context<'_>,
    removed: &BTreeMap<String, HeldTarget>,
) -> Vec<Gone> {
    if removed.is_empty() {
        return Vec::new();
    }
    let listing = async { context.machine.targets().await?.list(&[]).await };
    let limit = context.restore_timeout();
    let listed = match tokio::time::timeout(limit, listing).await {
        Ok(Ok(listing)) => listing.targets,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let runs = |listed: &&Listed| listed.state != State::Stopped;
    let gone = |HeldTarget { target, method, .. }: &HeldTarget| Gone {
        id: target.id.clone(),
        name: target.name.clone(),
        method: *method,
        is_replaced: listed.iter().filter(runs).any(|listed| is_in_place_of(listed, target)),
    };
    removed.values().map(gone).collect()
}
