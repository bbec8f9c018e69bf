use super::*;

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_fits_a_screen() {
    let help = Cli::command().term_width(120).render_help().to_string();
    assert!(help.lines().count() <= 60, "{help}");
    assert!(help.lines().all(|line| line.len() <= 120), "{help}");
}

#[test]
fn options_may_stand_before_a_subcommand_and_before_a_command() {
    for (typed, read) in [
        ("makeroom -q status", "makeroom status -q"),
        ("makeroom --state-dir run stop x", "makeroom stop --state-dir run x"),
        ("makeroom --state-dir=/s -v recover", "makeroom recover --state-dir=/s -v"),
        ("makeroom -q -- status", "makeroom -q -- status"),
        ("makeroom --pause stop make stop", "makeroom --pause stop make stop"),
        ("makeroom make stop", "makeroom make stop"),
        ("makeroom start --name x", "makeroom start --name x"),
        ("makeroom --pause", "makeroom --pause"),
        ("makeroom", "makeroom"),
    ] {
        let words = subcommand_first(typed.split(' ').map(OsString::from).collect());
        assert_eq!(words.join(&OsString::from(" ")), read, "{typed}");
    }
}

#[test]
fn what_follows_the_command_is_the_commands() {
    for (typed, command) in [
        ("makeroom --pause a pnpm build --pause b", vec!["pnpm", "build", "--pause", "b"]),
        ("makeroom -- status", vec!["status"]),
        ("makeroom run -- start --all", vec!["start", "--all"]),
        ("makeroom true -- x", vec!["true", "--", "x"]),
        ("makeroom -q -- -odd", vec!["-odd"]),
    ] {
        let cli = Cli::try_parse_from(typed.split(' '))
            .unwrap_or_else(|error| panic!("{typed}: {error}"));
        let run = match cli.command {
            Some(Command::Run(run)) => run,
            None => cli.run,
            other => panic!("{typed}: {other:?}"),
        };
        assert_eq!(run.command, command, "{typed}");
    }
    for typed in [["makeroom", "--unknown", "true"], ["makeroom", "-x", "true"]] {
        Cli::try_parse_from(typed).expect_err("an unknown option is not a command");
    }
    assert!(matches!(
        Cli::try_parse_from(["makeroom", "status"]).expect("a subcommand").command,
        Some(Command::Status(_))
    ));
}
