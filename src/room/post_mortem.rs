//! Owns looking for evidence after a build that may have been killed for want of memory: what the
//! kernel killed, and which containers could have made more room. Changes nothing. Runs in the
//! keeper.

use std::time::Duration;

use crate::{
    core::{
        plan::estimate,
        run::{oom_log::Killed, verdict::Spare, wire::Request},
        target::{seen::Listed, selector::any_matches, state::State},
    },
    host::{container::own_container, findings, reclaim},
    room::machine::Machine,
};

/// A remedy is worth this much of somebody's time, who waits for the end of a run.
const LIMIT: Duration = Duration::from_secs(5);
/// More are named by nobody.
const MOST: usize = 3;
/// A service that gives less is no remedy.
const WORTH_BYTES: u64 = 32 << 20;

/// What the host's kernel killed for memory within this time; nothing where that cannot be told.
pub(crate) async fn killed(machine: &Machine, within: Duration) -> Vec<Killed> {
    let looking = findings::killed(&machine.shell, within);
    tokio::time::timeout(LIMIT, looking).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// The largest containers that ran all the while; none where that cannot be told in time. `taken`
/// are the ids of those that made room.
pub(crate) async fn spare(machine: &Machine, request: &Request, taken: &[String]) -> Vec<Spare> {
    tokio::time::timeout(LIMIT, look(machine, request, taken))
        .await
        .ok()
        .flatten()
        .unwrap_or_default()
}

async fn look(machine: &Machine, request: &Request, taken: &[String]) -> Option<Vec<Spare>> {
    let targets = machine.targets().await.ok()?;
    let keep = &request.settings.keep;
    let own = own_container();
    let is_spare = |listed: &&Listed| {
        listed.state == State::Running
            && !taken.contains(&listed.id)
            && own.as_ref() != Some(&listed.id)
            && !any_matches(keep, listed)
    };
    let listed = targets.list(&[]).await.ok()?.targets;
    let others: Vec<&Listed> = listed.iter().filter(is_spare).collect();
    let cgroups = targets.cgroups(others.iter().map(|listed| listed.handle())).await;
    let measured = reclaim::look(&machine.shell, &cgroups).await.ok()?;
    let of = |listed: &&Listed| {
        let bytes = estimate::gives(measured.targets.get(&listed.id)?, true).pause_bytes;
        Some(Spare { name: listed.name().to_owned(), bytes })
    };
    let mut spare: Vec<Spare> =
        others.iter().filter_map(of).filter(|spare| spare.bytes >= WORTH_BYTES).collect();
    spare.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
    spare.truncate(MOST);
    Some(spare)
}
