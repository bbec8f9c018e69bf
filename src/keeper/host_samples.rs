//! Owns sampling the host during a build where the supervisor cannot see all of it: the host is
//! another machine, or the build runs in the engine. Uses one connection, the one that has pushed
//! memory out or a new one, and takes a last sample when the build is over. Runs in the keeper.

use std::{future, time::Duration};

use crate::{
    core::machine::{route::Route, sample::HostSample},
    host::{sample::Sampler, shell::Shell},
};

/// How long the last sample may take: it must not hold up the end of a run.
const LAST: Duration = Duration::from_secs(5);

/// The samples of one host.
pub(crate) struct HostSamples<'a> {
    shell: &'a Shell,
    is_needed: bool,
    builds_in_engine: bool,
    sampler: Sampling,
    /// The host has answered. One that never has will not at the end either.
    has_heard: bool,
}

enum Sampling {
    NotBegun,
    Under(Box<Sampler>),
    /// The connection broke, or could not be made: no more samples are taken.
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

    /// Keeps the connection open that memory is pushed out by: a build is to follow.
    pub(crate) fn expect_child(&self) {
        if self.is_needed {
            self.shell.stay();
        }
    }

    /// Waits for the next sample; for ever without a build, or where nothing is to be sampled.
    /// Nothing is lost when this is dropped half-way.
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

    /// Ends sampling; gives the host as it is now where it was sampled before.
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
