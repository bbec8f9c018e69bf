//! Owns reading the commands of the engines' clients: what stands before them, which client it is,
//! its subcommand and the words after that; also of those in a short script. Pure: it goes by the
//! words, as far as they tell.

use std::{ffi::OsString, path::Path};

/// Whose command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// docker's own, or one that takes the same words.
    Engine,
    /// Compose.
    Compose,
    /// Buildx.
    Buildx,
}

/// A command of an engine's client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCommand {
    /// Whose.
    pub client: Client,
    /// The options before the subcommand, each with its value where it takes one.
    pub options: Vec<(String, String)>,
    /// The subcommand.
    pub verb: String,
    /// The words after it.
    pub rest: Vec<String>,
    /// The variables that are set for it alone.
    pub variables: Vec<(String, String)>,
    /// The directories that were changed to before it, one after the other.
    pub directories: Vec<String>,
}

impl ClientCommand {
    /// The values of an option before the subcommand, by its names.
    pub fn values<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        let all = self.options.iter();
        all.filter(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.as_str())
    }
}

/// Options of the engines' clients that take a value as the next word, before their subcommand.
const WITH_VALUE: [&str; 18] = [
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
    "--env-file",
    "--builder",
];

/// What runs the command that follows it: its name, its options that take the next word, and how
/// many words of its own come before the command.
const WRAPPERS: [(&str, &[&str], usize); 14] = [
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "-D", "-R", "--user"], 0),
    ("doas", &["-u", "-C"], 0),
    ("env", &["-u", "-C", "--unset", "--chdir"], 0),
    ("time", &["-f", "-o", "--format", "--output"], 0),
    ("nice", &["-n", "--adjustment"], 0),
    ("ionice", &["-c", "-n", "--class", "--classdata"], 0),
    ("chrt", &[], 1),
    ("timeout", &["-s", "-k", "--signal", "--kill-after"], 1),
    ("stdbuf", &["-i", "-o", "-e"], 0),
    ("nohup", &[], 0),
    ("setsid", &[], 0),
    ("command", &[], 0),
    ("exec", &["-a"], 0),
    ("caffeinate", &["-t", "-w"], 0),
];

const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];

/// A script in a script in a script is nobody's.
const DEEPEST: usize = 3;

/// The one command of a client that this is, whatever stands before it; `None` where it is another
/// one, or a script.
#[must_use]
pub fn of_command(command: &[OsString]) -> Option<ClientCommand> {
    let words: Vec<String> = texts(command);
    let (words, variables) = unwrapped(&words);
    read(words, variables)
}

/// All commands of clients in it: the one that it is, or those of the script that it is.
#[must_use]
pub fn all_in_command(command: &[OsString]) -> Vec<ClientCommand> {
    let mut found = Vec::new();
    collect(&texts(command), &[], &mut Vec::new(), DEEPEST, &mut found);
    found
}

fn texts(command: &[OsString]) -> Vec<String> {
    command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

fn collect(
    words: &[String],
    before: &[(String, String)],
    directories: &mut Vec<String>,
    depth: usize,
    found: &mut Vec<ClientCommand>,
) {
    let (words, variables) = unwrapped(words);
    let variables: Vec<_> = before.iter().cloned().chain(variables).collect();
    if let [program, directory, ..] = words
        && program == "cd"
    {
        directories.push(directory.clone());
        return;
    }
    if let Some(script) = script(words).filter(|_| depth > 0) {
        let mut directories = directories.clone();
        for piece in pieces(script) {
            // A piece with a quote that is not closed is none that can be read.
            if let Some(words) = shlex::split(piece) {
                collect(&words, &variables, &mut directories, depth - 1, found);
            }
        }
        return;
    }
    let read = read(words, variables);
    found.extend(read.map(|one| ClientCommand { directories: directories.clone(), ..one }));
}

/// The script of `sh -c`, `bash -lc` and the like.
fn script(words: &[String]) -> Option<&str> {
    let (program, rest) = words.split_first()?;
    SHELLS.contains(&name(program)).then_some(())?;
    let is_short = |word: &&String| word.starts_with('-') && !word.starts_with("--");
    let place = rest.iter().position(|word| is_short(&word) && word.contains('c'))?;
    rest[place + 1..].iter().find(|word| !word.starts_with('-')).map(String::as_str)
}

/// The simple commands of a script, as far as it is one after the other.
fn pieces(script: &str) -> Vec<&str> {
    let (mut found, mut begin, mut quote) = (Vec::new(), 0, None);
    for (place, letter) in script.char_indices() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '{' | '}') => {
                found.push(&script[begin..place]);
                begin = place + letter.len_utf8();
            }
            _ => {}
        }
    }
    found.push(&script[begin..]);
    found
}

/// The command without what only stands before it, and the variables that are set for it.
fn unwrapped(mut words: &[String]) -> (&[String], Vec<(String, String)>) {
    let mut variables = Vec::new();
    while let Some((first, rest)) = words.split_first() {
        if let Some(variable) = assignment(first) {
            variables.push(variable);
            words = rest;
            continue;
        }
        let wrapper = WRAPPERS.iter().find(|(wrapper, ..)| *wrapper == name(first));
        let Some((_, with_value, own)) = wrapper else { break };
        words = rest;
        while let Some((option, rest)) = words.split_first().filter(|(one, _)| one.starts_with('-'))
        {
            let takes_next = with_value.contains(&option.as_str());
            words = rest.get(usize::from(takes_next)..).unwrap_or_default();
            if option == "--" {
                break;
            }
        }
        words = words.get(*own..).unwrap_or_default();
    }
    (words, variables)
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_variable = !name.is_empty()
        && name.chars().all(is_name)
        && !name.starts_with(|letter: char| letter.is_ascii_digit());
    is_variable.then(|| (name.to_owned(), value.to_owned()))
}

fn name(program: &str) -> &str {
    Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program)
}

fn read(words: &[String], variables: Vec<(String, String)>) -> Option<ClientCommand> {
    let (program, rest) = words.split_first()?;
    let mut client = match name(program) {
        "docker" | "podman" | "nerdctl" => Client::Engine,
        "docker-compose" | "podman-compose" => Client::Compose,
        "docker-buildx" => Client::Buildx,
        _ => return None,
    };
    let (mut options, mut rest) = (Vec::new(), rest);
    let verb = loop {
        let (word, after) = rest.split_first()?;
        rest = after;
        if let Some(option) = word.strip_prefix('-') {
            if let Some((name, value)) = word.split_once('=') {
                options.push((name.to_owned(), value.to_owned()));
            } else if WITH_VALUE.contains(&word.as_str()) {
                let (value, after) = rest.split_first()?;
                options.push((word.clone(), value.clone()));
                rest = after;
            } else if option.len() > 1 && !option.starts_with('-') {
                // `-ptests` and its like.
                let (short, value) = word.split_at_checked(2)?;
                options.push((short.to_owned(), value.to_owned()));
            }
            continue;
        }
        match (client, word.as_str()) {
            (Client::Engine, "compose") => client = Client::Compose,
            (Client::Engine, "buildx" | "builder") => client = Client::Buildx,
            (Client::Engine, "container" | "image") => {}
            _ => break word.clone(),
        }
    };
    let rest = rest.to_vec();
    Some(ClientCommand { client, options, verb, rest, variables, directories: vec![] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(typed: &[&str]) -> Vec<OsString> {
        typed.iter().map(OsString::from).collect()
    }

    fn told(one: &ClientCommand) -> String {
        let (variables, directories) = (&one.variables, &one.directories);
        let mut text = format!("{:?} {} {}", one.client, one.verb, one.rest.join(" "));
        for (name, value) in one.options.iter().chain(variables) {
            text += &format!(" [{name}={value}]");
        }
        for directory in directories {
            text += &format!(" @{directory}");
        }
        text
    }

    #[test]
    fn a_clients_command_is_read_whatever_stands_before_it() {
        for (typed, expected) in [
            ("docker exec -it web sh", Some("Engine exec -it web sh")),
            (
                "/usr/bin/docker --context c -H unix:///s exec web",
                Some("Engine exec web [--context=c] [-H=unix:///s]"),
            ),
            ("docker -cprod exec web", Some("Engine exec web [-c=prod]")),
            ("sudo -u root -E docker exec web", Some("Engine exec web")),
            ("env -u A B=1 nice -n 5 docker exec web", Some("Engine exec web [B=1]")),
            ("timeout -k 5 60 time -p podman container exec web", Some("Engine exec web")),
            ("sudo -- docker exec web", Some("Engine exec web")),
            (
                "docker compose -p shop -f a.yml --profile up exec web sh",
                Some("Compose exec web sh [-p=shop] [-f=a.yml] [--profile=up]"),
            ),
            ("docker-compose --project-name=shop up", Some("Compose up  [--project-name=shop]")),
            ("docker buildx --builder b build .", Some("Buildx build . [--builder=b]")),
            ("docker image build .", Some("Engine build .")),
            ("docker-buildx bake", Some("Buildx bake ")),
            ("docker", None),
            ("docker -H", None),
            ("docker compose", None),
            ("pnpm build", None),
            ("sudo", None),
            ("timeout", None),
            ("", None),
            ("make docker", None),
        ] {
            let words: Vec<&str> = typed.split_whitespace().collect();
            let read = of_command(&command(&words)).map(|one| told(&one));
            assert_eq!(read.as_deref().map(str::trim_end), expected.map(str::trim_end), "{typed}");
        }
    }

    #[test]
    fn those_of_a_script_are_read_one_after_the_other() {
        for (typed, expected) in [
            (
                &["sh", "-c", "cd app && docker compose build; docker exec web true"][..],
                &["Compose build  @app", "Engine exec web true @app"][..],
            ),
            (
                &["bash", "-lc", "set -e\nA=1 docker exec web sh -c 'a; b' | tee log"],
                &["Engine exec web sh -c a; b [A=1]"],
            ),
            (
                &["sudo", "sh", "-c", "sh -c 'docker attach web' || (docker start db)"],
                &["Engine attach web", "Engine start db"],
            ),
            (&["sh", "-c", "echo 'docker exec web"], &[]),
            (&["sh", "-c", "echo docker exec web"], &[]),
            (&["sh", "script.sh"], &[]),
            (&["sh", "-c"], &[]),
            (&["docker", "exec", "web"], &["Engine exec web"]),
        ] {
            let read: Vec<String> = all_in_command(&command(typed)).iter().map(told).collect();
            assert_eq!(read, expected, "{typed:?}");
        }
    }
}
