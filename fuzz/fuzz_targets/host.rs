//! What a host says, or a VM that is out of memory, or whoever sits between: all of it is text.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use makeroom::core::{machine::{cgroup, doctor::HostFacts, memory, sample}, run::{history, oom_log}};

fuzz_target!(|text: &str| {
    let measured = cgroup::read(text);
    let _ = cgroup::given_back(&measured, &measured);
    let _ = (memory::meminfo(text), memory::swaps(text), memory::some_stall(text), memory::oom_kills(text));
    let _ = (sample::read(text), HostFacts::read(text), oom_log::read(text, Duration::from_secs(9)));
    assert!(history::read(text).count() <= text.lines().count());
    if let Some(short) = history::shortened(text) {
        assert!(text.ends_with(short) && history::shortened(short).is_none());
    }
});
