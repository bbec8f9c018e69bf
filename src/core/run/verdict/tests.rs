use super::*;

const GIB: u64 = 1 << 30;

fn evidence(exit: Exit) -> Evidence<'static> {
    Evidence {
        child: exit,
        ending: Ending::of(exit, None),
        thrash: None,
        engine_lost: false,
        is_in_front: false,
        took: Duration::from_secs(90),
        oom_kills: Some(0),
        killed: &[],
        peak_bytes: Some(8 * GIB),
        available_min_bytes: Some(GIB / 2),
        swap_free_bytes: GIB,
        heap_limit_bytes: None,
        spare: &[],
        held: &[],
    }
}

#[test]
fn a_build_that_failed_by_itself_is_told_what_it_may_have_missed() {
    let remedy = |exit, held: &[&str]| verdict(&Evidence { held, ..evidence(exit) }).remedy;
    let failed = Exit::Code(1);
    assert_eq!(
        remedy(failed, &["db"]).as_deref(),
        Some(
            "`db` was not running meanwhile: if the build needs it, that is the likely cause \
             (`--keep db`)"
        )
    );
    assert_eq!(
        remedy(failed, &["a", "b", "c", "d"]).as_deref(),
        Some(
            "`a`, `b`, `c` and 1 more were not running meanwhile: if the build needs one of them, \
             that is the likely cause (`--keep NAME`)"
        )
    );
    for (exit, held) in [
        (failed, &[][..]),
        (Exit::Code(0), &["db"]),
        (Exit::Code(127), &["db"]),
        (Exit::Code(126), &["db"]),
        (Exit::Signal(15), &["db"]),
    ] {
        assert_eq!(remedy(exit, held), None, "{exit:?}");
    }
}

#[test]
fn each_end_has_its_cause() {
    let ok = Exit::Code(0);
    let killed = evidence(Exit::Signal(9));
    let failed = evidence(Exit::Code(1));
    let aborted = evidence(Exit::Code(134));
    let other = [Killed { name: "node".to_owned(), pid: 7, held_bytes: None, is_step: false }];
    let step = [Killed { name: "cc1".to_owned(), pid: 8, held_bytes: Some(GIB), is_step: true }];
    for (seen, kind, words) in [
        (evidence(Exit::Code(0)), Kind::Ok, ""),
        (
            Evidence { oom_kills: Some(1), ..killed.clone() },
            Kind::OomKill,
            "killed the build for memory: it held 8.0 GiB, at the lowest 512 MiB",
        ),
        (
            Evidence { oom_kills: Some(1), ..evidence(Exit::Code(137)) },
            Kind::OomKill,
            "the kernel killed the build for memory",
        ),
        (
            Evidence { oom_kills: Some(1), available_min_bytes: Some(9 * GIB), ..killed.clone() },
            Kind::OomKill,
            "at a limit of its own",
        ),
        (killed.clone(), Kind::Killed, "and not for memory"),
        (Evidence { oom_kills: None, ..killed }, Kind::Killed, "whether for memory was not seen"),
        (
            Evidence { oom_kills: Some(2), ..failed.clone() },
            Kind::OomKillNearby,
            "2 OOM kills while the build ran",
        ),
        (
            Evidence { oom_kills: Some(1), killed: &other, ..failed.clone() },
            Kind::OomKillNearby,
            "the kernel killed `node` (pid 7) for memory while",
        ),
        (
            Evidence { oom_kills: Some(1), killed: &step, ..failed.clone() },
            Kind::OomKill,
            "the kernel killed `cc1` (pid 8, 1.0 GiB), a step of the engine's builder, for \
             memory: it held 8.0 GiB",
        ),
        (aborted.clone(), Kind::Abort, "was not seen"),
        // The kernel's is a SIGKILL: this one ended itself.
        (Evidence { oom_kills: Some(1), ..aborted.clone() }, Kind::Abort, "as Node does"),
        (
            Evidence { heap_limit_bytes: Some(GIB), ..evidence(Exit::Signal(6)) },
            Kind::Abort,
            "(here 1.0 GiB)",
        ),
        (killed_by(EndedBy::Timeout), Kind::Timeout, "--timeout ended the build after 1m 30s"),
        (
            Evidence { thrash: Some(thrash(2)), ..killed_by(EndedBy::Thrash) },
            Kind::Thrash,
            "thrashing for 30.0 s though 2 steps were taken (at last everything stood still \
             43 % of the time), so --abort-on-thrash ended the build after 1m 30s: it held",
        ),
        (
            Evidence { thrash: Some(thrash(0)), ..killed_by(EndedBy::Thrash) },
            Kind::Thrash,
            "thrashing for 30.0 s (at last",
        ),
        (killed_by(EndedBy::Interrupt), Kind::Cancelled, "a signal to makeroom ended"),
        (
            Evidence { ending: Ending::of(ok, Some(EndedBy::Interrupt)), ..evidence(ok) },
            Kind::Ok,
            "a signal to makeroom came, and the build ended with 0 all the same",
        ),
        (
            Evidence { ending: Ending::of(ok, Some(EndedBy::Timeout)), ..evidence(ok) },
            Kind::Timeout,
            "--timeout ended the build after 1m 30s",
        ),
        (
            Evidence { ending: Ending::of(ok, None).with_strict(true, false), ..evidence(ok) },
            Kind::NotRestored,
            "not everything is back",
        ),
        (
            Evidence { engine_lost: true, ..failed.clone() },
            Kind::EngineLost,
            "kernel killed nothing for memory",
        ),
        (
            Evidence { engine_lost: true, oom_kills: Some(1), ..failed.clone() },
            Kind::EngineLost,
            "kernel made 1 OOM kill",
        ),
        (failed, Kind::OwnError, "failed by itself with 1; the kernel killed nothing for memory"),
        (
            Evidence { oom_kills: None, ..evidence(Exit::Signal(11)) },
            Kind::OwnError,
            "died of signal 11",
        ),
    ] {
        let judged = verdict(&seen);
        assert_eq!(judged.kind, kind, "{seen:?}");
        let cause = judged.cause.unwrap_or_default();
        assert!(cause.contains(words) && !cause.contains('\n'), "{cause} should say {words}");
    }
}

fn thrash(steps: usize) -> Thrash {
    let figures = Figures { pressure_percent: Some(43.2), ..Figures::default() };
    Thrash { time: Duration::from_secs(30), figures, steps }
}

fn killed_by(by: EndedBy) -> Evidence<'static> {
    let killed = Exit::Signal(9);
    Evidence { ending: Ending::of(killed, Some(by)), ..evidence(killed) }
}

#[test]
fn the_remedy_names_what_would_have_been_there() {
    let spare = [Spare { name: "web".to_owned(), bytes: GIB }];
    let killed = Evidence { oom_kills: Some(1), spare: &spare, ..evidence(Exit::Signal(9)) };
    assert_eq!(
        verdict(&killed).remedy.as_deref(),
        Some("pausing `web` would give 1.0 GiB more, or `--swap 4GiB` would give it a place to go")
    );
    assert_eq!(
        verdict(&Evidence { spare: &[], ..killed.clone() }).remedy.as_deref(),
        Some("`--swap 4GiB` would give it a place to go")
    );
    let aborted = Evidence {
        peak_bytes: Some(2 * GIB),
        available_min_bytes: Some(4 * GIB),
        ..evidence(Exit::Code(134))
    };
    assert_eq!(
        verdict(&aborted).remedy.as_deref(),
        Some("NODE_OPTIONS=--max-old-space-size=4096 is what this machine has room for")
    );
    let full = Evidence { heap_limit_bytes: Some(64 * GIB), ..aborted };
    assert_eq!(verdict(&full).remedy, None);
    assert_eq!(verdict(&evidence(Exit::Code(1))).remedy, None);
    let in_front = verdict(&Evidence { is_in_front: true, ..killed });
    assert_eq!(
        in_front.cause.as_deref(),
        Some("the kernel killed the build for memory: it held 8.0 GiB")
    );
    assert!(
        in_front
            .remedy
            .is_some_and(|remedy| remedy.contains("room on the engine's host does not help"))
    );
}
