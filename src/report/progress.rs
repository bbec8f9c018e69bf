//! Owns the line that shows progress while room is made or given back: on a terminal, and only when
//! that takes longer than a moment. Elsewhere a long phase is one plain line. Has no thread: its
//! owner ticks it. Writes nothing: its owner gets what is to be drawn.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use terminal_size::terminal_size_of;

use crate::core::{run::note::Phase, target::kind::ANY, text::count};

/// What is over sooner is not worth a line that comes and goes.
const MOMENT: Duration = Duration::from_millis(300);
/// What takes longer is worth a line in a log.
const LONG: Duration = Duration::from_secs(2);

/// Shows progress in one line.
#[derive(Debug)]
pub struct ProgressLine {
    has_terminal: bool,
    bar: Option<ProgressBar>,
    canvas: Canvas,
    /// The phase (none while others are waited for), its words, and since when.
    now: Option<(Option<Phase>, String, Instant)>,
    is_said: bool,
}

impl ProgressLine {
    /// Makes a line that is drawn on a terminal, or said elsewhere.
    #[must_use]
    pub fn new(has_terminal: bool, quiet: bool) -> Self {
        Self { has_terminal, bar: None, canvas: Canvas::default(), now: None, is_said: quiet }
    }

    /// Takes note of how far a phase is.
    pub fn progress(&mut self, phase: Phase, done: usize, total: usize) {
        self.show(Some(phase), describe(phase, done, total));
    }

    /// Takes note of what is waited for; gives a plain line for a log, once.
    pub fn waits(&mut self, text: &str) -> Option<String> {
        let is_first = self.now.is_none();
        self.show(None, text.to_owned());
        (is_first && !self.has_terminal).then(|| text.to_owned())
    }

    fn show(&mut self, phase: Option<Phase>, text: String) {
        let since = match &self.now {
            Some((before, _, since)) if *before == phase => *since,
            _ => Instant::now(),
        };
        self.now = Some((phase, text, since));
    }

    /// Moves the line; gives a plain one for a log when it takes long.
    pub fn tick(&mut self) -> Option<String> {
        let (phase, text, since) = self.now.as_ref()?;
        if self.has_terminal && since.elapsed() >= MOMENT {
            let bar = self.bar.get_or_insert_with(|| spinner(&self.canvas));
            bar.set_message(text.clone());
            bar.tick();
        }
        if phase.is_some() && !self.has_terminal && !self.is_said && since.elapsed() >= LONG {
            self.is_said = true;
            return Some(format!("{text} …"));
        }
        None
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        self.now = None;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Gives what is to be written so that this piece stands above the line.
    #[must_use]
    pub fn around(&self, piece: Vec<u8>) -> Vec<u8> {
        match &self.bar {
            Some(bar) => {
                bar.suspend(|| self.canvas.draw(&piece));
                self.drawn()
            }
            None => piece,
        }
    }

    /// Gives what is to be drawn since the last call.
    #[must_use]
    pub fn drawn(&self) -> Vec<u8> {
        std::mem::take(&mut *self.canvas.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn spinner(canvas: &Canvas) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} makeroom: {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(canvas.clone())))
        .with_style(style)
}

/// Keeps what is drawn for whoever writes it to the terminal.
#[derive(Clone, Debug, Default)]
struct Canvas(Arc<Mutex<Vec<u8>>>);

impl Canvas {
    fn draw(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0)
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.write_str(&cursor(lines, 'A'))
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.write_str(&cursor(lines, 'B'))
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.write_str(&cursor(columns, 'C'))
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.write_str(&cursor(columns, 'D'))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(text.as_bytes());
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the control sequence that moves the cursor so far (ECMA-48, CUU to CUB).
fn cursor(cells: usize, direction: char) -> String {
    if cells == 0 { String::new() } else { format!("\x1b[{cells}{direction}") }
}

fn describe(phase: Phase, done: usize, total: usize) -> String {
    match phase {
        Phase::Pausing => format!("pausing {ANY}s, {done} of {total}"),
        Phase::Reclaiming => {
            format!("pushing the memory of {} out to swap", count(total, ANY))
        }
        Phase::Restoring => format!("bringing {ANY}s back, {done} of {total}"),
        Phase::Answering => format!("waiting until {ANY}s answer, {done} of {total}"),
        Phase::SwapOff => "removing swap".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_said_takes_the_place_of_the_live_one_in_one_piece() {
        let mut live = ProgressLine::new(true, false);
        assert_eq!(live.around(b"before\n".to_vec()), b"before\n");
        live.progress(Phase::Pausing, 1, 15);
        live.now.as_mut().expect("progress").2 =
            Instant::now().checked_sub(MOMENT).expect("a past");
        assert_eq!(live.tick(), None);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        assert!(text(live.drawn()).contains("makeroom: pausing targets, 1 of 15 ("));
        let said = text(live.around(b"said\n".to_vec()));
        let (cleared, again) = said.split_once("said\n").expect("said");
        assert!(cleared.contains("\x1b[2K") && again.contains("1 of 15"), "{said:?}");
        live.clear();
        assert!(text(live.drawn()).contains("\x1b[2K"));
        assert!(live.drawn().is_empty());
    }

    #[test]
    fn a_log_gets_no_line_for_what_is_over_in_a_moment() {
        let mut live = ProgressLine::new(false, false);
        live.progress(Phase::Pausing, 1, 15);
        assert_eq!(live.tick(), None);
    }

    #[test]
    fn a_log_gets_one_line_at_once_where_it_is_waited_for_others() {
        let mut live = ProgressLine::new(false, false);
        assert_eq!(live.waits("for a").as_deref(), Some("for a"));
        live.now.as_mut().expect("a line").2 = Instant::now().checked_sub(LONG).expect("a past");
        assert_eq!((live.tick(), live.waits("for b")), (None, None));
    }

    #[test]
    fn a_log_gets_one_line_for_what_takes_long_and_none_when_quiet() {
        for (quiet, expected) in
            [(false, Some("pausing targets, 1 of 15 …".to_owned())), (true, None)]
        {
            let mut live = ProgressLine::new(false, quiet);
            live.progress(Phase::Pausing, 1, 15);
            live.now.as_mut().expect("progress").2 =
                Instant::now().checked_sub(LONG).expect("a past");
            assert_eq!(live.tick(), expected);
            assert_eq!(live.tick(), None);
        }
    }
}
