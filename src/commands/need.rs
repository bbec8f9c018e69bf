//! What a build is expected to need: as it was said, as its last runs did, or as its heap may grow.
//! And the project that a command belongs to.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    config::Settings,
    core::{
        plan::estimate::{self, Need, NeedSource},
        run::history,
        text,
        values::NeedWish,
    },
    lease::{history::History, state_dir::StateDir},
    report::console::Say,
};

/// What marks a project's directory.
const MARKS: [&str; 4] = [".git", "makeroom.toml", "package.json", "Cargo.toml"];

/// What a run makes room for; `None`: all that can be made.
pub(super) fn of_run(settings: &Settings, expected: Option<Need>, say: &mut Say) -> Option<Need> {
    if settings.run.need == Some(NeedWish::Auto) && expected.is_none() {
        say.info("no earlier run of this command is known: all room is made");
    }
    expected.filter(|_| settings.run.need.is_some())
}

/// What a build is expected to take, whatever room is made: as it was said, or as its last runs
/// did.
pub(super) fn expected(settings: &Settings, command: &[OsString], say: &mut Say) -> Option<Need> {
    match settings.run.need {
        Some(NeedWish::Size(size)) => Some(Need { bytes: size.bytes, source: NeedSource::Option }),
        Some(NeedWish::Auto) | None => of_history(settings, command, say),
    }
}

/// What a plan reckons with.
pub(super) fn of_plan(settings: &Settings, command: &[OsString], say: &mut Say) -> Option<Need> {
    expected(settings, command, say)
        .or_else(|| estimate::need_of_heap(&env::var("NODE_OPTIONS").ok()?))
}

fn of_history(settings: &Settings, command: &[OsString], say: &mut Say) -> Option<Need> {
    let read = |state: &StateDir| History::of(state).read().map_err(|error| error.to_string());
    let text = match StateDir::open_existing(&settings.state_dir) {
        Ok(state) => state.as_ref().map_or(Ok(String::new()), read),
        Err(error) => Err(error.to_string()),
    };
    let text = text.unwrap_or_else(|error| {
        say.warning(format!("the history cannot be read: {}", text::printable(&error)), None);
        String::new()
    });
    history::need(&text, &key(command))
}

/// The history's key of this command, here.
pub(super) fn key(command: &[OsString]) -> String {
    let here = env::current_dir().unwrap_or_default();
    history::key(&project(&here), command.iter().map(OsString::as_os_str))
}

/// The nearest directory upwards that looks like a project's, or this one.
fn project(here: &Path) -> PathBuf {
    let is_marked =
        |dir: &&Path| MARKS.iter().any(|mark| dir.join(mark).symlink_metadata().is_ok());
    here.ancestors().find(is_marked).unwrap_or(here).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commands_project_is_the_nearest_marked_directory_upwards() {
        let base = tempfile::tempdir().expect("a directory");
        let deep = base.path().join("a/b/c");
        std::fs::create_dir_all(&deep).expect("directories");
        assert_eq!(project(&deep), deep);
        std::fs::create_dir(base.path().join(".git")).expect("a directory");
        assert_eq!(project(&deep), base.path());
        std::fs::write(base.path().join("a/b/package.json"), "{}").expect("a file");
        assert_eq!(project(&deep), base.path().join("a/b"));
    }
}
