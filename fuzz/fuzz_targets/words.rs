//! Text from outside on its way to a terminal, to a shell and to a person.
#![no_main]

use libfuzzer_sys::fuzz_target;
use makeroom::{core::text, host::shell::variable};

fuzz_target!(|foreign: &str| {
    let shown = text::printable(foreign).to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    if !foreign.contains('\0') {
        assert_eq!(shlex::split(&text::shell_word(foreign)), Some(vec![foreign.to_owned()]));
        // An assignment is one word for a shell, and the value is the whole of it.
        assert_eq!(shlex::split(&variable("x", foreign)), Some(vec![format!("x={foreign}")]));
    }
});
