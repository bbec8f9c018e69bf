//! Owns the limit on lines of one kind: no more are said than a person reads, and then how many
//! more there are. Pure.

/// How many lines of one kind are said.
pub const MOST: usize = 20;

/// A count of lines of one kind.
#[derive(Debug, Default)]
pub struct Few {
    all: usize,
}

impl Few {
    /// Counts one more; tells whether to say it.
    pub fn may(&mut self) -> bool {
        self.all += 1;
        self.all <= MOST
    }

    /// The line for those that were not said, if there are any: `… and 9,980 more of this kind`.
    #[must_use]
    pub fn rest(&self) -> Option<String> {
        let more = self.all.checked_sub(MOST).filter(|more| *more > 0)?;
        Some(format!("… and {} more of this kind", thousands(more)))
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_said_and_the_rest_is_counted() {
        for (all, said, rest) in [
            (0, 0, None),
            (MOST, MOST, None),
            (MOST + 1, MOST, Some("… and 1 more of this kind")),
            (10_000, MOST, Some("… and 9,980 more of this kind")),
            (1_234_587, MOST, Some("… and 1,234,567 more of this kind")),
        ] {
            let mut few = Few::default();
            assert_eq!((0..all).filter(|_| few.may()).count(), said);
            assert_eq!(few.rest().as_deref(), rest, "{all}");
        }
    }
}
