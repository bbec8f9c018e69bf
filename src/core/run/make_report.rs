//! Owns making a run's report from what was heard of it, the verdict included: the one place where
//! that is put together. Pure.

use std::collections::BTreeMap;

use crate::core::{
    lease::foreign_change::ForeignChange,
    run::{
        build_site::BuildSite,
        heard::{ChildEnd, Heard},
        memory_seen::MemorySeen,
        oom_log::Killed,
        report::{self, MemoryReport, PeakSource, RunReport, SwapReport, TargetReport},
        results::{Back, Room, RoomTarget, SwapBack},
        steps::Steps,
        timeline::Point,
        verdict::{Evidence, Spare, Verdict, verdict},
    },
};

/// The report of a run whose child has ended; `None` where there was none. When everything is back
/// more is known than before.
#[must_use]
pub fn make_report(heard: &Heard) -> Option<RunReport> {
    let (start, end, seen) =
        (heard.child_start.as_ref()?, heard.child_end.as_ref()?, heard.memory_seen.as_ref()?);
    let nothing = Room::default();
    let room = heard.room.as_ref().unwrap_or(&nothing);
    let available_at_start_bytes = start.memory.map(|memory| memory.available_bytes);
    // This machine's, of which the report is not where the host is another one.
    let here = start.memory.filter(|_| heard.host.is_none());
    let peak_source = seen.peak_bytes.map(|_| peak_source(heard));
    Some(RunReport {
        version: report::VERSION,
        lease: heard.about.lease.clone(),
        started_at: start.at,
        command: heard.about.command_shown.clone(),
        exit: end.ending.exit.into(),
        interrupted: end.ending.is_interrupted(),
        elapsed_s: end.took.as_secs_f64(),
        host: heard.host.clone(),
        targets: targets(room, &heard.steps, heard.back.as_ref(), &heard.foreign_changes),
        steps: heard.steps.all().to_vec(),
        swap: swap(room, heard.back.as_ref(), &seen.points),
        memory: MemoryReport {
            total_bytes: room.memory.or(here).map(|memory| memory.total_bytes),
            available_before_bytes: room.available_before_bytes.or(available_at_start_bytes),
            available_with_room_bytes: room
                .memory
                .map(|memory| memory.available_bytes)
                .or(available_at_start_bytes),
            available_min_bytes: seen.available_min_bytes,
            build_peak_bytes: seen.peak_bytes,
            build_peak_source: peak_source,
            some_stall_s: seen.some_stall.map(|stall| stall.as_secs_f64()),
            full_stall_s: seen.full_stall.map(|stall| stall.as_secs_f64()),
            oom_kills: seen.oom_kills,
        },
        verdict: judge(heard, end, seen),
        timeline: seen.points.clone(),
    })
}

/// Where the peak of such a build is read.
fn peak_source(heard: &Heard) -> PeakSource {
    match heard.about.site {
        BuildSite::Builder | BuildSite::Container => PeakSource::BuilderCgroups,
        BuildSite::Child | BuildSite::Elsewhere if heard.about.sees_all_processes => {
            PeakSource::ProcessTree
        }
        BuildSite::Child | BuildSite::Elsewhere => PeakSource::LargestProcess,
    }
}

/// Why the build ended as it did.
fn judge(heard: &Heard, end: &ChildEnd, seen: &MemorySeen) -> Verdict {
    let (spare, killed): (&[Spare], &[Killed]) = match (&heard.back, &heard.lingering) {
        (Some(back), _) => (&back.spare, &back.killed),
        (None, Some(lingering)) => (&lingering.spare, &lingering.killed),
        (None, None) => (&[], &[]),
    };
    let site = heard.about.site;
    let first = heard.room.iter().flat_map(|room| &room.targets);
    let later = heard.steps.targets().iter().map(|known| &known.target);
    // What runs on another machine has the services of that one.
    let may_miss = |_: &&RoomTarget| site != BuildSite::Elsewhere;
    let held = first.chain(later).filter(may_miss).map(|target| target.name.as_str());
    let held: Vec<&str> = held.collect();
    verdict(&Evidence {
        child: end.child,
        ending: end.ending,
        thrash: heard.thrash,
        engine_lost: site.is_in_engine()
            && heard.back.as_ref().is_some_and(|back| back.engine_lost),
        took: end.took,
        is_in_front: site == BuildSite::Child && heard.host.is_some(),
        oom_kills: seen.build_oom_kills,
        killed,
        peak_bytes: seen.peak_bytes,
        available_min_bytes: seen.available_min_bytes,
        swap_free_bytes: heard
            .room
            .as_ref()
            .and_then(|room| room.memory)
            .map_or(0, |memory| memory.swap_free_bytes),
        heap_limit_bytes: heard.about.heap_limit_bytes,
        spare,
        held: &held,
    })
}

/// The targets of a run, and what became of them. `theirs` is what somebody else did to them, by
/// id.
fn targets(
    room: &Room,
    steps: &Steps,
    back: Option<&Back>,
    theirs: &BTreeMap<String, ForeignChange>,
) -> Vec<TargetReport> {
    let runs = |id: &String| back.is_some_and(|back| back.running.contains(id));
    let answered = |id: &String| back?.answers.iter().find(|answer| answer.id == *id)?.after;
    let gone = |id: &String| {
        let gone = back?.gone.iter().find(|gone| gone.id == *id)?;
        Some(if gone.is_replaced { ForeignChange::Recreated } else { ForeignChange::Removed })
    };
    let first = room.targets.iter().map(TargetReport::of);
    let of = |known: TargetReport| TargetReport {
        restored: known.restored || runs(&known.target.id),
        handed_over: back.is_some_and(|back| back.handed_over.contains(&known.target.id)),
        answered_after_s: answered(&known.target.id).map(|after| after.as_secs_f64()),
        theirs: gone(&known.target.id).or_else(|| theirs.get(&known.target.id).copied()),
        ..known
    };
    first.chain(steps.targets().iter().cloned()).map(of).collect()
}

/// The swap of a run, and what became of it.
fn swap(room: &Room, back: Option<&Back>, timeline: &[Point]) -> SwapReport {
    let removed = back.and_then(|back| back.swap.as_ref()).map(|swap| *swap == SwapBack::Removed);
    SwapReport {
        made: room.swap_made_bytes.is_some(),
        path: room.swap_path.clone(),
        size_bytes: room.swap_made_bytes,
        peak_used_bytes: timeline.iter().map(|point| point.swap_used_bytes).max(),
        removed: room.swap_made_bytes.and(removed),
    }
}

#[cfg(test)]
mod tests;
