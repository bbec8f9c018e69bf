//! Owns running a script on the host: it travels on standard input to `sh -s`, here or behind the
//! command prefix that leads to a VM, as ourselves or as root. No terminal, cwd `/`, a time limit,
//! and a marker before the output, because shells may print greetings. Runs in the keeper and in
//! short commands.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, sync::OnceCell};

mod error;
mod exchange;
#[cfg(test)]
pub(crate) mod fake;
mod names;
mod reuse;
mod script;
mod spawn;

pub use error::ShellError;
pub use script::variable;
pub use spawn::{ProcessGroup, Root};

use crate::{
    core::{machine::route::Route, text},
    host::shell::{
        exchange::{run_and_keep, run_to_end},
        names::host_name,
        reuse::{Kept, Reuse},
        spawn::{find_root, spawn, spawn_silent},
    },
};

/// The same as the check for sudo behind a prefix, where a connection may have to be made first.
const ROOT_CHECK: Duration = Duration::from_secs(15);
/// `-k` beside a command ignores a cached ticket: it may have expired when things are put back.
const WHO: &str = include_str!("scripts/who.sh");

/// The way to the host, and what it lets us do there.
#[derive(Debug)]
pub struct Shell {
    route: Route,
    root: OnceCell<Option<Root>>,
    reuse: Reuse,
    #[cfg(test)]
    fake: Option<fake::FakeHost>,
}

impl Shell {
    /// A shell at the end of this route.
    #[must_use]
    pub fn new(route: Route) -> Self {
        Self {
            route,
            root: OnceCell::new(),
            reuse: Reuse::default(),
            #[cfg(test)]
            fake: None,
        }
    }

    /// A shell of this machine.
    #[must_use]
    pub fn here() -> Self {
        Self::new(Route::Here)
    }

    /// A shell of no machine, as root; this answers its scripts.
    #[cfg(test)]
    pub(crate) fn of_fake(fake: fake::FakeHost) -> Self {
        let root = OnceCell::new_with(Some(Some(Root::Already)));
        Self { root, fake: Some(fake), ..Self::here() }
    }

    /// Where it leads.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What a person calls the host; `None` for this machine.
    #[must_use]
    pub fn host_name(&self) -> Option<&str> {
        host_name(&self.route)
    }

    /// ` in NAME` where the host is not this machine, for the end of a sentence.
    #[must_use]
    pub fn place(&self) -> String {
        self.host_name().map_or_else(String::new, |name| format!(" in {}", text::printable(name)))
    }

    /// Whether scripts can be run as root, found out once.
    pub async fn root(&self) -> Option<Root> {
        let find = || async {
            match &self.route {
                Route::Here => find_root().await,
                Route::Behind(_) => {
                    self.run(WHO, ROOT_CHECK).await.ok().and_then(|answer| read_who(&answer))
                }
                Route::NoWay { .. } => None,
            }
        };
        *self.root.get_or_init(find).await
    }

    /// The head of a script that also tells who it runs as; [`Self::learn`] takes the answer out.
    /// Saves the question a way of its own.
    #[must_use]
    pub fn who(&self) -> &'static str {
        if matches!(self.route, Route::Behind(_)) { WHO } else { "" }
    }

    /// Keeps the answer to [`Self::who`].
    pub fn learn(&self, answer: &str) {
        if matches!(self.route, Route::Behind(_)) {
            // What is known already stays: it was the same question.
            let _ = self.root.set(read_who(answer));
        }
    }

    /// Runs a script as ourselves.
    ///
    /// # Errors
    /// [`ShellError`].
    pub async fn run(&self, script: &str, limit: Duration) -> Result<String, ShellError> {
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            return fake.answer(script);
        }
        run_to_end(&self.route, spawn(&self.route, None, &["-s"])?, script, limit).await
    }

    /// Runs a script as root. What it works on is named to the kernel as an argument of the shell,
    /// so that others can see that it is at it.
    ///
    /// # Errors
    /// [`ShellError::NoRoot`] where we cannot be.
    pub async fn run_as_root(
        &self,
        script: &str,
        subject: Option<&str>,
        limit: Duration,
    ) -> Result<String, ShellError> {
        let root = self.need_root().await?;
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            return fake.answer(script);
        }
        let words: Vec<&str> = ["-s"].into_iter().chain(subject).collect();
        run_to_end(&self.route, spawn(&self.route, Some(root), &words)?, script, limit).await
    }

    /// Has the shell of the next [`Self::run_as_root_and_stay`] stay for [`Self::stream`], which
    /// then needs no way of its own.
    pub fn stay(&self) {
        self.reuse.swap(Kept::Wanted);
    }

    /// As [`Self::run_as_root`]; where a shell is wanted that stays, it is this one. `name`: as in
    /// [`Self::stream`].
    ///
    /// # Errors
    /// [`ShellError::NoRoot`] where we cannot be.
    pub async fn run_as_root_and_stay(
        &self,
        name: &str,
        script: &str,
        limit: Duration,
    ) -> Result<String, ShellError> {
        if let Kept::Unwanted = self.reuse.swap(Kept::Unwanted) {
            return self.run_as_root(script, None, limit).await;
        }
        let root = self.need_root().await?;
        let shell = spawn(&self.route, Some(root), &["-s", name])?;
        let (output, left) = run_and_keep(&self.route, shell, script, limit).await?;
        self.reuse.swap(left.map_or(Kept::Wanted, Kept::Here));
        Ok(output)
    }

    /// Starts a script that goes on until it is dropped, in the shell that stayed where there is
    /// one; its streams are the caller's. `name` shows in lists of processes.
    ///
    /// # Errors
    /// [`ShellError`].
    pub async fn stream(&self, name: &str, script: &str) -> Result<ProcessGroup, ShellError> {
        if let Some(shell) = self.reuse.go_on(script).await {
            return Ok(shell);
        }
        let root = self.root().await;
        let mut shell = spawn_silent(&self.route, root, &["-s", name])?;
        if let Some(input) = shell.0.stdin.as_mut() {
            let written = input.write_all(script.as_bytes()).await;
            written.map_err(|source| ShellError::io(&self.route, source))?;
        }
        Ok(shell)
    }

    async fn need_root(&self) -> Result<Root, ShellError> {
        self.root().await.ok_or_else(|| ShellError::NoRoot { place: self.place() })
    }
}

fn read_who(answer: &str) -> Option<Root> {
    match answer.lines().find_map(|line| line.strip_prefix("who "))? {
        "root" => Some(Root::Already),
        "sudo" => Some(Root::Sudo),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
