//! Owns what was said but not written yet, because the reader takes nothing more: kept in order, up
//! to a bound. What goes beyond is left out, and counted until that can be said.

use std::collections::VecDeque;

/// How many bytes may wait. Somebody who reads again after a while wants to know what happened, not
/// every line of it.
pub const MOST_BYTES: usize = 64 << 10;

/// What becomes of a piece when much is waiting already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// A picture of this moment: dropped if anything waits.
    Moment,
    /// A line.
    News,
    /// A line that nobody should miss: it gets as much space again.
    Warning,
    /// What makes other lines readable, as the end of a fold: it gets the same space, and does not
    /// count as a line.
    Mark,
}

/// The pieces that wait.
#[derive(Debug, Default)]
pub struct Unsaid {
    pieces: VecDeque<Vec<u8>>,
    /// The size of all of them.
    bytes: usize,
    /// How much of the first one is written.
    written: usize,
    /// How many lines were left out since that was last said.
    left_out: usize,
}

impl Unsaid {
    /// Takes a piece in or leaves it out. After the first line that is left out, all news is left
    /// out until the rest is written and [`Self::take_left_out`] was called, so that no gap is
    /// hidden between two lines.
    pub fn push(&mut self, piece: Vec<u8>, rank: Rank) {
        let most_bytes = match rank {
            Rank::Moment => 0,
            Rank::News if self.left_out > 0 => 0,
            Rank::News => MOST_BYTES,
            Rank::Warning | Rank::Mark => 2 * MOST_BYTES,
        };
        let has_room = self.bytes + piece.len() <= most_bytes
            || (self.pieces.is_empty() && self.left_out == 0);
        if has_room {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        } else if matches!(rank, Rank::News | Rank::Warning) {
            self.left_out += 1;
        }
    }

    /// The bytes to write next.
    #[must_use]
    pub fn next(&self) -> Option<&[u8]> {
        self.pieces.front().map(|piece| &piece[self.written..])
    }

    /// Notes that this much of them is written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.pieces.front().is_some_and(|piece| piece.len() <= self.written) {
            self.bytes -= self.pieces.pop_front().map_or(0, |piece| piece.len());
            self.written = 0;
        }
    }

    /// Tells whether everything is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Takes the number of lines that were left out, once everything before them is written.
    pub fn take_left_out(&mut self) -> usize {
        if self.is_empty() { std::mem::take(&mut self.left_out) } else { 0 }
    }

    /// Drops everything, because nobody is there to read it.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(letter: u8, length: usize) -> Vec<u8> {
        vec![letter; length]
    }

    /// Writes it all, this much at a time.
    fn written(unsaid: &mut Unsaid, at_most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(next) = unsaid.next() {
            let taken = next[..next.len().min(at_most)].to_vec();
            unsaid.wrote(taken.len());
            all.extend(taken);
        }
        all
    }

    #[test]
    fn what_waits_comes_out_whole_and_in_order_however_little_is_taken_at_a_time() {
        for at_most in [1, 2, 3, 100] {
            let mut unsaid = Unsaid::default();
            for (piece, rank) in [
                ("one\n", Rank::News),
                ("two\n", Rank::Warning),
                ("::x\n", Rank::Mark),
                ("three\n", Rank::News),
            ] {
                unsaid.push(piece.into(), rank);
            }
            assert_eq!(written(&mut unsaid, at_most), b"one\ntwo\n::x\nthree\n");
            assert_eq!(
                (unsaid.is_empty(), unsaid.bytes, unsaid.written, unsaid.take_left_out()),
                (true, 0, 0, 0)
            );
        }
    }

    #[test]
    fn beyond_the_bound_lines_are_left_out_and_counted_once_the_rest_is_written() {
        let mut unsaid = Unsaid::default();
        for _ in 0..100 {
            unsaid.push(line(b'n', 1 << 10), Rank::News);
        }
        assert_eq!((unsaid.bytes, unsaid.take_left_out()), (MOST_BYTES, 0));
        assert_eq!(written(&mut unsaid, usize::MAX).len(), MOST_BYTES);
        assert_eq!((unsaid.take_left_out(), unsaid.take_left_out()), (36, 0));
        unsaid.push(line(b'n', 1), Rank::News);
        assert_eq!(written(&mut unsaid, usize::MAX), b"n");
    }

    #[test]
    fn after_a_gap_no_news_come_before_it_is_told() {
        let mut unsaid = Unsaid::default();
        unsaid.push(line(b'n', MOST_BYTES), Rank::News);
        unsaid.push(line(b'n', 1), Rank::News);
        unsaid.wrote(MOST_BYTES / 2);
        unsaid.push(line(b'n', 1), Rank::News);
        assert_eq!(written(&mut unsaid, usize::MAX).len(), MOST_BYTES / 2);
        unsaid.push(line(b'n', 1), Rank::News);
        assert_eq!((unsaid.is_empty(), unsaid.take_left_out()), (true, 3));
    }

    #[test]
    fn a_warning_and_a_mark_have_room_where_news_have_none_and_both_are_bounded() {
        let mut unsaid = Unsaid::default();
        for _ in 0..2 {
            unsaid.push(line(b'n', MOST_BYTES), Rank::News);
        }
        unsaid.push(line(b'w', 9), Rank::Warning);
        unsaid.push(line(b'm', 9), Rank::Mark);
        for _ in 0..3 {
            unsaid.push(line(b'w', MOST_BYTES), Rank::Warning);
            unsaid.push(line(b'm', MOST_BYTES), Rank::Mark);
        }
        assert_eq!(unsaid.bytes, MOST_BYTES + 18);
        assert!(written(&mut unsaid, usize::MAX).ends_with(b"wwwwwwwwwmmmmmmmmm"));
        // A mark does not count as a line.
        assert_eq!(unsaid.take_left_out(), 4);
    }

    #[test]
    fn one_line_that_is_longer_than_the_bound_is_said_where_nothing_waits() {
        let mut unsaid = Unsaid::default();
        unsaid.push(line(b'n', 3 * MOST_BYTES), Rank::News);
        assert_eq!(written(&mut unsaid, 4096).len(), 3 * MOST_BYTES);
    }

    #[test]
    fn a_moment_that_has_passed_is_not_shown_and_not_missed() {
        let mut unsaid = Unsaid::default();
        unsaid.push(line(b'.', 1), Rank::Moment);
        unsaid.push(line(b'.', 1), Rank::Moment);
        unsaid.push(line(b'n', 1), Rank::News);
        unsaid.push(line(b'.', 1), Rank::Moment);
        assert_eq!((written(&mut unsaid, usize::MAX), unsaid.take_left_out()), (b".n".to_vec(), 0));
    }

    #[test]
    fn of_one_who_is_gone_nothing_is_kept() {
        let mut unsaid = Unsaid::default();
        for _ in 0..2 {
            unsaid.push(line(b'n', MOST_BYTES), Rank::News);
        }
        unsaid.wrote(3);
        unsaid.forget();
        assert_eq!(
            (unsaid.is_empty(), unsaid.bytes, unsaid.written, unsaid.take_left_out()),
            (true, 0, 0, 0)
        );
    }
}
