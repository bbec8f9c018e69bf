//! Owns which leases `stop` is to end: what was typed, against what is known to be held, and what
//! is said of the rest.

use crate::{
    commands::unseen::{self, Unseen},
    config::Settings,
    core::{
        lease::record::{Kind, Opened},
        text,
    },
    lease::{journal::Journal, leases::Leases, state_dir::StateDir},
    report::console::Say,
};

/// What was typed.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Ids and names; none: the only one there is.
    pub leases: Vec<String>,
    /// All of them.
    pub all: bool,
}

/// What is recorded.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Dead ones as well: what a dead keeper held is put back here.
    pub leases: Vec<Opened>,
    /// Why others were not seen.
    pub unsure: Vec<String>,
}

impl Known {
    /// Looks for it.
    ///
    /// # Errors
    /// Where it cannot be looked.
    pub(super) fn look(state: &StateDir, settings: &Settings) -> Result<Self, String> {
        let lock = state.lock(settings.room.restore_timeout).map_err(|error| error.to_string())?;
        let found = Leases::look(state, &lock, None).map_err(|error| error.to_string())?;
        let live = found.live.iter().map(|(_, state)| state);
        let leases = live
            .chain(found.dead.iter().map(Journal::state))
            .filter_map(|state| state.opened.clone())
            .collect();
        Ok(Self { leases, unsure: found.unreadable.iter().map(ToString::to_string).collect() })
    }
}

impl Wanted {
    /// The ids of those that are meant.
    ///
    /// # Errors
    /// Where that is a run's, or there are several and none was named.
    pub(super) fn choose(&self, known: &Known) -> Result<Vec<String>, String> {
        let of_a_run =
            |opened: &&Opened| opened.kind == Kind::Run && self.leases.contains(&opened.lease);
        if let Some(run) = known.leases.iter().find(of_a_run) {
            return Err(format!("{} is the lease of a run, which ends with its build", run.lease));
        }
        let started: Vec<_> =
            known.leases.iter().filter(|opened| opened.kind == Kind::Start).collect();
        // What is being given back is only waited for.
        let names: Vec<_> = started
            .iter()
            .filter(|opened| !opened.releasing)
            .map(|opened| opened.name.as_deref().unwrap_or(&opened.lease))
            .collect();
        if !self.all && self.leases.is_empty() && names.len() > 1 {
            return Err(format!(
                "{} leases are held: {}; name one, or use --all",
                names.len(),
                names.join(", ")
            ));
        }
        let is_meant = |opened: &&Opened| {
            self.leases.is_empty() || self.leases.iter().any(|wanted| is_named(opened, wanted))
        };
        Ok(started.into_iter().filter(is_meant).map(|opened| opened.lease.clone()).collect())
    }

    /// Says what of it is held by nobody, or perhaps by others; whether nothing is missing.
    pub(super) fn tell_missing(
        &self,
        opened: &unseen::StateDirSeen,
        known: &Known,
        chosen: &[String],
        settings: &Settings,
        say: &mut Say,
    ) -> bool {
        let missing: Vec<&str> = self
            .leases
            .iter()
            .filter(|wanted| !known.leases.iter().any(|opened| is_named(opened, wanted)))
            .map(String::as_str)
            .collect();
        let is_seen = match opened {
            unseen::StateDirSeen::State(_) => known.unsure.is_empty(),
            unseen::StateDirSeen::Absent => true,
            unseen::StateDirSeen::Denied => false,
        };
        let none = (is_seen && chosen.is_empty()).then_some("no lease is held");
        let is_only = self.leases.is_empty() && !chosen.is_empty() && !self.all;
        let is_whole = self.tell_unseen(&missing, is_only, none, say, unseen::look(settings));
        if is_seen && is_whole && !missing.is_empty() {
            let text = format!("no lease is held as {}", text::names(missing, 5));
            say.warning(text, Some("`makeroom status` shows the leases"));
        }
        is_whole
    }

    /// Says what others may hold, and that there is `none` of this user's; whether nothing is
    /// missing that was asked for: `missing` are the names that nobody here has, and `is_only` is
    /// the one lease that was meant.
    fn tell_unseen(
        &self,
        missing: &[&str],
        is_only: bool,
        none: Option<&str>,
        say: &mut Say,
        unseen: Unseen,
    ) -> bool {
        let names: Vec<String> = missing.iter().map(|name| text::shell_word(name)).collect();
        let command = |way: &str| {
            [way, "stop"]
                .into_iter()
                .chain(names.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(" ")
        };
        match (unseen, missing) {
            // All that was asked for by name is here.
            (Unseen::Held(_), []) if !self.leases.is_empty() => {}
            (Unseen::Held(line), []) if is_only => say.info(line),
            (Unseen::Held(line), _) => {
                say.error(line, None, Some(&command("sudo makeroom")));
                return false;
            }
            (Unseen::Perhaps { line, command: way }, [first, ..]) => {
                let text =
                    format!("`{}` is no lease that is held here; {line}", text::printable(first));
                say.error(text, None, Some(&command(way)));
                return false;
            }
            (Unseen::Perhaps { line, .. }, []) => {
                if let Some(none) = none {
                    say.info(format!("{none}; {line}"));
                }
            }
            (Unseen::Nothing, []) => {
                if let Some(none) = none {
                    say.info(none);
                }
            }
            // Those are named by whoever asked.
            (Unseen::Nothing, _) => {}
        }
        true
    }
}

/// Whether this is the lease's id or its name.
fn is_named(opened: &Opened, wanted: &String) -> bool {
    *wanted == opened.lease || Some(wanted) == opened.name.as_ref()
}
