//! Owns what is said of a variable that is called as makeroom's are and is none of them. Pure.

use std::fmt;

use crate::core::{
    text::{printable, shell_word},
    variables::PREFIX,
};

/// A variable that is called as makeroom's are and is none of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownVariable {
    /// Its name, with what is no text replaced.
    pub name: String,
    /// The one that is called most like it.
    pub nearest: String,
}

impl UnknownVariable {
    /// Finds the one of these that takes the fewest letters to be this one, for its length.
    pub(super) fn beside(name: &str, known: impl Iterator<Item = String>) -> Self {
        let rest = |name: &str| name.get(PREFIX.len()..).unwrap_or_default().to_uppercase();
        let likeness =
            |known: &str| strsim::normalized_damerau_levenshtein(&rest(known), &rest(name));
        let nearest = known.max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        Self { name: name.to_owned(), nearest: nearest.unwrap_or_default() }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("correct its name, or `unset {}`", printable(&shell_word(&self.name)))
    }
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: no such variable; the nearest is {}", self.name, self.nearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_takes_the_fewest_letters() {
        let known = [
            "PAUSE",
            "KEEP",
            "NO_RECLAIM",
            "SWAP",
            "SWAP_FILE",
            "STOP_TIMEOUT",
            "TIMEOUT",
            "WAIT",
            "WAIT_HEALTHY",
            "STATE_DIR",
            "COLOR",
            "CONFIG",
        ];
        for (typed, nearest) in [
            ("PUASE", "PAUSE"),
            ("PAUSES", "PAUSE"),
            ("pause", "PAUSE"),
            ("TIME_OUT", "TIMEOUT"),
            ("RECLAIM", "NO_RECLAIM"),
            ("SWAPFILE", "SWAP_FILE"),
            ("STATE_DIRECTORY", "STATE_DIR"),
            ("CONFIG_FILE", "CONFIG"),
            ("COLOUR", "COLOR"),
            ("PAUS\u{fffd}", "PAUSE"),
        ] {
            let known = known.iter().map(|name| format!("{PREFIX}{name}"));
            let unknown = UnknownVariable::beside(&format!("{PREFIX}{typed}"), known);
            assert_eq!(unknown.nearest, format!("{PREFIX}{nearest}"), "{typed}");
        }
    }

    #[test]
    fn it_is_named_with_the_nearest_and_what_to_do() {
        let unknown =
            UnknownVariable { name: format!("{PREFIX}X Y"), nearest: format!("{PREFIX}PAUSE") };
        assert_eq!(
            unknown.to_string(),
            format!("{PREFIX}X Y: no such variable; the nearest is {PREFIX}PAUSE")
        );
        assert_eq!(unknown.hint(), format!("correct its name, or `unset '{PREFIX}X Y'`"));
    }
}
