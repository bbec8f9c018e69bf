//! What the command says of itself: help, completions, the man page. No test here needs an engine.

use std::{fs, path::PathBuf, process::Command};

use crate::support::site::Site;

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

#[test]
fn completions_are_what_the_shell_reads() {
    let site = site();
    for (shell, begins) in [
        ("bash", "_makeroom()"),
        ("zsh", "#compdef makeroom"),
        ("fish", ""),
        ("elvish", ""),
        ("powershell", ""),
    ] {
        let done = site.makeroom(["completions", shell]).run();
        assert_eq!(done.expect_code(0).err, "");
        assert!(
            done.out.starts_with(begins)
                && done.out.contains("swap-file")
                && done.out.contains("on-restored"),
            "{shell}: {}",
            done.out
        );
        let file = site.path(shell);
        fs::write(&file, &done.out).expect("written");
        if matches!(shell, "bash" | "zsh" | "fish") {
            match Command::new(shell).arg("-n").arg(&file).output() {
                Ok(read) => assert!(
                    read.status.success() && read.stderr.is_empty(),
                    "{shell}: {}",
                    String::from_utf8_lossy(&read.stderr)
                ),
                Err(error) => eprintln!("SKIPPED: whether {shell} reads it: {error}"),
            }
        }
    }
    // What bash offers after `makeroom st`.
    let script = r#". "$0"; COMP_WORDS=(makeroom st) COMP_CWORD=1; _makeroom makeroom st makeroom; echo "${COMPREPLY[@]}""#;
    let done = site.command("bash").args(["-c", script]).args([site.path("bash")]).run();
    assert_eq!(
        done.expect_code(0).out.split_whitespace().collect::<Vec<_>>(),
        ["start", "stop", "status"],
        "{}",
        done.err
    );
    site.makeroom(["completions", "tcsh"]).run().expect_code(125).expect_said("bash");
}

#[test]
fn the_keepers_own_subcommand_is_offered_to_nobody() {
    let site = site();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = site.makeroom(["completions", shell]).run();
        let offered: Vec<_> =
            done.expect_code(0).out.lines().filter(|line| line.contains("keeper")).collect();
        assert!(offered.is_empty(), "{shell}: {offered:#?}");
    }
}

#[test]
fn the_man_page_has_every_option_and_subcommand() {
    let site = site();
    let done = site.makeroom(["man"]).run();
    assert_eq!(done.expect_code(0).err, "");
    assert!(done.out.starts_with(".ie") || done.out.starts_with(".TH"), "{}", &done.out[..60]);
    let file = site.path("makeroom.1");
    fs::write(&file, &done.out).expect("written");
    let shown = match Command::new("man")
        .args(["--warnings", "-l"])
        .arg(&file)
        .env("MANPAGER", "cat")
        .env("MANWIDTH", "100")
        .env("LC_ALL", "C.UTF-8")
        .output()
    {
        Ok(shown) => {
            assert!(
                shown.status.success() && shown.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&shown.stderr)
            );
            String::from_utf8_lossy(&shown.stdout).replace('\u{2010}', "-")
        }
        Err(error) => {
            eprintln!("SKIPPED: how the page looks: {error}");
            done.out.replace("\\-", "-")
        }
    };
    for words in [
        "SYNOPSIS",
        "--pause",
        "--swap-file",
        "--restore-timeout",
        "--while-pid",
        "--on-room-made",
        "makeroom-start",
        "makeroom-recover",
    ] {
        assert!(shown.contains(words), "`{words}` is not in:\n{shown}");
    }
    assert!(!shown.contains("keeper"), "{shown}");
}

#[test]
fn help_goes_to_stdout_and_fits_a_screen() {
    let site = site();
    for words in [
        &["--help"][..],
        &["-h"],
        &["run", "--help"],
        &["start", "--help"],
        &["stop", "--help"],
        &["status", "--help"],
        &["recover", "--help"],
        &["plan", "--help"],
        &["report", "--help"],
        &["doctor", "--help"],
        &["swap", "--help"],
    ] {
        let done = site.makeroom(words).run();
        assert_eq!(done.expect_code(0).err, "", "{words:?}");
        let lines = done.out.lines().count();
        assert!(
            (5..=60).contains(&lines) && done.out.contains("Usage:"),
            "{words:?} has {lines} lines:\n{}",
            done.out
        );
        assert!(
            !done.out.contains("keeper") && !done.out.contains('\x1b'),
            "{words:?}:\n{}",
            done.out
        );
    }
}
