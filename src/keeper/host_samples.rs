//! Owns watching the host during a build where that takes more than the supervisor can see: the
//! host is another machine, or the build runs in the engine. One connection, which has pushed
//! memory out or is begun with the child, and a last look when the build is over. Runs in the
//! keeper.

use std::{future, time::Duration};

use crate::{
    core::machine::{route::Route, sample::HostSample},
    host::{sample::Sampler, shell::Shell},
};

/// The last look must not hold up the end of a run where the host does not answer.
const LAST: Duration = Duration::from_secs(5);

/// The watch over one host.
pub(crate) struct HostSamples<'a> {
    shell: &'a Shell,
    is_needed: bool,
    builds_in_engine: bool,
    sampler: Sampling,
    /// Whether the host has ever answered: one that has not will not at the end either.
    has_heard: bool,
}

enum Sampling {
    NotBegun,
    Under(Box<Sampler>),
    /// The connection broke, or could not be made: the host is not looked at any more.
    Over,
}

impl<'a> HostSamples<'a> {
    pub(crate) fn new(shell: &'a Shell, builds_in_engine: bool) -> Self {
        let is_needed = match shell.route() {
            Route::Here => builds_in_engine,
            Route::Behind(_) => true,
            Route::NoWay { .. } => false,
        };
        Self { shell, is_needed, builds_in_engine, sampler: Sampling::NotBegun, has_heard: false }
    }

    /// A build is to follow: the way that memory is pushed out by stays open for the samples.
    pub(crate) fn expect_child(&self) {
        if self.is_needed {
            self.shell.stay();
        }
    }

    /// The next sample, once there is a build; waits for ever where there is nothing to watch.
    /// May be dropped and asked again.
    pub(crate) async fn next(&mut self, has_child: bool) -> HostSample {
        if !has_child || !self.is_needed {
            return future::pending().await;
        }
        if let Sampling::NotBegun = self.sampler {
            self.sampler = match Sampler::begin(self.shell, self.builds_in_engine).await {
                Ok(sampler) => Sampling::Under(Box::new(sampler)),
                Err(_) => Sampling::Over,
            };
        }
        if let Sampling::Under(sampler) = &mut self.sampler
            && let Some(sample) = sampler.next().await
        {
            self.has_heard = true;
            return sample;
        }
        self.sampler = Sampling::Over;
        future::pending().await
    }

    /// Ends the watch; gives the host as it is now where it was watched.
    pub(crate) async fn last(&mut self) -> Option<HostSample> {
        let Sampling::Under(mut sampler) = std::mem::replace(&mut self.sampler, Sampling::Over)
        else {
            return None;
        };
        if !self.has_heard {
            return None;
        }
        tokio::time::timeout(LAST, sampler.now()).await.ok()?
    }
}
