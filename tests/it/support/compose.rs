//! Owns the real docker compose v2, and a project of a test.

use std::{fs, path::PathBuf, process::Command};

use super::{dockerd::engine, site::Site, unique};

/// Where its package has it: Debian 13's `docker-compose`, Ubuntu's `docker-compose-v2`, Docker's own.
const PLACES: [&str; 4] = [
    "/usr/libexec/docker/cli-plugins/docker-compose",
    "/usr/lib/docker/cli-plugins/docker-compose",
    "/usr/local/lib/docker/cli-plugins/docker-compose",
    "/usr/bin/docker-compose",
];

/// A project, taken down at drop.
pub struct Project {
    program: PathBuf,
    file: PathBuf,
    name: String,
}

impl Project {
    /// A project of this file, not up yet.
    ///
    /// # Panics
    /// Where there is no compose v2, with what to install.
    #[must_use]
    pub fn new(site: &Site, file: &str) -> Self {
        let is_second = |path: &&str| {
            let told = Command::new(path).arg("version").output();
            told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains("Docker Compose"))
        };
        let program = PLACES.into_iter().find(is_second);
        let program =
            program.expect("these tests need docker compose v2: scripts/test installs it");
        let path = site.path("compose.yaml");
        fs::write(&path, file).expect("written");
        Self { program: PathBuf::from(program), file: path, name: unique("it") }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the one container of a service.
    #[must_use]
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// Compose with these words, for a shell.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        format!(
            "DOCKER_HOST=unix://{} {} -p {} -f {} {words}",
            engine().socket().display(),
            self.program.display(),
            self.name,
            self.file.display()
        )
    }

    /// Runs it; gives whether it did it, and what it said.
    #[must_use]
    pub fn run(&self, words: &str) -> (bool, String) {
        let told = Command::new("sh").arg("-c").arg(self.command(words)).output().expect("a shell");
        (told.status.success(), String::from_utf8_lossy(&told.stderr).into_owned())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = self.run("down --timeout 1");
    }
}
