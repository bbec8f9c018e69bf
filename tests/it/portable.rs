//! Which path the binary under test is of: Linux's own, or the portable one that macOS gets. The
//! whole suite runs against each, and this is the proof that it does.

use std::{fs, path::PathBuf};

use crate::support::site::Site;

const MAKEROOM: &str = env!("CARGO_BIN_EXE_makeroom");

#[test]
fn the_binary_is_of_the_path_that_was_asked_for() {
    let program = fs::read(MAKEROOM).expect("the binary");
    let holds = |text: &str| program.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    for (text, is_portable) in [("/bin/ps", true), ("/proc/self/oom_score_adj", false)] {
        assert_eq!(holds(text), is_portable == cfg!(makeroom_portable), "{text}");
    }
}

#[test]
fn only_linux_samples_memory_and_scores_the_child() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let own = fs::read_to_string("/proc/self/oom_score_adj").expect("a score");
    let done = site.makeroom(["cat", "/proc/self/oom_score_adj"]).run();
    let is_portable = cfg!(makeroom_portable);
    assert_eq!(done.out == own, is_portable || own.trim() == "1000", "{} beside {own}", done.out);
    assert_eq!(done.err.contains("lowest available"), !is_portable, "{}", done.err);
    // getrusage is there on both, and knows single processes only.
    assert!(
        done.err.contains(if is_portable { "largest process " } else { "peak " }),
        "{}",
        done.err
    );
}
