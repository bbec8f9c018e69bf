use std::path::PathBuf;

use super::*;

/// A world with these programs, targets, and what is elsewhere.
#[derive(Default)]
struct Fake {
    programs: Vec<&'static str>,
    targets: Option<Vec<&'static str>>,
    elsewhere: Option<&'static str>,
    is_sudo: bool,
    here: Vec<&'static str>,
}

impl World for Fake {
    fn runs(&self, name: &str) -> bool {
        self.programs.contains(&name)
    }
    fn is_target(&self, name: &str) -> Option<bool> {
        self.targets.as_ref().map(|targets| targets.contains(&name))
    }
    fn elsewhere(&self, _: &str) -> Option<String> {
        self.elsewhere.map(str::to_owned)
    }
    fn is_sudo(&self) -> bool {
        self.is_sudo
    }
    fn is_here(&self, name: &str) -> bool {
        self.here.contains(&name)
    }
    fn subcommands(&self) -> Vec<String> {
        ["run", "start", "stop", "plan", "status", "recover", "swap", "report", "doctor", "man"]
            .map(str::to_owned)
            .to_vec()
    }
}

fn usual() -> Fake {
    Fake { programs: vec!["pnpm", "sh", "env", "make"], ..Fake::default() }
}

fn nothing() -> Missing {
    Missing { errno: libc::ENOENT, denied: None }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn hinted(options: &[&str], command: &[&str], world: &Fake) -> String {
    let (options, command) = (owned(options), owned(command));
    let typed = Typed { options: &options, is_apart: false, command: &command };
    hint(&typed, &nothing(), world).unwrap_or_default()
}

#[test]
fn what_people_type_is_told_with_the_line_to_type() {
    let pause = ["--pause", "mon-*"];
    for (command, line) in [
        (&["cd", "x"][..], "makeroom --pause 'mon-*' -- sh -c 'cd x && COMMAND'"),
        (&["source", "a b"], "bash -c \"source 'a b' && COMMAND\""),
        (&["export", "A=1"], "-- sh -c 'export A=1 && COMMAND'"),
        (&["time", "pnpm", "build"], "-- sh -c 'time pnpm build'"),
        (&["A=1", "B=x y", "pnpm"], "-- env A=1 B='x y' pnpm"),
        (&["A=1"], "-- env A=1 COMMAND"),
        (&["pnpm build"], "makeroom --pause 'mon-*' -- pnpm build"),
        (&["pnpm run", "build"], "-- pnpm run build"),
        (&["cd x && pnpm build"], "-- sh -c 'cd x && pnpm build'"),
        (&["A=1 pnpm build"], "-- sh -c 'A=1 pnpm build'"),
        (&["pnpm build | tee log"], "-- sh -c 'pnpm build | tee log'"),
        (&["source x && y z"], "-- bash -c 'source x && y z'"),
        (&["pnpm 'build"], "-- sh -c "),
    ] {
        let hint = hinted(&pause, command, &usual());
        assert!(hint.ends_with(line) || (line.ends_with(' ') && hint.contains(line)), "{hint}");
    }
    for none in [&["nosuch"][..], &["/my dir/prog"], &["./x"], &[""], &["=x"], &["1=x"]] {
        assert_eq!(hinted(&pause, none, &usual()), "", "{none:?}");
    }
}

#[test]
fn a_second_name_after_a_selector_is_one_where_the_engine_knows_it() {
    let knows = |targets: Option<Vec<&'static str>>| Fake { targets, ..usual() };
    let both = knows(Some(vec!["b", "c"]));
    let expected = "--pause takes one selector: makeroom --pause a --pause b -- pnpm build";
    assert_eq!(hinted(&["--pause", "a"], &["b", "pnpm", "build"], &both), expected);
    assert_eq!(
        hinted(&["-q", "--keep=a"], &["b", "c"], &both),
        "--keep takes one selector: makeroom -q --keep=a --keep b --keep c -- COMMAND"
    );
    assert_eq!(
        hinted(&["--then", "a"], &["b", "nosuch", "build"], &both),
        "--then takes one selector: makeroom --then a --then b -- nosuch build"
    );
    // Without its word, a program behind it tells as much.
    assert_eq!(hinted(&["--pause", "a"], &["b", "pnpm", "build"], &knows(None)), expected);
    for (options, command, world) in [
        (&["--pause", "a"][..], &["b"][..], knows(None)),
        (&["--pause", "a"], &["b", "pnpm"], knows(Some(vec!["x"]))),
        (&["--swap", "1G"], &["b", "pnpm"], both),
    ] {
        assert_eq!(hinted(options, command, &world), "", "{options:?}");
    }
}

#[test]
fn a_subcommand_that_was_mistyped_is_the_nearest_one() {
    for (typed, line) in [
        (&["recver", "--forget", "x"][..], "perhaps: makeroom -q recover --forget x"),
        (&["statsu"], "perhaps: makeroom -q status"),
        (&["strat"], "perhaps: makeroom -q start"),
        (&["docter"], "perhaps: makeroom -q doctor"),
        (&["help"], "perhaps: makeroom -q --help"),
        (&["pnmp"], ""),
        (&["cargo"], ""),
    ] {
        assert_eq!(hinted(&["-q"], typed, &usual()), line, "{typed:?}");
    }
}

#[test]
fn a_program_that_path_does_not_have_is_told_with_where_it_is() {
    let found = Fake { elsewhere: Some("/home/me/.bun/bin"), ..usual() };
    assert_eq!(
        hinted(&[], &["bun", "x"], &found),
        "`bun` is in /home/me/.bun/bin, which PATH does not have: \
         PATH=\"/home/me/.bun/bin:$PATH\" makeroom -- bun x"
    );
    let sudo = "sudo has a PATH of its own; yours: sudo env \"PATH=$PATH\" makeroom -- bun x";
    let by_sudo = Fake { is_sudo: true, ..found };
    assert_eq!(
        hinted(&[], &["bun", "x"], &by_sudo),
        format!("`bun` is in /home/me/.bun/bin, and {sudo}")
    );
    assert_eq!(hinted(&[], &["bun", "x"], &Fake { is_sudo: true, ..usual() }), sudo);
    let here = Fake { here: vec!["build.sh"], ..usual() };
    let expected = "it is in this directory: makeroom -- ./build.sh -x";
    assert_eq!(hinted(&[], &["build.sh", "-x"], &here), expected);
}

#[test]
fn options_behind_the_dashes_and_files_without_their_bit_have_their_own_words() {
    let (options, command) = (owned(&["-q"]), owned(&["--pause", "a", "pnpm"]));
    let typed = Typed { options: &options, is_apart: true, command: &command };
    assert_eq!(
        hint(&typed, &nothing(), &usual()).as_deref(),
        Some("options stand before the `--`: makeroom -q --pause a pnpm")
    );
    let command = owned(&["./a b"]);
    let typed = Typed { command: &command, ..typed };
    let denied = Some((PathBuf::from("./a b"), Denial::NotExecutable));
    let missing = Missing { errno: libc::EACCES, denied };
    assert_eq!(hint(&typed, &missing, &usual()).as_deref(), Some("chmod +x './a b'"));
}

#[test]
fn a_line_that_nobody_would_read_is_not_repeated() {
    let long = "x".repeat(LONGEST);
    assert_eq!(
        hinted(&[], &["A=1", "pnpm", &long], &usual()),
        "variables are set by `env`: makeroom -- env A=1 …"
    );
}

#[test]
fn why_there_is_no_program_is_one_clause() {
    let denied = |denial| Missing {
        errno: libc::EACCES,
        denied: Some((PathBuf::from("/p/x\u{1b}"), denial)),
    };
    let errno = |errno| Missing { errno, denied: None };
    for (missing, name, says) in [
        (errno(libc::ENOENT), "x", "cannot run `x`: it is in no directory of PATH"),
        (errno(libc::ENOENT), "./x", "cannot run `./x`: No such file or directory"),
        (errno(libc::ENOTDIR), "./x/y", "cannot run `./x/y`: Not a directory"),
        (denied(Denial::NoFile), "x", "cannot run `x`: `/p/x\\u{1b}` is no file"),
        (denied(Denial::NotExecutable), "x", "cannot run `x`: `/p/x\\u{1b}` is not executable"),
        (denied(Denial::Hidden), "x", "cannot run `x`: `/p/x\\u{1b}`: permission denied"),
        (denied(Denial::Forbidden), "x", "cannot run `x`: `/p/x\\u{1b}` may not be executed here"),
    ] {
        assert_eq!(reason(&missing, name), says);
    }
}
