//! A selector, and names and labels that are whatever somebody called them.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use makeroom::core::target::selector::Selector;

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (selector, name, key, value) = input;
    if let Ok(selector) = selector.parse::<Selector>() {
        let labels = HashMap::from([(key.to_owned(), value.to_owned())]);
        let _ = selector.matches(&[name.to_owned()], &labels);
    }
    // A plain name matches itself.
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_plain {
        let own = name.parse::<Selector>().expect("a name");
        assert!(own.matches(&[name.to_owned()], &HashMap::new()), "{name}");
    }
});
