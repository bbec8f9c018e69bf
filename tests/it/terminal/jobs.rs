//! Keys, and who has the terminal: Ctrl-C, Ctrl-Z, `fg` and `bg`, a build that asks for the terminal,
//! other shells, and a terminal that is closed.

use crate::support::{
    figures::Figures,
    process,
    site::{Site, UNTIL_GO},
    wait_until,
};

use super::{BEATING, Terminal, begin, number_in, stands_still, state, wait_until_it_beats};

#[test]
fn ctrl_c_ends_the_build_with_130_and_the_services_run() {
    let site = Site::new();
    let services = site.services(2);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    terminal.keys("\x03");
    terminal.expect_code("130");
    assert!(services.are("running") && !process::runs(site.child()));
    terminal.answers("after");
}

#[test]
fn ctrl_z_lets_the_services_run_and_fg_pauses_them_again() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    // Twice: what was resumed can be suspended again.
    for round in ["one", "two"] {
        wait_until_it_beats(&site);
        terminal.keys("\x1a");
        terminal.answers(round);
        assert!(services.are("running"), "{:?}", services.statuses());
        assert!(stands_still(site.child()) && state(number_in(&site, "parent")) == Some('T'));
        terminal.keys("fg\n");
        services.wait_until_all("paused");
        wait_until_it_beats(&site);
    }
    assert_eq!(terminal.screen().matches("Stopped").count(), 2, "{}", terminal.screen());
    terminal.keys("\x03");
    terminal.expect_code("130");
    assert_eq!(services.states(), before);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn ctrl_z_lets_the_services_of_a_step_run_as_well_and_after_fg_it_is_taken_again() {
    let (site, figures) = (Site::new(), Figures::new(100));
    let services = site.services(1);
    let before = services.states();
    let mut terminal = Terminal::shell_of(figures.over(&mut site.command("bash")));
    terminal.keys(&format!(
        "$mr --method pause --floor 200MiB --then '{}' sh -c '{BEATING}'\n",
        services.all()
    ));
    for round in ["one", "two"] {
        services.wait_until_all("paused");
        wait_until_it_beats(&site);
        terminal.keys("\x1a");
        terminal.answers(round);
        assert!(services.are("running"), "{:?}", services.statuses());
        terminal.keys("fg\n");
    }
    services.wait_until_all("paused");
    terminal.expect_foreground_other_than_the_shell();
    terminal.keys("\x03");
    terminal.expect_code("130");
    assert_eq!(services.states(), before);
}

#[test]
fn a_stopped_build_that_is_killed_leaves_its_services_running() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    terminal.keys("\x1a");
    terminal.answers("stopped");
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    // bash sends SIGCONT as well.
    terminal.keys("kill %1\n");
    wait_until("build and makeroom are gone", || !process::runs(child) && !process::runs(parent));
    assert!(services.are("running") && site.journals().is_empty());
    terminal.answers("after");
}

#[test]
fn bg_goes_on_with_the_build_behind_the_shell() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    terminal.keys("\x1a");
    terminal.answers("stopped");
    terminal.keys("bg\n");
    services.wait_until_all("paused");
    wait_until_it_beats(&site);
    terminal.answers("beside");
    terminal.keys("kill %1; wait %1\n");
    terminal.expect_code("143");
    assert!(services.are("running"));
}

#[test]
fn a_build_that_asks_in_the_foreground_gets_the_terminal_and_the_shell_has_it_back() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!(
        "$mr --pause '{}' sh -c 'echo $$ >child; read x; echo got-$x-; exit 3'\n",
        services.all()
    ));
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    terminal.expect_code("3");
    terminal.answers("after");
    assert!(
        services.are("running") && !terminal.screen().contains("Stopped"),
        "{}",
        terminal.screen()
    );
}

#[test]
fn ctrl_c_and_ctrl_z_reach_a_build_that_has_the_terminal_itself() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!(
        "$mr --pause '{}' sh -c 'echo $$ >child; read x; read y; echo got-$x-$y-'\n",
        services.all()
    ));
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    terminal.keys("\x1a");
    terminal.answers("stopped");
    assert!(services.are("running"));
    terminal.keys("fg\n");
    services.wait_until_all("paused");
    wait_until("the build has the terminal again", || terminal.foreground() == child);
    terminal.keys("hello\nworld");
    terminal.keys("\x03");
    terminal.expect_code("130");
    terminal.answers("after");
    assert!(services.are("running"));
}

#[test]
fn a_build_that_asks_in_the_background_stops_and_reads_after_fg() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!(
        "$mr --pause '{}' sh -c 'echo $PPID >parent; echo $$ >child; read x; echo got-$x-' &\n",
        services.all()
    ));
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    wait_until("both are stopped", || state(child) == Some('T') && state(parent) == Some('T'));
    assert!(services.are("running"), "{:?}", services.statuses());
    terminal.answers("meanwhile");
    terminal.keys("fg\n");
    wait_until("the build has the terminal", || terminal.foreground() == child);
    assert!(services.are("paused"));
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    terminal.expect_code("0");
    assert!(services.are("running"));
}

#[test]
fn a_terminal_that_stops_whatever_writes_from_the_background_does_not_stop_makeroom() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!("stty tostop; $mr --pause '{}' sh -c '{UNTIL_GO}' &\n", services.all()));
    site.child();
    assert!(services.are("paused"));
    site.go();
    services.wait_until_all("running");
    terminal.keys("wait %1\n");
    terminal.expect_code("7");
    assert!(!terminal.screen().contains("Stopped"), "{}", terminal.screen());
}

#[test]
fn ctrl_c_reaches_makeroom_and_its_neighbours_in_a_pipeline() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(
        &mut terminal,
        &site,
        &services,
        "BUILD | sh -c 'trap \"echo caught >neighbour; exit 9\" INT; while :; do sleep 0.02; done'",
    );
    terminal.expect_foreground_other_than_the_shell();
    terminal.keys("\x03");
    terminal.expect_shell_in_the_foreground();
    terminal.keys("echo an'swers-'${PIPESTATUS[*]}-\n");
    terminal.shows("answers-130 9-\r\n");
    assert_eq!(crate::support::wait_for_line(&site.work().join("neighbour")), "caught");
    assert!(services.are("running"));
}

#[test]
fn under_another_shell_ctrl_z_and_fg_do_not_hang() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    // Not its last command: a shell would become makeroom then.
    terminal.keys(&format!(
        "cat >script <<'END'\n$mr --pause '{}' sh -c '{BEATING}'\necho through\nEND\n",
        services.all()
    ));
    terminal.keys("sh ./script\n");
    site.child();
    terminal.keys("\x1a");
    // bash waits for the script's shell alone, which stops at once.
    terminal.answers("stopped");
    services.wait_until_all("running");
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    wait_until("both are stopped", || stands_still(child) && state(parent) == Some('T'));
    terminal.keys("fg\n");
    services.wait_until_all("paused");
    wait_until_it_beats(&site);
    terminal.keys("\x03");
    terminal.answers("after");
    services.wait_until_all("running");
    assert!(services.are("running") && !process::runs(site.child()));
}

#[test]
fn under_another_shell_ctrl_z_at_a_build_that_has_the_terminal_stops_that_shell_too() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    let build = "echo $$ >child; read x; echo got-$x-";
    terminal.keys(&format!(
        "cat >script <<'END'\n$mr --pause '{}' sh -c '{build}'\necho through\nEND\n",
        services.all()
    ));
    terminal.keys("sh ./script\n");
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    // It reaches the build's group alone: makeroom has to stop all of its own.
    terminal.keys("\x1a");
    terminal.answers("stopped");
    assert!(services.are("running"), "{:?}", services.statuses());
    terminal.keys("fg\n");
    wait_until("the build has the terminal again", || terminal.foreground() == child);
    assert!(services.are("paused"), "{:?}", services.statuses());
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    terminal.shows("through\r\n");
    terminal.answers("after");
}

#[test]
fn what_follows_makeroom_in_a_script_has_the_terminal_again() {
    let site = Site::new();
    let mut terminal = Terminal::shell(&site);
    // An interactive shell would take the terminal back itself; this one has no job control.
    terminal.keys("cat >script <<'END'\n$mr sh -c 'echo $$ >child; read x; echo got-$x-'\nread y; echo then-$y-\nEND\n");
    terminal.keys("sh ./script\n");
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    wait_until("the script has the terminal", || terminal.foreground() != child);
    terminal.keys("world\n");
    terminal.shows("then-world-\r\n");
    terminal.answers("after");
}

#[test]
fn a_terminal_that_is_closed_ends_the_build_and_the_services_run() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    // An interactive shell passes the hang-up on to its jobs.
    process::signal(terminal.running.pid(), libc::SIGHUP);
    services.wait_until_all("running");
    wait_until("build and makeroom are gone", || !process::runs(child) && !process::runs(parent));
    drop(terminal);
}
