//! A selector, and names and labels that are whatever somebody called them.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use makeroom::core::target::{seen::Listed, selector::Selector};

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (selector, name, key, value) = input;
    if let Ok(selector) = selector.parse::<Selector>() {
        let labels = HashMap::from([(key.to_owned(), value.to_owned())]);
        let _ = selector.matches(&Listed { labels, ..named(name) });
    }
    // A plain name matches itself.
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_plain {
        let own = name.parse::<Selector>().expect("a name");
        assert!(own.matches(&named(name)), "{name}");
    }
});

fn named(name: &str) -> Listed {
    Listed { names: vec![name.to_owned()], image: Some(name.to_owned()), ..Listed::default() }
}
