//! In whatever state a run is in, a stderr of whatever kind holds up nothing that it does.

use std::{thread, time::Duration};

use crate::support::{
    crowd, process,
    proxy::Moment,
    site::{STUBBORN, UNTIL_GO},
    stalled::{Kind, Stalled},
    wait_until, wait_within,
};

use super::{PROMISED, Stage};

fn ends_by_itself(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    stage.site.go();
    stage.ends(run).expect_code(7);
}

fn ends_by_a_signal(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    run.signal(libc::SIGTERM);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn is_stubborn_and_killed_by_a_second_signal(stage: &Stage) {
    let run = stage.running(&["--grace", "1h"], STUBBORN);
    run.signal(libc::SIGTERM);
    wait_within(PROMISED, "the services run beside the build", || stage.services.are("running"));
    assert!(process::runs(stage.site.child()));
    run.signal(libc::SIGTERM);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGKILL));
}

fn ends_while_it_waits_for_stderr_itself(stage: &Stage) {
    let run = stage.running(&[], "echo $$ >child; exec yes >&2");
    // It has the lock of a terminal's output then (tty_write_lock).
    let waits = || {
        process::stat(stage.site.child()).is_some_and(|stat| stat.state == 'S')
            && process::link(stage.site.child(), "exe").is_some_and(|exe| exe.ends_with("yes"))
    };
    wait_until("the build waits", waits);
    run.signal(libc::SIGTERM);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn ends_by_its_timeout(stage: &Stage) {
    let timeout = crowd::option(crowd::lately(Duration::from_secs(1)));
    let run = stage.start(&["--timeout", &timeout], UNTIL_GO);
    let child = stage.site.child();
    wait_until("its time is over", || !process::runs(child));
    stage.ends(run).expect_code(124);
}

fn makes_room_and_goes_on(stage: &Stage) {
    let held = stage.proxy.hold("pause", 1, Moment::Before);
    let run = stage.start(&[], UNTIL_GO);
    held.wait();
    held.release();
    stage.site.child();
    stage.site.go();
    stage.ends(run).expect_code(7);
}

fn makes_room_and_gets_a_signal(stage: &Stage) {
    let held = stage.proxy.hold("pause", 1, Moment::After);
    let run = stage.start(&[], UNTIL_GO);
    held.wait();
    run.signal(libc::SIGTERM);
    held.release();
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn is_suspended_and_goes_on(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    stage.suspend(&run);
    run.signal(libc::SIGCONT);
    stage.services.wait_until_all("paused");
    stage.site.go();
    stage.ends(run).expect_code(7);
}

fn is_suspended_and_gets_a_signal(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    stage.suspend(&run);
    run.signal(libc::SIGTERM);
    run.signal(libc::SIGCONT);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn returns_and_gets_two_signals(stage: &Stage) {
    let held = stage.proxy.hold("unpause", 1, Moment::Before);
    let mut run = stage.running(&[], UNTIL_GO);
    stage.site.go();
    held.wait();
    run.signal(libc::SIGTERM);
    run.signal(libc::SIGINT);
    wait_within(PROMISED, "it is gone though an engine hangs", || !run.is_running());
    held.release();
    stage.ends(run).expect_code(7);
}

type Play = (&'static str, fn(&Stage));

/// Every state of a run and every end of it.
const PLAYS: [Play; 10] = [
    ("ends by itself", ends_by_itself),
    ("gets a signal", ends_by_a_signal),
    ("gets two signals", is_stubborn_and_killed_by_a_second_signal),
    ("times out", ends_by_its_timeout),
    ("waits for stderr itself", ends_while_it_waits_for_stderr_itself),
    ("makes room", makes_room_and_goes_on),
    ("makes room, gets a signal", makes_room_and_gets_a_signal),
    ("is suspended", is_suspended_and_goes_on),
    ("is suspended, gets a signal", is_suspended_and_gets_a_signal),
    ("returns, gets two signals", returns_and_gets_two_signals),
];

/// Of these so many at once.
const AT_ONCE: usize = 5;

/// Plays all of them.
#[track_caller]
fn play(kind: Kind, is_nobody: bool) {
    let mut failed = Vec::new();
    for plays in PLAYS.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let begin = |&(name, play): &Play| {
                (name, scope.spawn(move || play(&Stage::new(kind, is_nobody))))
            };
            let playing: Vec<_> = plays.iter().map(begin).collect();
            failed.extend(
                playing.into_iter().filter_map(|(name, play)| play.join().is_err().then_some(name)),
            );
        });
    }
    assert!(failed.is_empty(), "{kind:?}: {failed:?}");
}

#[test]
fn a_full_pipe_holds_up_nothing_in_any_state() {
    play(Kind::Pipe, false);
}

#[test]
fn a_full_terminal_holds_up_nothing_in_any_state() {
    play(Kind::Terminal, false);
}

#[test]
fn a_terminal_that_ctrl_s_stopped_holds_up_nothing_in_any_state() {
    play(Kind::StoppedTerminal, false);
}

#[test]
fn a_full_socket_holds_up_nothing_in_any_state() {
    play(Kind::Socket, false);
}

#[test]
fn a_pipe_that_cannot_be_opened_again_holds_up_nothing_in_any_state() {
    play(Kind::Pipe, true);
}

#[test]
fn a_terminal_of_another_user_holds_up_nothing_in_any_state() {
    play(Kind::Terminal, true);
}

#[test]
fn a_stopped_terminal_of_another_user_holds_up_nothing_in_any_state() {
    play(Kind::StoppedTerminal, true);
}

#[test]
fn what_is_read_while_room_is_made_and_not_afterwards_holds_up_nothing() {
    for (kind, is_nobody) in
        [(Kind::Pipe, false), (Kind::Terminal, false), (Kind::Socket, false), (Kind::Pipe, true)]
    {
        let stage = Stage::with(kind, is_nobody, Stalled::empty(kind));
        let run = stage.running(&[], UNTIL_GO);
        stage.stalled.fill();
        stage.site.go();
        stage.ends(run).expect_code(7);
        stage.stalled.read().shows("1 container paused");
    }
}
