//! Owns what is said when the build has ended and when everything is back. Part of the supervisor's
//! loop in `drive`.

use super::drive::Drive;
use crate::{
    core::{
        build_site::{self, BuildSite},
        exit::{self, Exit},
    },
    host::kernel::IS_SAMPLED,
    report::summary::{self, BuildFigures},
};

impl Drive<'_> {
    pub(super) fn report_build(&mut self) {
        let (Some(ended), Some(watch)) = (self.ended.take(), self.watch.take()) else { return };
        let site = build_site::of_command(&self.plan.command);
        let seen = watch.end(ended.largest_bytes, site, self.host.is_some());
        self.say.info(summary::build_ended(&BuildFigures {
            exit: ended.exit,
            timed_out: self.timed_out,
            took: ended.took,
            host: self.host.as_deref(),
            peak_bytes: (seen.peak_bytes > 0).then_some(seen.peak_bytes),
            is_largest_process: !IS_SAMPLED && !site.is_in_engine(),
            available_min_bytes: seen.available_min_bytes,
            full_stall: seen.full_stall,
            oom_kills: seen.oom_kills,
        }));
        if self.cancelled && site == BuildSite::Container {
            self.say.warning("only the client was ended: what it started in the engine may go on", Some("`docker ps` shows it"));
        }
    }

    pub(super) fn finish(&mut self, exit: Exit) -> Exit {
        self.say.settle();
        self.report_build();
        let mut is_whole = true;
        match &self.back {
            Some(back) => {
                if let Some(line) = summary::all_back(back) {
                    self.say.info(line);
                }
                if let Some(line) = summary::not_back(back) {
                    is_whole = false;
                    self.say.error(line, None, Some("makeroom recover"));
                }
            }
            None if self.plan.lease.is_some() => {
                is_whole = false;
                let line = "the services are not known to run again yet; the keeper is still at it";
                self.say.error(line, None, Some("`makeroom status` shows what is left, `makeroom recover` brings it back"));
            }
            None => {}
        }
        if self.plan.strict && exit.is_success() && !is_whole { Exit::Code(exit::FAILED) } else { exit }
    }
}
