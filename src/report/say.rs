//! Owns makeroom's own lines on stderr: their prefix, colours and levels. One write a line, so
//! that a build's output does not cut them.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
};

use anstream::{AutoStream, ColorChoice};
use owo_colors::OwoColorize as _;

use super::{github, live::Live};
use crate::core::{
    values::ColorWish,
    wire::{Level, Note, Phase},
};

/// The voice of a process.
#[derive(Debug)]
pub struct Say {
    quiet: bool,
    verbose: bool,
    strict: bool,
    color: ColorChoice,
    live: Live,
    fold: Fold,
}

/// Where GitHub Actions folds our lines away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    /// Nobody folds.
    Never,
    Closed,
    Open,
}

impl Say {
    /// A voice as the settings have it.
    #[must_use]
    pub fn new(color: ColorWish, quiet: bool, verbose: bool, strict: bool) -> Self {
        let color = match color {
            ColorWish::Always => ColorChoice::Always,
            ColorWish::Never => ColorChoice::Never,
            // A CI log keeps escape codes as they are, though its runner may pretend to be a terminal.
            ColorWish::Auto if in_ci() => ColorChoice::Never,
            ColorWish::Auto => AutoStream::choice(&std::io::stderr()),
        };
        // Moving the cursor takes escape codes as well: whoever wants none gets none.
        let is_live = !quiet && !in_ci() && color != ColorChoice::Never && std::io::stderr().is_terminal();
        let fold = if github::is_reading() && !quiet { Fold::Closed } else { Fold::Never };
        Self { quiet, verbose, strict, color, live: Live::new(is_live, quiet), fold }
    }

    /// The lines from here on are one part of the log, where its reader can fold.
    pub fn fold(&mut self) {
        if self.fold == Fold::Closed {
            self.fold = Fold::Open;
            self.live.around(|| drop(writeln!(std::io::stderr(), "{}", github::FOLD)));
        }
    }

    /// They end here: what follows is the build's, or an error that nobody should have to unfold.
    pub fn unfold(&mut self) {
        if self.fold == Fold::Open {
            self.fold = Fold::Closed;
            self.live.around(|| drop(writeln!(std::io::stderr(), "{}", github::UNFOLD)));
        }
    }

    /// News, not with `-q`.
    pub fn info(&mut self, text: impl Display) {
        if !self.quiet {
            self.line(&text.to_string());
        }
    }

    /// Something that is not as it should be.
    pub fn warning(&mut self, text: impl Display, hint: Option<&str>) {
        self.line(&format!("{} {text}", "warning:".yellow().bold()));
        self.hint(hint);
    }

    /// Something that makeroom cannot do, and what was not done for it.
    pub fn error(&mut self, text: impl Display, not_done: Option<&str>, hint: Option<&str>) {
        self.unfold();
        self.line(&format!("{} {text}", "error:".red().bold()));
        if let Some(not_done) = not_done {
            self.line(not_done);
        }
        self.hint(hint);
    }

    /// What the keeper says.
    pub fn note(&mut self, note: &Note) {
        let hint = note.hint.as_deref();
        match note.level {
            Level::Detail if self.verbose => self.line(&note.text),
            Level::Detail => {}
            Level::Info => {
                self.info(&note.text);
                if !self.quiet {
                    self.hint(hint);
                }
            }
            Level::Shortfall if self.strict => self.error(&note.text, None, hint),
            Level::Warning | Level::Shortfall => self.warning(&note.text, hint),
        }
    }

    /// How far the keeper is.
    pub fn progress(&mut self, phase: Phase, done: usize, total: usize) {
        self.live.progress(phase, done, total);
    }

    /// For whom it is waited.
    pub fn waits(&mut self, text: &str) {
        if let Some(line) = self.live.waits(text) {
            self.info(line);
        }
    }

    /// Lets the live line move, and gives what a log should have instead of it.
    pub fn tick(&mut self) {
        if let Some(line) = self.live.tick() {
            self.info(line);
        }
    }

    /// No more progress for now.
    pub fn settle(&mut self) {
        self.live.clear();
    }

    fn hint(&mut self, hint: Option<&str>) {
        if let Some(hint) = hint {
            self.line(&format!("{} {hint}", "hint:".cyan()));
        }
    }

    fn line(&mut self, text: &str) {
        let line = format!("{} {text}\n", "makeroom:".dimmed());
        let mut bytes = Vec::with_capacity(line.len());
        // A vector takes everything; and a stderr that is closed must not fail the build.
        let _ = AutoStream::new(&mut bytes, self.color).write_all(line.as_bytes());
        self.live.around(|| drop(std::io::stderr().write_all(&bytes)));
    }
}

/// Whether a CI runner reads what is written.
#[must_use]
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
