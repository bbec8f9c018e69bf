use super::*;
use crate::core::machine::way::Prefix;

pub(super) fn behind(words: &[&str]) -> Shell {
    Shell::new(Route::Behind(Prefix {
        name: "vm".to_owned(),
        words: words.iter().map(ToString::to_string).collect(),
    }))
}

pub(super) const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "current_thread")]
async fn nothing_in_a_value_is_interpreted() {
    let hostile = "a'; touch /tmp/x; $(id) `id` \\ \"\n b";
    let script = variable("value", hostile) + "printf %s \"$value\"";
    for shell in [Shell::here(), behind(&["env"])] {
        assert_eq!(shell.run(&script, SOON).await.expect("a step"), hostile);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_step_that_fails_or_hangs_says_so() {
    let shell = Shell::here();
    let failed = shell.run("echo oops >&2; exit 3", SOON).await.expect_err("exit 3");
    assert_eq!(failed.to_string(), "the step failed: oops");
    let silent = shell.run("exec sleep 60", Duration::from_millis(50)).await.expect_err("silent");
    assert!(matches!(silent, ShellError::Silent { .. }));
}

#[tokio::test(flavor = "current_thread")]
async fn a_prefix_that_does_not_lead_anywhere_is_named_with_its_reason() {
    for (words, expected) in [
        (&["/nonexistent/vm", "ssh"][..], "cannot run `/nonexistent/vm ssh`: No such file"),
        (
            &["sh", "-c", "echo instance is not running >&2; exit 1"],
            "did not run the step: instance is not running",
        ),
        (&["sh", "-c", "printf 'Password: '; exit 1"], "did not run the step: Password:"),
        (&["sh", "-c", "exit 255"], "did not run the step: exit status: 255"),
        (&["sh", "-c", "sh -s | sed 's/$/\\r/'"], "gives the step a terminal"),
        (&["sh", "-c", "sh -s | sed -u 's/$/\\r/'; sleep 60"], "gives the step a terminal"),
        (&["sh", "-c", "sleep 60"], "vm has not answered for 0 s"),
    ] {
        let error = behind(words)
            .run("echo never", Duration::from_millis(500))
            .await
            .expect_err(expected)
            .to_string();
        assert!(error.contains(expected), "{error} should say {expected}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn noise_and_an_echo_of_the_script_are_passed_over() {
    let echo = r#"script=$(cat); printf '%s\n' "$script"; printf '%s\n' "$script" | sh -s"#;
    for command in
        ["echo Welcome; echo hello >&2; exec sh -s", "printf 'Password: '; exec sh -s", echo]
    {
        assert_eq!(
            behind(&["sh", "-c", command]).run("echo ok", SOON).await.expect("an answer"),
            "ok\n",
            "{command}"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_script_that_is_cut_off_does_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = format!("echo x > {}/a\n{}", dir.path().display(), "# filler\n".repeat(100));
    behind(&["sh", "-c", "head -c 600 | sh -s"]).run(&script, SOON).await.expect_err("no marker");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn who_a_step_runs_as_is_asked_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let count = format!("echo x >> {}/asked; exec \"$0\" \"$@\"", dir.path().display());
    let shell = behind(&["sh", "-c", &count]);
    let asked =
        || std::fs::read_to_string(dir.path().join("asked")).unwrap_or_default().lines().count();
    let answer = shell.run(shell.who(), SOON).await.expect("an answer");
    shell.learn(&answer);
    assert_eq!((shell.root().await, asked()), (read_who(&answer), 1));
    assert_eq!(
        (read_who("who sudo\n"), read_who("who nobody\n"), read_who("")),
        (Some(Root::Sudo), None, None)
    );
}
