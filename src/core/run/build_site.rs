//! Owns where a build runs: here, or in the engine with the child as its client. Pure: it goes by
//! the command's words, as far as they tell.

use std::ffi::OsString;

use crate::core::run::client_command::{self, Client, ClientCommand};

/// Where the memory of a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildSite {
    /// In the child and its processes, on this machine.
    Child,
    /// In steps of the engine's builder, which end with their client.
    Builder,
    /// In a container, which continues when its client ends.
    Container,
    /// On whatever machine the command goes to.
    Elsewhere,
}

impl BuildSite {
    /// Tells whether the memory is where the engine is.
    #[must_use]
    pub fn is_in_engine(self) -> bool {
        matches!(self, Self::Builder | Self::Container)
    }
}

/// Tells where a command's build runs.
#[must_use]
pub fn of_command(command: &[OsString]) -> BuildSite {
    if let Some(ClientCommand { client, verb, .. }) = client_command::of_command(command) {
        return match (client, verb.as_str()) {
            (Client::Engine | Client::Compose | Client::Buildx, "build")
            | (Client::Buildx, "bake") => BuildSite::Builder,
            (Client::Engine, "run" | "exec" | "start" | "attach")
            // `up --build` and `run --build` build first, but what runs on is their containers.
            | (Client::Compose, "up" | "run" | "exec" | "create") => BuildSite::Container,
            _ => BuildSite::Child,
        };
    }
    let program = command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    match program.rsplit('/').next().unwrap_or_default() {
        "ssh" | "colima" | "limactl" | "lima" | "rdctl" | "mosh" => BuildSite::Elsewhere,
        _ => BuildSite::Child,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_the_engine_are_told_from_builds_of_this_machine() {
        for (typed, expected) in [
            ("pnpm build", BuildSite::Child),
            ("", BuildSite::Child),
            ("docker build .", BuildSite::Builder),
            ("/usr/bin/docker -H unix:///s build -t x .", BuildSite::Builder),
            ("docker --context colima buildx build .", BuildSite::Builder),
            ("docker buildx bake", BuildSite::Builder),
            ("docker compose build web", BuildSite::Builder),
            ("docker compose -f build.yml --profile up build", BuildSite::Builder),
            ("docker-compose build", BuildSite::Builder),
            ("podman build .", BuildSite::Builder),
            ("docker compose run web build", BuildSite::Container),
            ("docker compose up --build", BuildSite::Container),
            ("docker run --rm x build", BuildSite::Container),
            ("docker exec web pnpm build", BuildSite::Container),
            ("docker ps", BuildSite::Child),
            ("sudo docker build .", BuildSite::Builder),
            ("env A=1 docker compose build", BuildSite::Builder),
            ("ssh there make", BuildSite::Elsewhere),
            ("colima ssh -- make", BuildSite::Elsewhere),
        ] {
            let words: Vec<OsString> = typed.split_whitespace().map(OsString::from).collect();
            assert_eq!(of_command(&words), expected, "{typed}");
        }
    }
}
