//! Owns what is said when the build has ended and when everything is back, and the run's report.
//! Part of the supervisor's loop in `drive`.

use std::{env, path::Path, time::Duration};

use jiff::Timestamp;

use crate::{
    core::{
        lease::late_call::awaited,
        plan::estimate,
        run::{
            build_site::BuildSite,
            exit::{self, Exit},
            history::Past,
            oom_log::Killed,
            report::{self, MemoryReport, PeakSource, RunReport},
            verdict::{Evidence, Kind, Spare, Verdict, verdict},
            wire::Room,
        },
    },
    host::{kernel::IS_SAMPLED, within::write_within},
    lease::{history::History, reports::Reports},
    report::{
        job_summary,
        report_file::open_now,
        run_lines::{self, BuildFigures},
    },
    supervise::{event_loop::EventLoop, watch::Seen},
};

/// For so long a program that is to read the report may do something else.
const READER: Duration = Duration::from_secs(5);
/// The same after a signal.
const HASTY_READER: Duration = Duration::from_secs(1);

/// A build that has ended, with all that was seen of it.
pub(super) struct Outcome {
    exit: Exit,
    took: Duration,
    seen: Seen,
}

impl EventLoop<'_> {
    pub(super) fn report_build(&mut self) {
        let (Some(ended), Some(watch)) = (self.ended.take(), self.watch.take()) else { return };
        let site = self.plan.site;
        let seen = watch.end(ended.largest_bytes);
        self.say.fold();
        let peak_bytes = (seen.peak_bytes > 0).then_some(seen.peak_bytes);
        self.say.info(run_lines::build_ended(&BuildFigures {
            exit: ended.exit,
            ended_by: self.ended_by(),
            took: ended.took,
            host: self.host.as_deref(),
            peak_bytes,
            is_largest_process: !IS_SAMPLED && !site.is_in_engine(),
            available_min_bytes: seen.available_min_bytes,
            full_stall: seen.full_stall,
            oom_kills: seen.oom_kills,
        }));
        if (self.cancelled || self.ended_by().is_some()) && site == BuildSite::Container {
            self.say.warning(
                "only the client was ended: what it started in the engine may go on",
                Some("`docker ps` shows it"),
            );
        }
        self.outcome = Some(Outcome { exit: ended.exit, took: ended.took, seen });
    }

    /// The option that ended the build, where one did.
    fn ended_by(&self) -> Option<&'static str> {
        if self.timed_out { Some("--timeout") } else { self.thrash.map(|_| "--abort-on-thrash") }
    }

    /// Why the build ended as it did. When everything is back more is known than before.
    fn verdict(&self, outcome: &Outcome) -> Verdict {
        let seen = &outcome.seen;
        let (spare, killed): (&[Spare], &[Killed]) = match (&self.back, &self.lingering) {
            (Some(back), _) => (&back.spare, &back.killed),
            (None, Some(lingering)) => (&lingering.spare, &lingering.killed),
            (None, None) => (&[], &[]),
        };
        verdict(&Evidence {
            exit: outcome.exit,
            timed_out: self.timed_out,
            thrash: self.thrash,
            cancelled: self.cancelled,
            engine_lost: self.plan.site.is_in_engine()
                && self.back.as_ref().is_some_and(|back| back.engine_lost),
            took: outcome.took,
            is_in_front: self.plan.site == BuildSite::Child && self.host.is_some(),
            oom_kills: seen.build_oom_kills,
            killed,
            peak_bytes: (seen.peak_bytes > 0).then_some(seen.peak_bytes),
            available_min_bytes: seen.available_min_bytes,
            swap_free_bytes: self
                .room
                .as_ref()
                .and_then(|room| room.memory)
                .map_or(0, |memory| memory.swap_free_bytes),
            heap_limit_bytes: env::var("NODE_OPTIONS")
                .ok()
                .and_then(|options| estimate::heap_limit_bytes(&options)),
            spare,
        })
    }

    pub(super) fn finish(&mut self, exit: Exit) -> Exit {
        self.say.settle();
        if self.cancelled {
            self.say.hurry();
        }
        self.report_build();
        let lease = self.plan.lease.as_ref().map_or("", |(request, _)| request.lease.as_str());
        let lingering =
            || self.lingering.as_ref().map(|lingering| run_lines::lingering(lease, lingering));
        let line = self.back.as_ref().map_or_else(lingering, run_lines::all_back);
        if let Some(line) = line {
            self.say.info(line);
        }
        if let Some(line) = self.back.as_ref().and_then(run_lines::not_healthy) {
            self.say
                .warning(line, Some("`docker ps` shows their health, `docker logs` what they say"));
        }
        if let Some(verdict) = self.outcome.as_ref().map(|outcome| self.verdict(outcome)) {
            [verdict.cause, verdict.remedy]
                .into_iter()
                .flatten()
                .for_each(|sentence| self.say.info(sentence));
        }
        self.say.unfold();
        self.keep_report();
        let is_whole = self.say_what_is_left();
        if self.plan.strict && exit.is_success() && !is_whole {
            Exit::Code(exit::FAILED)
        } else {
            exit
        }
    }

    /// The last line, so that nobody overlooks it; whether there is nothing to say.
    fn say_what_is_left(&mut self) -> bool {
        match &self.back {
            Some(back) => {
                let (late, left) = (awaited(&back.late), run_lines::not_back(back));
                if let Some(line) = &late {
                    match self.keeper {
                        Some(_) => self.say.warning(
                            format!("{line}; the keeper waits for that"),
                            Some("`makeroom status` shows it"),
                        ),
                        None => self.say.warning(line, Some("`makeroom recover` waits for it")),
                    }
                }
                if let Some(line) = &left {
                    self.say.error(line, None, Some("makeroom recover"));
                }
                late.is_none() && left.is_none()
            }
            None if self.plan.lease.is_some()
                && self.lingering.is_none()
                && !self.holds_nothing() =>
            {
                let (line, hint) = if self.keeper.is_some() {
                    let hint =
                        "`makeroom status` shows what is left, `makeroom recover` brings it back";
                    ("the services are not known to run again yet; the keeper is still at it", hint)
                } else {
                    (
                        "the services are not known to run again, and no keeper is left that brings them back",
                        "makeroom recover",
                    )
                };
                self.say.error(line, None, Some(hint));
                false
            }
            None => true,
        }
    }

    /// Whether nothing is left to bring back, by the journal that no keeper writes to any more.
    pub(super) fn holds_nothing(&self) -> bool {
        let journal =
            self.plan.lease.as_ref().filter(|_| self.keeper.is_none()).map(|(_, journal)| journal);
        // Without a name it never had a record, or was done with.
        journal.is_some_and(|journal| {
            journal.reread().is_ok_and(|state| state.is_none_or(|state| state.is_empty()))
        })
    }

    /// Writes the report to where it was asked for, and to the state directory; says what could not
    /// be.
    fn keep_report(&mut self) {
        let Some(outcome) = self.outcome.take() else { return };
        let report = self.report(outcome);
        let patience = if self.cancelled { HASTY_READER } else { READER };
        let mut check = |what: &str, written: std::io::Result<()>| {
            if let Err(error) = written {
                self.say.warning(format!("{what} cannot be written: {error}"), None);
            }
        };
        let json = match serde_json::to_string_pretty(&report) {
            Ok(json) => json + "\n",
            Err(error) => return check("the report", Err(error.into())),
        };
        if let Some(file) = self.plan.report.take() {
            check("the report", file.write(&json, patience));
        }
        if let Some(path) = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
            let file = open_now(Path::new(&path));
            let summary = job_summary::markdown(&report);
            check(
                "the job's summary",
                file.and_then(|mut file| write_within(patience, &mut file, summary.as_bytes())),
            );
        }
        let Some((request, journal)) = &self.plan.lease else { return };
        let state_dir = journal.state_dir();
        // A build that was ended from outside tells nothing of what it would have needed.
        if !matches!(report.verdict.kind, Kind::Cancelled | Kind::Timeout | Kind::Thrash) {
            let program = request.program.clone().unwrap_or_default();
            let peak_bytes = report.memory.build_peak_bytes.unwrap_or(0);
            let past = Past::new(
                self.plan.history_key.clone(),
                program,
                Timestamp::now(),
                report.elapsed_s,
                peak_bytes,
                report.verdict.kind,
            );
            check("the history", History::of(state_dir).add(&past));
        }
        check(
            "the report for `makeroom report`",
            Reports::of(state_dir).keep(&request.lease, &json),
        );
    }

    fn report(&self, outcome: Outcome) -> RunReport {
        let verdict = self.verdict(&outcome);
        let Outcome { exit, took, seen } = outcome;
        let nothing = Room::default();
        let room = self.room.as_ref().unwrap_or(&nothing);
        let here = crate::supervise::watch::now().filter(|_| self.host.is_none());
        let source = match self.plan.site {
            _ if seen.peak_bytes == 0 => None,
            BuildSite::Builder | BuildSite::Container => Some(PeakSource::BuilderCgroups),
            BuildSite::Child | BuildSite::Elsewhere if IS_SAMPLED => Some(PeakSource::ProcessTree),
            BuildSite::Child | BuildSite::Elsewhere => Some(PeakSource::LargestProcess),
        };
        RunReport {
            version: report::VERSION,
            lease: self.plan.lease.as_ref().map(|(request, _)| request.lease.clone()),
            started_at: self.started_at.unwrap_or_else(Timestamp::now),
            command: self.plan.command_shown.clone(),
            exit: exit.into(),
            elapsed_s: took.as_secs_f64(),
            host: self.host.clone(),
            targets: report::targets(room, &self.steps, self.back.as_ref(), &self.theirs),
            steps: self.steps.all().to_vec(),
            swap: report::swap(room, self.back.as_ref(), &seen.points),
            memory: MemoryReport {
                total_bytes: room.memory.or(here).map(|memory| memory.total_bytes),
                available_before_bytes: room
                    .available_before_bytes
                    .or(self.available_at_start_bytes),
                available_with_room_bytes: room
                    .memory
                    .map(|memory| memory.available_bytes)
                    .or(self.available_at_start_bytes),
                available_min_bytes: seen.available_min_bytes,
                build_peak_bytes: source.map(|_| seen.peak_bytes),
                build_peak_source: source,
                some_stall_s: seen.some_stall.map(|stall| stall.as_secs_f64()),
                full_stall_s: seen.full_stall.map(|stall| stall.as_secs_f64()),
                oom_kills: seen.oom_kills,
            },
            verdict,
            timeline: seen.points,
        }
    }
}
