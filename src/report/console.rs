//! Owns makeroom's own lines on stderr: their prefix, colour and level. Each line is one write, so
//! that the build's output does not cut it. Nothing waits for a reader: what is not read is said
//! later or left out. Runs in the supervisor and in short commands.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
    os::fd::BorrowedFd,
    thread,
    time::{Duration, Instant},
};

use anstream::{AutoStream, ColorChoice};
use owo_colors::OwoColorize as _;

use crate::{
    core::{
        run::{
            unsaid::Rank,
            wire::{Level, Note, Phase},
        },
        values::ColorWish,
    },
    report::{progress::ProgressLine, stderr::Stderr},
};

/// How long the end waits for somebody who reads.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The same after a signal: enough for a reader that is only slow, as after a build that wrote
/// much.
const HASTY_WORDS: Duration = Duration::from_millis(250);
/// How often it tries meanwhile.
const LAST_AGAIN: Duration = Duration::from_millis(5);
/// What opens a fold in the log of GitHub Actions (docs.github.com, "Workflow commands").
const FOLD: &str = "::group::makeroom";
/// What closes it.
const UNFOLD: &str = "::endgroup::";

/// Speaks for a process. Dropped, it says what it can of the rest.
#[derive(Debug)]
pub struct Say {
    quiet: bool,
    verbose: bool,
    strict: bool,
    color: ColorChoice,
    progress: ProgressLine,
    fold: Fold,
    stderr: Stderr,
    patience: Duration,
}

/// Whether GitHub Actions folds our lines away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    /// Nobody folds.
    Never,
    Closed,
    Open,
}

impl Say {
    /// Makes one that speaks as the settings have it.
    #[must_use]
    pub fn new(color: ColorWish, quiet: bool, verbose: bool, strict: bool) -> Self {
        let color = match color {
            ColorWish::Always => ColorChoice::Always,
            ColorWish::Never => ColorChoice::Never,
            // A CI log keeps escape codes as they are, though its runner may pretend to be a
            // terminal.
            ColorWish::Auto if in_ci() => ColorChoice::Never,
            ColorWish::Auto => AutoStream::choice(&std::io::stderr()),
        };
        // Moving the cursor takes escape codes as well: whoever wants none gets none.
        let is_live =
            !quiet && !in_ci() && color != ColorChoice::Never && std::io::stderr().is_terminal();
        let fold = if is_folded() && !quiet { Fold::Closed } else { Fold::Never };
        let (progress, stderr) = (ProgressLine::new(is_live, quiet), Stderr::default());
        Self { quiet, verbose, strict, color, progress, fold, stderr, patience: LAST_WORDS }
    }

    /// Begins a part of the log that its reader can fold away.
    pub fn fold(&mut self) {
        if self.fold == Fold::Closed {
            self.fold = Fold::Open;
            self.write(Rank::Mark, format!("{FOLD}\n").into());
        }
    }

    /// Ends that part: what follows is the build's, or an error that nobody should have to unfold.
    pub fn unfold(&mut self) {
        if self.fold == Fold::Open {
            self.fold = Fold::Closed;
            self.write(Rank::Mark, format!("{UNFOLD}\n").into());
        }
    }

    /// Says news, but not with `-q`.
    pub fn info(&mut self, text: impl Display) {
        if !self.quiet {
            self.line(Rank::News, &text.to_string());
        }
    }

    /// Says that something is not as it should be.
    pub fn warning(&mut self, text: impl Display, hint: Option<&str>) {
        self.line(Rank::Warning, &format!("{} {text}", "warning:".yellow().bold()));
        self.hint(Rank::Warning, hint);
    }

    /// Says that makeroom cannot do something, and what was not done for it.
    pub fn error(&mut self, text: impl Display, not_done: Option<&str>, hint: Option<&str>) {
        self.unfold();
        self.line(Rank::Warning, &format!("{} {text}", "error:".red().bold()));
        if let Some(not_done) = not_done {
            self.line(Rank::Warning, not_done);
        }
        self.hint(Rank::Warning, hint);
    }

    /// Passes on what the keeper says.
    pub fn note(&mut self, note: &Note) {
        let hint = note.hint.as_deref();
        match note.level {
            Level::Detail if self.verbose => self.line(Rank::News, &note.text),
            Level::Detail => {}
            Level::Info => {
                self.info(&note.text);
                if !self.quiet {
                    self.hint(Rank::News, hint);
                }
            }
            Level::Shortfall if self.strict => self.error(&note.text, None, hint),
            Level::Warning | Level::Shortfall => self.warning(&note.text, hint),
        }
    }

    /// Shows how far the keeper is.
    pub fn progress(&mut self, phase: Phase, done: usize, total: usize) {
        self.progress.progress(phase, done, total);
    }

    /// Shows what is waited for.
    pub fn waits(&mut self, text: &str) {
        if let Some(line) = self.progress.waits(text) {
            self.info(line);
        }
    }

    /// Says what is unsaid, moves the line of progress, and says what a log has instead of one.
    pub fn tick(&mut self) {
        self.go_on();
        if let Some(line) = self.progress.tick() {
            self.info(line);
        }
        self.draw(Rank::Moment);
    }

    /// Takes the line of progress away.
    pub fn settle(&mut self) {
        self.progress.clear();
        self.draw(Rank::Mark);
    }

    /// Tells what to wait for while something is unsaid (POLLOUT), or until when asking is useless.
    #[must_use]
    pub fn awaited(&self) -> (Option<BorrowedFd<'_>>, Option<Instant>) {
        self.stderr.awaited()
    }

    /// Says more, once what is awaited has come.
    pub fn go_on_when_ready(&mut self) {
        self.stderr.go_on_when_ready();
    }

    /// Shortens the wait at the end: whoever sent a signal does not wait for long.
    pub fn hurry(&mut self) {
        self.patience = HASTY_WORDS;
    }

    /// Says what it can of the rest within a moment, and drops what is left.
    pub fn end(&mut self) {
        self.settle();
        let deadline = Instant::now() + self.patience;
        self.go_on();
        while !self.stderr.is_done() && Instant::now() < deadline {
            thread::sleep(LAST_AGAIN);
            self.go_on();
        }
        self.stderr.forget();
    }

    fn go_on(&mut self) {
        self.stderr.go_on();
        match self.stderr.take_left_out() {
            0 => {}
            1 => self.warning("1 line was not written: nobody read stderr", None),
            lines => {
                self.warning(format!("{lines} lines were not written: nobody read stderr"), None);
            }
        }
    }

    fn hint(&mut self, rank: Rank, hint: Option<&str>) {
        if let Some(hint) = hint {
            self.line(rank, &format!("{} {hint}", "hint:".cyan()));
        }
    }

    fn line(&mut self, rank: Rank, text: &str) {
        let line = format!("{} {text}\n", "makeroom:".dimmed());
        let mut bytes = Vec::with_capacity(line.len());
        // A vector takes everything.
        let _ = AutoStream::new(&mut bytes, self.color).write_all(line.as_bytes());
        self.write(rank, bytes);
    }

    fn write(&mut self, rank: Rank, bytes: Vec<u8>) {
        self.go_on();
        self.stderr.say(self.progress.around(bytes), rank);
    }

    fn draw(&mut self, rank: Rank) {
        let drawn = self.progress.drawn();
        if !drawn.is_empty() {
            self.stderr.say(drawn, rank);
        }
    }
}

impl Drop for Say {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells whether GitHub Actions reads the log.
fn is_folded() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Tells whether a CI runner reads what is written.
#[must_use]
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
