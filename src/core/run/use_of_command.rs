//! Owns what a command works with, by its words: the containers that it enters or names, compose's
//! projects, and whether it builds in the engine. Pure.

use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use crate::core::{
    run::client_command::{self, Client, ClientCommand},
    target::command_use::{CommandUse, ProjectUse},
};

/// What is around a command.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where it runs, in each way that this is written.
    pub directories: &'a [PathBuf],
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads it off the words.
#[must_use]
pub fn of_command(command: &[OsString], around: Surroundings<'_>) -> CommandUse {
    let mut found = CommandUse::default();
    for one in client_command::all_in_command(command) {
        match one.client {
            Client::Engine => of_engine(&one, &mut found),
            Client::Compose => of_compose(&one, around, &mut found),
            Client::Buildx => found.builds |= matches!(one.verb.as_str(), "build" | "bake"),
        }
    }
    found
}

/// Options of `exec` that take the next word, docker's and compose's.
const OF_EXEC: [&str; 9] =
    ["-e", "--env", "--env-file", "-u", "--user", "-w", "--workdir", "--index", "--detach-keys"];
/// Those of compose's `run`.
const OF_RUN: [&str; 16] = [
    "-e",
    "--env",
    "--env-from-file",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "-l",
    "--label",
    "--name",
    "-p",
    "--publish",
    "-v",
    "--volume",
    "--entrypoint",
    "--pull",
];
/// Those of its others.
const OF_OTHERS: [&str; 12] = [
    "-t",
    "--timeout",
    "--wait-timeout",
    "-s",
    "--signal",
    "--scale",
    "--attach",
    "--no-attach",
    "--exit-code-from",
    "--pull",
    "--index",
    "--policy",
];

fn of_engine(one: &ClientCommand, found: &mut CommandUse) {
    match one.verb.as_str() {
        "build" => found.builds = true,
        "exec" | "attach" => {
            found.entered.extend(positional(&one.rest, &OF_EXEC).into_iter().take(1));
        }
        "cp" => {
            let paths = positional(&one.rest, &[]).into_iter();
            let of = |path: String| Some(path.split_once(':')?.0.to_owned());
            found.named.extend(paths.filter_map(of).filter(|name| !name.is_empty()));
        }
        "run" | "create" => found.named.extend(shared_with(&one.rest)),
        "start" | "restart" | "stop" | "kill" | "rm" | "wait" | "pause" | "unpause" | "update"
        | "commit" | "export" | "rename" => found.named.extend(positional(&one.rest, &OF_OTHERS)),
        _ => {}
    }
}

/// The containers whose namespaces, volumes or address a new one is given.
fn shared_with(words: &[String]) -> Vec<String> {
    let value_of = |index: usize| -> Option<(&str, &str)> {
        let word = words[index].as_str();
        match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => Some((option, value)),
            _ => Some((word, words.get(index + 1)?)),
        }
    };
    let owner = |(option, value): (&str, &str)| {
        match option {
            "--network" | "--net" | "--pid" | "--ipc" => value.strip_prefix("container:"),
            "--volumes-from" | "--link" => value.split(':').next(),
            _ => None,
        }
        .map(str::to_owned)
    };
    (0..words.len()).filter_map(value_of).filter_map(owner).collect()
}

/// The words that are neither options nor their values; all after `--` are.
fn positional(words: &[String], with_value: &[&str]) -> Vec<String> {
    let (mut found, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        if word == "--" {
            found.extend(words.by_ref().cloned());
        } else if with_value.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with('-') || word == "-" {
            found.push(word.clone());
        }
    }
    found
}

fn of_compose(one: &ClientCommand, around: Surroundings<'_>, found: &mut CommandUse) {
    let is_build = one.verb == "build" || one.rest.iter().any(|word| word == "--build");
    found.builds |= is_build;
    let (services, enters) = match one.verb.as_str() {
        "exec" | "attach" => (positional(&one.rest, &OF_EXEC).into_iter().take(1).collect(), true),
        "run" => (positional(&one.rest, &OF_RUN).into_iter().take(1).collect(), false),
        "cp" => {
            let paths = positional(&one.rest, &OF_OTHERS).into_iter();
            (paths.filter_map(|path| Some(path.split_once(':')?.0.to_owned())).collect(), false)
        }
        "up" | "start" | "restart" | "create" | "watch" | "wait" | "pause" | "unpause" | "stop"
        | "kill" | "rm" | "down" | "scale" => {
            let words = positional(&one.rest, &OF_OTHERS).into_iter();
            // `scale web=3`.
            (
                words.map(|word| word.split('=').next().unwrap_or_default().to_owned()).collect(),
                false,
            )
        }
        _ => return,
    };
    let variable = |name: &str| {
        let own = one.variables.iter().rev().find(|(known, _)| known == name);
        own.map(|(_, value)| value.clone()).or_else(|| (around.variable)(name))
    };
    let is_given = |value: &String| !value.is_empty();
    let name = one.values(&["-p", "--project-name"]).last().map(str::to_owned);
    let name = name.or_else(|| variable("COMPOSE_PROJECT_NAME").filter(is_given));
    let mut files: Vec<String> = one.values(&["-f", "--file"]).map(str::to_owned).collect();
    if files.is_empty() {
        let separator = variable("COMPOSE_PATH_SEPARATOR").filter(is_given);
        let separator = separator.unwrap_or_else(|| ":".to_owned());
        let named = variable("COMPOSE_FILE").filter(is_given).unwrap_or_default();
        files =
            named.split(&separator).filter(|file| !file.is_empty()).map(str::to_owned).collect();
    }
    let places: Vec<PathBuf> = around.directories.iter().map(|at| within(at, one)).collect();
    let given = one.values(&["--project-directory"]).last();
    let mut directories: Vec<PathBuf> = Vec::new();
    for place in &places {
        match (given, files.first()) {
            (Some(given), _) => directories.push(joined(place, given)),
            (None, Some(file)) => {
                directories.extend(joined(place, file).parent().map(Path::to_owned));
            }
            (None, None) => directories.extend(place.ancestors().map(Path::to_owned)),
        }
    }
    directories.dedup();
    let texts = |paths: Vec<PathBuf>| -> Vec<String> {
        paths.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    };
    let files = places
        .first()
        .map(|place| files.iter().map(|file| joined(place, file)).collect())
        .unwrap_or_default();
    found.projects.push(ProjectUse {
        name,
        directories: texts(directories),
        services,
        enters,
        files: texts(files),
        changed_at: None,
    });
}

/// Where it runs after what was changed to before it.
fn within(at: &Path, one: &ClientCommand) -> PathBuf {
    one.directories.iter().fold(at.to_owned(), |at, directory| joined(&at, directory))
}

/// The path as compose writes it: absolute, without `.` and `..`.
fn joined(at: &Path, path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for component in at.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            _ => whole.push(component),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(typed: &[&str], variables: &[(&str, &str)]) -> CommandUse {
        let command: Vec<OsString> = typed.iter().map(OsString::from).collect();
        let directories = [PathBuf::from("/home/me/shop")];
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        of_command(&command, Surroundings { directories: &directories, variable: &variable })
    }

    #[test]
    fn what_docker_enters_names_and_shares_is_read_off_its_words() {
        for (typed, entered, named, builds) in [
            ("docker exec -it -e A=b -u 0 web sh -c x", "web", "", false),
            ("docker exec --env=A web db", "web", "", false),
            ("sudo docker container exec web true", "web", "", false),
            ("podman attach web", "web", "", false),
            ("docker cp web:/a ./b", "", "web", false),
            ("docker cp ./b web:/a", "", "web", false),
            ("docker cp - :/a", "", "", false),
            ("docker restart -t 5 web db", "", "web db", false),
            (
                "docker run --rm --network container:web --pid=container:db busybox",
                "",
                "web db",
                false,
            ),
            (
                "docker run --volumes-from web:ro --link db:x --network shop busybox exec",
                "",
                "web db",
                false,
            ),
            ("docker logs web", "", "", false),
            ("docker ps", "", "", false),
            ("docker build -t web .", "", "", true),
            ("docker buildx bake", "", "", true),
            ("docker buildx ls", "", "", false),
            ("pnpm build", "", "", false),
            ("docker exec", "", "", false),
        ] {
            let words: Vec<&str> = typed.split(' ').collect();
            let found = of(&words, &[]);
            assert_eq!(
                (found.entered.join(" "), found.named.join(" "), found.builds),
                (entered.to_owned(), named.to_owned(), builds),
                "{typed}"
            );
        }
        let script = of(&["sh", "-c", "docker exec web true && docker exec db true"], &[]);
        assert_eq!(script.entered, ["web", "db"]);
    }

    #[test]
    fn composes_project_and_services_are_read_off_its_words_and_the_environment() {
        let up_to_root = "/home/me/shop /home/me /home /";
        for (typed, variables, expected) in [
            ("docker compose exec -T web sh", &[][..], ("", up_to_root, "web", true)),
            ("docker compose -p p up -d --wait web db", &[], ("p", up_to_root, "web db", false)),
            (
                "docker compose run --rm -e A=b -v x:y web sh db",
                &[],
                ("", up_to_root, "web", false),
            ),
            (
                "docker-compose --project-directory ../other up",
                &[],
                ("", "/home/me/other", "", false),
            ),
            (
                "docker compose -f ../x/a.yml -f b.yml up -t 5 web",
                &[],
                ("", "/home/me/x", "web", false),
            ),
            (
                "docker compose up web",
                &[("COMPOSE_FILE", "d/a.yml:b.yml")],
                ("", "/home/me/shop/d", "web", false),
            ),
            (
                "env COMPOSE_PROJECT_NAME=q docker compose up",
                &[("COMPOSE_PROJECT_NAME", "p")],
                ("q", up_to_root, "", false),
            ),
            ("docker compose scale web=3", &[], ("", up_to_root, "web", false)),
            ("docker compose cp web:/a b", &[], ("", up_to_root, "web", false)),
        ] {
            let words: Vec<&str> = typed.split(' ').collect();
            let found = of(&words, variables).projects;
            let [project] = &found[..] else { panic!("{typed}: {found:?}") };
            assert_eq!(
                (
                    project.name.as_deref().unwrap_or_default(),
                    project.directories.join(" ").as_str(),
                    project.services.join(" ").as_str(),
                    project.enters
                ),
                expected,
                "{typed}"
            );
        }
        for typed in ["docker compose build web", "docker compose ps", "docker compose logs -f web"]
        {
            let words: Vec<&str> = typed.split(' ').collect();
            assert!(of(&words, &[]).projects.is_empty(), "{typed}");
        }
        assert!(of(&["docker", "compose", "up", "--build"], &[]).builds);
        let script = of(&["sh", "-c", "cd api; docker compose up"], &[]);
        assert_eq!(script.projects[0].directories[0], "/home/me/shop/api");
    }
}
