//! Owns what is said when the build has ended, and when everything is back. Runs in the supervisor.

use crate::{
    core::{
        lease::{foreign_change::ForeignChange::Recreated, late_call::awaited},
        run::{
            build_site::BuildSite,
            heard::Heard,
            report::RunReport,
            results::{Back, Gone, SwapBack},
        },
    },
    report::{
        console::Say,
        health_lines,
        run_lines::{self, BuildFigures},
        vanished_lines,
    },
    supervise::keepers::Keepers,
};

/// Says how the build ended; nothing where that is not known yet.
pub(super) fn say_build_ended(say: &mut Say, heard: &Heard) {
    let (Some(end), Some(seen)) = (heard.child_end, &heard.memory_seen) else { return };
    let site = heard.about.site;
    say.fold();
    say.info(run_lines::build_ended(&BuildFigures {
        ending: end.ending,
        took: end.took,
        host: heard.host.as_deref(),
        peak_bytes: seen.peak_bytes,
        is_largest_process: !heard.about.sees_all_processes && !site.is_in_engine(),
        available_min_bytes: seen.available_min_bytes,
        full_stall: seen.full_stall,
        oom_kills: seen.oom_kills,
    }));
    if heard.ended_by().is_some() && site == BuildSite::Container {
        say.warning(
            "only the client was ended: what it started in the engine may go on",
            Some("`docker ps` shows it"),
        );
    }
}

/// Says what is back, and why the build ended as it did.
pub(super) fn say_all_back(say: &mut Say, heard: &Heard, report: Option<&RunReport>) {
    let lease = heard.about.lease.as_deref().unwrap_or_default();
    let lingering =
        || heard.lingering.as_ref().map(|lingering| run_lines::lingering(lease, lingering));
    if let Some(line) = heard.back.as_ref().map_or_else(lingering, run_lines::all_back) {
        say.info(line);
    }
    if let Some(line) = heard.back.as_ref().and_then(health_lines::not_healthy) {
        say.warning(line, Some("`docker ps` shows their health, `docker logs` what they say"));
    }
    if let Some(line) = heard.back.as_ref().and_then(health_lines::lagging) {
        say.info(line);
    }
    // What was said when it happened is not said again.
    let is_news = |back: &&Back| {
        let said = |gone: &Gone| heard.foreign_changes.get(&gone.id) == Some(&Recreated);
        back.gone.iter().any(|gone| gone.is_replaced && !said(gone))
    };
    if let Some(line) = heard.back.as_ref().filter(is_news).and_then(vanished_lines::replaced) {
        say.info(line);
    }
    let verdict = report.map(|report| &report.verdict);
    let sentences = verdict.into_iter().flat_map(|verdict| [&verdict.cause, &verdict.remedy]);
    for sentence in sentences.flatten() {
        say.info(sentence);
    }
}

/// Whether everything is back, as far as that is known.
pub(super) fn is_all_back(heard: &Heard, keepers: &Keepers) -> bool {
    let is_back = |back: &Back| {
        let goes_on = keepers.is_there() || !matches!(back.swap, Some(SwapBack::NotYet { .. }));
        back.is_whole() && goes_on
    };
    heard.back.as_ref().map_or_else(|| !is_open(heard, keepers), is_back)
}

/// Whether something is held of which nobody has told that it is back.
fn is_open(heard: &Heard, keepers: &Keepers) -> bool {
    keepers.lease().is_some() && heard.lingering.is_none() && !keepers.holds_nothing()
}

/// Says what is not back, in the last line, so that nobody overlooks it.
pub(super) fn say_what_is_left(say: &mut Say, heard: &Heard, keepers: &Keepers) {
    match &heard.back {
        Some(back) => {
            if let Some(line) = awaited(&back.late) {
                if keepers.is_there() {
                    say.warning(
                        format!("{line}; the keeper waits for that"),
                        Some("`makeroom status` shows it"),
                    );
                } else {
                    say.warning(line, Some("`makeroom recover` waits for it"));
                }
            }
            // The build got what it asked for, and what is left is in hands that go on.
            if let Some(line) = run_lines::swap_not_off(back) {
                if keepers.is_there() {
                    say.warning(
                        format!("{line}; the keeper goes on trying"),
                        Some("`makeroom status` shows it"),
                    );
                } else {
                    say.error(line, None, Some("makeroom recover"));
                }
            }
            if let Some(line) = vanished_lines::vanished(back) {
                say.warning(line, vanished_lines::keep_from_vanishing(back));
            }
            if let Some(line) = run_lines::not_back(back) {
                say.error(line, None, Some("makeroom recover"));
            }
        }
        None if is_open(heard, keepers) => {
            let (line, hint) = if keepers.is_there() {
                (
                    "the targets are not known to run again yet; the keeper is still at it",
                    "`makeroom status` shows what is left, `makeroom recover` brings it back",
                )
            } else {
                (
                    "the targets are not known to run again, and no keeper is left that \
                     brings them back",
                    "makeroom recover",
                )
            };
            say.error(line, None, Some(hint));
        }
        None => {}
    }
}
