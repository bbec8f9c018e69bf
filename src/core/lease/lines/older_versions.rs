//! Journals that releases of the two versions before wrote, and what each lease still has. How they
//! came about is in their directories.

use super::*;
use crate::core::lease::state::{HeldArea, HeldTarget, Stage};

macro_rules! journal {
    ($version:literal, $name:literal) => {
        (
            $name,
            &include_bytes!(concat!(
                "../../../../tests/fixtures/journals-v",
                $version,
                "/",
                $name,
                ".journal"
            ))[..],
        )
    };
}

/// Who, where, and what: targets that are announced `?`, of unknown outcome `!`, areas that are
/// being removed `-`.
fn summary(state: &LeaseState) -> String {
    let opened = state.opened.as_ref().expect("opened");
    let who = [opened.name.as_deref(), opened.program.as_deref()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    let host = state.host().map_or_else(|| "here".to_owned(), |way| format!("{way:?}"));
    let target = |held: &HeldTarget| {
        let mark = match held.stage {
            Stage::Held => "",
            Stage::Intended => "?",
            Stage::Unknown => "!",
        };
        let scaled =
            held.target.undo.replicas().map_or_else(String::new, |replicas| format!("*{replicas}"));
        // The test's own numbers are not what it is about.
        let name = held.target.name.rsplit('-').next().expect("a name");
        format!(
            "{:?} {}{scaled}{mark}",
            held.method,
            if scaled.is_empty() { name } else { "service" }
        )
    };
    let mut targets: Vec<String> = state.targets.values().map(target).collect();
    targets.sort();
    let area = |held: &HeldArea| {
        format!(
            "{} {}{}",
            held.area.path,
            held.area.size_bytes >> 20,
            if held.removing { "-" } else { "" }
        )
    };
    let areas: Vec<String> = state.areas.values().map(area).collect();
    let ends = [(state.lingers(), "lingers"), (state.is_releasing(), "releasing")];
    let ends: Vec<&str> =
        ends.into_iter().filter_map(|(is_so, word)| is_so.then_some(word)).collect();
    format!(
        "{:?} {who}|{host}|{}|{}|{}",
        opened.kind,
        targets.join(", "),
        areas.join(", "),
        ends.join(" ")
    )
}

#[test]
fn each_journal_of_version_4_is_read_whole() {
    let site = "/tmp/makeroom-it-iyIKHl/makeroom-site-EqsEdS";
    let behind = |way: &str| format!("Run sh|{way}|Pause 0|/var/lib/makeroom/swapfile 2|");
    let plain = |text: &str| text.to_owned();
    for ((name, bytes), expected) in [
        (journal!(4, "paused"), plain("Run sh|here|Pause 0, Pause 1, Pause 2||")),
        (journal!(4, "stopped"), plain("Run sh|here|Stop 0, Stop 1||")),
        (journal!(4, "intended"), plain("Run sh|here|Pause 0?, Pause 1?||")),
        (journal!(4, "unknown"), plain("Run sh|here|Pause 0!, Pause 1!||")),
        (journal!(4, "releasing"), plain("Run sh|here|Pause 0||releasing")),
        (journal!(4, "step"), plain("Run sh|here|Pause 0, Pause 1||")),
        (journal!(4, "lingering"), plain("Start true|here|Pause 0, Pause 1||lingers")),
        (journal!(4, "started"), plain("Start nightly|here|Pause 0, Pause 1||")),
        (journal!(4, "shared"), plain("Run sh|here|Pause 0, Pause 1|/data/area 65|")),
        (
            journal!(4, "joined"),
            plain("Run sh|here|Pause 0, Pause 1|/data/area 65, /data/area-73a70828a791 45|"),
        ),
        (journal!(4, "swap-making"), plain("Run sh|here||/data/area 2001|")),
        (journal!(4, "swap-made"), plain("Run sh|here||/data/area 65|")),
        (journal!(4, "swap-removing"), plain("Run sh|here||/data/area 65-|releasing")),
        (journal!(4, "swarm"), plain("Run sh|here|Stop service*2||")),
        (journal!(4, "colima"), behind(r#"Colima { profile: "work", home: None }"#)),
        (
            journal!(4, "colima-home"),
            behind(&format!(r#"Colima {{ profile: "default", home: Some("{site}/ch") }}"#)),
        ),
        (journal!(4, "lima"), behind(r#"Lima { instance: "docker", home: None }"#)),
        (
            journal!(4, "lima-home"),
            behind(&format!(r#"Lima {{ instance: "d", home: Some("{site}/lh") }}"#)),
        ),
        (journal!(4, "rancher-desktop"), behind("RancherDesktop")),
        (journal!(4, "podman-machine"), behind(r#"PodmanMachine { name: "qemu" }"#)),
        (journal!(4, "ssh"), behind(r#"Ssh { destination: "me@there", port: Some(2222) }"#)),
        (journal!(4, "ssh-ipv6"), behind(r#"Ssh { destination: "root@[fd00::1]", port: None }"#)),
        (journal!(4, "own-vm-shell"), behind(r#"Own { words: ["vm", "in there"] }"#)),
    ] {
        let state = read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(summary(&state), expected, "{name}");
        let opened = state.opened.expect("opened");
        assert_eq!(opened.version, 4, "{name}");
        for held in state.targets.values() {
            assert!(
                held.target.undo.replicas().is_some()
                    || format!("{:?}", held.target.incarnation).contains("2026-11-29T23:07:"),
                "{name}"
            );
        }
    }
}

#[test]
fn each_journal_of_version_5_is_read_whole() {
    let three = "Pause 0, Pause 1, Pause 2";
    for ((name, bytes), expected) in [
        (journal!(5, "paused"), format!("Run sleep|here|{three}||")),
        (journal!(5, "stopped"), "Run sleep|here|Stop 0, Stop 1, Stop 2||".to_owned()),
        (journal!(5, "started"), format!("Start nightly|here|{three}||")),
        (journal!(5, "lingering"), format!("Start true|here|{three}||lingers")),
        (journal!(5, "held"), "Run sleep|here|Pause 0||".to_owned()),
        (journal!(5, "joined"), format!("Run sleep|here|{three}||")),
        (journal!(5, "area-made"), "Run sleep|here|Pause 0|/data/area 65|".to_owned()),
        (journal!(5, "area-joined"), "Run sleep|here|Pause 1|/data/area 65|".to_owned()),
        (journal!(5, "unknown"), "Run sleep|here|Pause 0!, Pause 1!, Pause 2!||".to_owned()),
        (journal!(5, "swarm"), "Run sleep|here|Stop service*2||".to_owned()),
    ] {
        let state = read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(summary(&state), expected, "{name}");
        assert_eq!((state.damaged_line, state.lost.len()), (None, 0), "{name}");
        assert!(state.targets.values().all(|held| held.target.incarnation.is_known()), "{name}");
        assert_eq!(state.opened.expect("opened").version, 5, "{name}");
    }
}
