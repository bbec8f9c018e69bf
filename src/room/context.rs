//! Owns what every operation on a lease is given, and how it tells of itself.

use std::time::Duration;

use crate::{
    core::{
        few::Few,
        lease::record::Record,
        run::{
            note::{Level, Note},
            wire::{FromKeeper, Request},
        },
    },
    lease::{journal::Journal, journal_error::JournalError, state_dir::StateDir},
    room::{cancel::Cancel, machine::Machine},
};

/// How a keeper's or a command's code says what happens.
pub type Tell<'a> = &'a dyn Fn(FromKeeper);

/// What an operation works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is asked for.
    pub request: &'a Request,
    /// The state directory.
    pub state: &'a StateDir,
    /// The way to the targets and their host.
    pub machine: &'a Machine,
    /// Whether room is still wanted.
    pub cancel: &'a Cancel,
    /// Where progress and notes go.
    pub tell: Tell<'a>,
}

impl Context<'_> {
    /// Says one thing.
    pub fn note(&self, note: Note) {
        (self.tell)(FromKeeper::Note(note));
    }

    /// Says one of a sort of which there can be thousands; [`Self::note_rest`] ends them.
    pub fn note_few(&self, few: &mut Few, note: Note) {
        if few.may() {
            self.note(note);
        }
    }

    /// Says how many more of that sort there were.
    pub fn note_rest(&self, few: &Few, level: Level) {
        if let Some(text) = few.rest() {
            self.note(Note::new(level, text));
        }
    }

    /// Says that room cannot be made as it was asked for.
    pub fn shortfall(&self, text: String, hint: Option<String>) {
        self.note(Note { level: Level::Shortfall, text, hint });
    }

    /// The same for one of a sort, as [`Self::note_few`].
    pub fn shortfall_few(&self, few: &mut Few, text: String, hint: Option<String>) {
        self.note_few(few, Note { level: Level::Shortfall, text, hint });
    }

    /// Writes an outcome of making room. One that cannot be written changes nothing: restoring looks
    /// at what is.
    pub fn record(&self, journal: &mut Journal, record: &Record) {
        if let Err(error) = journal.note(record) {
            self.note(Note::new(Level::Warning, error.to_string()));
        }
    }

    /// Writes an outcome of restoring.
    pub fn record_restored(&self, journal: &mut Journal, record: &Record) {
        self.told(journal.note(record));
    }

    /// Takes in whether something was written that restoring does not need: what is not written is
    /// found out again by looking.
    pub fn told(&self, written: Result<(), JournalError>) {
        if let Err(error) = written {
            self.note(Note::new(Level::Detail, error.to_string()));
        }
    }

    /// How long restoring is tried.
    #[must_use]
    pub fn restore_timeout(&self) -> Duration {
        self.request.settings.restore_timeout
    }
}
