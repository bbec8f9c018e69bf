//! Owns finding out what the command itself works with, from its words and what is around it: the
//! working directory, the environment, and when compose's files were changed.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use crate::core::{
    run::use_of_command::{self, Surroundings},
    target::command_use::{CommandUse, ProjectUse},
};

/// What compose looks for in a directory (docs.docker.com/reference/cli/docker/compose, `-f`).
const COMPOSE_FILES: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// What this command works with.
#[must_use]
pub(super) fn of(command: &[OsString]) -> CommandUse {
    let variable = |name: &str| env::var(name).ok();
    // A shell's own word for where it is keeps the links that led there, and compose takes it.
    let here = env::current_dir().ok();
    let written = env::var_os("PWD").map(PathBuf::from).filter(|path| {
        let same = |at: &PathBuf| fs::canonicalize(path).ok() == fs::canonicalize(at).ok();
        path.is_absolute() && here.as_ref().is_some_and(same)
    });
    let mut directories: Vec<PathBuf> = here.into_iter().chain(written).collect();
    directories.dedup();
    let around = Surroundings { directories: &directories, variable: &variable };
    let mut uses = use_of_command::of_command(command, around);
    for project in &mut uses.projects {
        project.changed_at = changed_at(project);
    }
    uses
}

/// When the last of its files was changed.
fn changed_at(project: &ProjectUse) -> Option<i64> {
    let latest = |files: Vec<PathBuf>| files.iter().filter_map(|file| modified_at(file)).max();
    if !project.files.is_empty() {
        return latest(project.files.iter().map(PathBuf::from).collect());
    }
    project.directories.iter().find_map(|directory| {
        latest(COMPOSE_FILES.iter().map(|name| Path::new(directory).join(name)).collect())
    })
}

fn modified_at(file: &Path) -> Option<i64> {
    let modified = fs::metadata(file).ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
