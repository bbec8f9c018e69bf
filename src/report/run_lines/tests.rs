use super::*;
use crate::core::machine::vm::VmDriver;

const MIB: u64 = 1 << 20;

#[test]
fn room_made_says_what_was_done_and_measured() {
    let memory = Memory {
        available_bytes: 9318 * MIB,
        swap_total_bytes: 2048 * MIB,
        swap_free_bytes: 2048 * MIB,
        ..Memory::default()
    };
    let whole = Room {
        paused: 15,
        given_back_bytes: Some(712 * MIB),
        memory: Some(memory),
        took: Duration::from_millis(400),
        ..Room::default()
    };
    assert_eq!(
        room_made(&whole, None),
        "15 containers paused, 712 MiB given back in 0.4 s; 9.1 GiB available, 2.0 GiB swap free"
    );
    let none = Memory { swap_total_bytes: 0, swap_free_bytes: 0, ..memory };
    assert_eq!(room_made(&Room::default(), Some(none)), "nothing paused; 9.1 GiB available");
    let frozen = Room { given_back_bytes: None, memory: Some(none), ..whole };
    assert_eq!(
        room_made(&frozen, None),
        "15 containers paused in 0.4 s; 9.1 GiB available; without swap, what is paused keeps its memory"
    );
    assert_eq!(room_made(&Room::default(), None), "nothing paused");
    let mixed = Room {
        paused: 1,
        stopped: 2,
        joined: 1,
        swap_made_bytes: Some(1024 * MIB),
        ..Room::default()
    };
    assert_eq!(
        room_made(&mixed, None),
        "1 container paused, 2 containers stopped, 1 of them by another run already in 0.0 s; 1.0 GiB of swap made for this run"
    );
}

#[test]
fn a_build_beside_the_room_is_told_where_the_room_is() {
    let room = Room {
        host: Some("colima".to_owned()),
        memory: Some(Memory::default()),
        ..Room::default()
    };
    let line = |room: &Room, site| room_elsewhere(room, &["pnpm".into(), "build".into()], site);
    assert_eq!(
        line(&room, BuildSite::Child).as_deref(),
        Some("the room is in colima; `pnpm` runs on this machine and does not use it")
    );
    let of = |driver| Room { vm_driver: Some(driver), ..room.clone() };
    assert_eq!(
        line(&of(VmDriver::Vz), BuildSite::Child).as_deref(),
        Some(
            "the room is in colima; `pnpm` runs on this machine and does not use it: vz gives nothing back to it"
        )
    );
    assert_eq!(
        line(&of(VmDriver::Krunkit), BuildSite::Child).as_deref(),
        Some("the room is in colima; krunkit gives it back to this machine, where `pnpm` runs")
    );
    assert_eq!((line(&room, BuildSite::Builder), line(&room, BuildSite::Elsewhere)), (None, None));
    let unseen = Room { memory: None, ..room };
    assert_eq!(
        (line(&unseen, BuildSite::Child), line(&Room::default(), BuildSite::Child)),
        (None, None)
    );
}

#[test]
fn the_builds_end_is_said_with_the_figures_that_were_seen() {
    let ok = BuildFigures {
        ending: Ending::of(Exit::Code(0), None),
        took: Duration::from_secs(192),
        peak_bytes: Some(8089 * MIB),
        is_largest_process: false,
        available_min_bytes: Some(312 * MIB),
        full_stall: Some(Duration::from_millis(610)),
        host: None,
        oom_kills: Some(0),
    };
    assert_eq!(
        build_ended(&ok),
        "build ok in 3m 12s; peak 7.9 GiB, lowest available 312 MiB, stalled 0.6 s"
    );
    let narrow = BuildFigures { is_largest_process: true, ..ok };
    assert!(build_ended(&narrow).contains("; largest process 7.9 GiB, lowest"));
    let away = BuildFigures {
        ending: Ending::of(Exit::Code(137), None),
        host: Some("colima"),
        oom_kills: Some(1),
        ..ok
    };
    assert_eq!(
        build_ended(&away),
        "build failed with 137 after 3m 12s; peak 7.9 GiB, lowest available in colima 312 MiB, stalled 0.6 s, 1 OOM kill"
    );
    let bare = BuildFigures {
        oom_kills: None,
        peak_bytes: None,
        available_min_bytes: None,
        full_stall: None,
        ..ok
    };
    let of = |by| Ending::of(Exit::Code(0), Some(by));
    assert_eq!(build_ended(&bare), "build ok in 3m 12s");
    assert_eq!(
        build_ended(&BuildFigures { ending: Ending::of(Exit::Code(7), None), ..bare }),
        "build failed with 7 after 3m 12s"
    );
    assert_eq!(
        build_ended(&BuildFigures { ending: Ending::of(Exit::Signal(9), None), ..bare }),
        "build died of SIGKILL after 3m 12s"
    );
    assert_eq!(
        build_ended(&BuildFigures { ending: Ending::of(Exit::Signal(40), None), ..bare }),
        "build died of signal 40 after 3m 12s"
    );
    assert_eq!(
        build_ended(&BuildFigures { ending: of(EndedBy::Timeout), ..bare }),
        "build ended by --timeout after 3m 12s"
    );
    assert_eq!(
        build_ended(&BuildFigures { ending: of(EndedBy::Interrupt), ..bare }),
        "build ok in 3m 12s (interrupted)"
    );
}

#[test]
fn what_stays_for_the_next_build_is_said_with_how_it_is_ended() {
    let line = |paused, stopped| {
        lingering(
            "0123abcd",
            &Lingering { paused, stopped, time: Duration::from_secs(90), ..Lingering::default() },
        )
    };
    let end = "for 1m 30s more (--linger); `makeroom stop 0123abcd` ends that now";
    assert_eq!(line(3, 0), format!("3 containers stay paused {end}"));
    assert_eq!(line(0, 1), format!("1 container stays stopped {end}"));
    assert_eq!(line(1, 2), format!("3 containers stay paused or stopped {end}"));
    assert_eq!(line(0, 0), format!("the swap stays {end}"));
}

#[test]
fn what_is_back_and_what_is_not_are_two_lines() {
    let back = Back {
        restored: 15,
        took: Duration::from_millis(100),
        swap: Some(SwapBack::Removed),
        ..Back::default()
    };
    assert_eq!(
        all_back(&back).as_deref(),
        Some("15 containers running again after 0.1 s; swap removed")
    );
    assert_eq!((all_back(&Back::default()), not_back(&back)), (None, None));
    let failed = vec![("a\u{1b}".to_owned(), "the engine says 500: no".to_owned())];
    let stays = SwapBack::Stays { path: "/s".to_owned(), reason: "busy".to_owned() };
    let lost = Back { failed, swap: Some(stays), ..Back::default() };
    let expected =
        "NOT running again: `a\\u{1b}` (the engine says 500: no); the swap area /s stays: busy";
    assert_eq!(not_back(&lost).as_deref(), Some(expected));
    let words = "swapoff: /s: swapoff failed: Cannot allocate memory";
    let not_yet = SwapBack::NotYet { path: "/s".to_owned(), reason: words.to_owned() };
    let tried = Back { restored: 1, swap: Some(not_yet), ..Back::default() };
    assert_eq!(all_back(&tried).as_deref(), Some("1 container running again after 0.0 s"));
    assert_eq!(not_back(&tried), None);
    let expected = format!("the swap area /s is not off yet: {words}");
    assert_eq!((swap_not_off(&tried), swap_not_off(&lost)), (Some(expected), None));
}
