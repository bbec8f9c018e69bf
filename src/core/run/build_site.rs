//! Owns where a build runs: here, or in the engine with the child as its client. Pure: it goes by
//! the command's words, as far as they tell.

use std::ffi::OsString;

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

/// Options of the engines' clients that take a value as the next word, before their subcommand.
const WITH_VALUE: [&str; 16] = [
    "-H",
    "--host",
    "-c",
    "--context",
    "--config",
    "-l",
    "--log-level",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
    "-f",
    "--file",
    "-p",
    "--project-name",
    "--project-directory",
    "--profile",
];

/// Tells where a command's build runs.
#[must_use]
pub fn of_command(command: &[OsString]) -> BuildSite {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let Some((program, rest)) = words.split_first() else { return BuildSite::Child };
    let subcommands = subcommands(rest);
    let after = |skip: usize| subcommands.get(skip).copied().unwrap_or_default();
    match program.rsplit('/').next().unwrap_or_default() {
        "docker" | "podman" | "nerdctl" => match (after(0), after(1)) {
            ("build", _) | ("buildx" | "builder" | "image", "build") | ("buildx", "bake") => {
                BuildSite::Builder
            }
            ("compose", word) => of_compose(word),
            ("run" | "exec" | "start" | "attach", _)
            | ("container", "run" | "exec" | "start" | "attach") => BuildSite::Container,
            _ => BuildSite::Child,
        },
        "docker-compose" | "podman-compose" => of_compose(after(0)),
        "docker-buildx" if matches!(after(0), "build" | "bake") => BuildSite::Builder,
        "ssh" | "colima" | "limactl" | "lima" | "rdctl" | "mosh" => BuildSite::Elsewhere,
        _ => BuildSite::Child,
    }
}

fn of_compose(word: &str) -> BuildSite {
    match word {
        "build" => BuildSite::Builder,
        // `up --build` and `run --build` build first, but what runs on is their containers.
        "up" | "run" | "exec" | "create" => BuildSite::Container,
        _ => BuildSite::Child,
    }
}

/// The words that are neither options nor values of options.
fn subcommands<'a>(words: &'a [std::borrow::Cow<'_, str>]) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word.as_ref()) {
            words.next();
        } else if !word.starts_with('-') {
            found.push(word.as_ref());
        }
    }
    found
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
            ("ssh there make", BuildSite::Elsewhere),
            ("colima ssh -- make", BuildSite::Elsewhere),
        ] {
            let words: Vec<OsString> = typed.split_whitespace().map(OsString::from).collect();
            assert_eq!(of_command(&words), expected, "{typed}");
        }
    }
}
