//! Owns what is said of a command that cannot be run: why, and what its author probably meant, with
//! the line to type. Pure.

use std::path::Path;

use nix::errno::Errno;

use crate::core::{
    run::search::{Denial, Missing},
    text::{printable, shell_word},
};

/// What changes the shell that it is typed in, and nothing else.
const OF_THIS_SHELL: [&str; 15] = [
    ".", "alias", "cd", "declare", "eval", "export", "popd", "pushd", "set", "shopt", "source",
    "ulimit", "umask", "unalias", "unset",
];
/// What else is a part of the shell.
const OF_ANY_SHELL: [&str; 29] = [
    "!", "(", "[[", "bg", "builtin", "case", "command", "disown", "exec", "exit", "fg", "for",
    "function", "hash", "history", "if", "jobs", "let", "local", "read", "return", "select",
    "time", "trap", "type", "typeset", "until", "wait", "while",
];
/// What `sh` need not have.
const OF_BASH: [&str; 9] =
    ["[[", "declare", "function", "popd", "pushd", "select", "shopt", "source", "typeset"];
/// What only a shell understands.
const SYNTAX: [char; 14] = ['&', '|', ';', '<', '>', '$', '`', '*', '?', '(', ')', '{', '}', '\n'];
/// The options that take a selector, of which each has one.
const SELECTING: [&str; 3] = ["--pause", "--keep", "--then"];
/// Words that people type for options.
const OPTIONS: [(&str, &str); 2] = [("help", "--help"), ("version", "--version")];
/// What stands for the command in a line to type.
const COMMAND: &str = "COMMAND";
/// From here on a word is taken for a subcommand that was mistyped.
const LIKE: f64 = 0.7;
/// More is not repeated, in bytes.
const LONGEST: usize = 400;

/// What was typed.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// What stands before the command, `makeroom` and a last `--` left out.
    pub options: &'a [String],
    /// Whether that `--` is there.
    pub is_apart: bool,
    /// The command, program first.
    pub command: &'a [String],
}

/// What is known beside.
pub trait World {
    /// Whether there is such a program.
    fn runs(&self, name: &str) -> bool;
    /// Whether there is a target of this name; `None` where nobody can tell.
    fn is_target(&self, name: &str) -> Option<bool>;
    /// The directory where such a program usually is, and is, though PATH does not have it.
    fn elsewhere(&self, name: &str) -> Option<String>;
    /// Whether a user has become root by sudo.
    fn is_sudo(&self) -> bool;
    /// Whether the working directory has an executable file of this name.
    fn is_here(&self, name: &str) -> bool;
    /// The names of the subcommands.
    fn subcommands(&self) -> Vec<String>;
}

/// Why a command cannot be run.
#[must_use]
pub fn reason(missing: &Missing, name: &str) -> String {
    let place = |path: &Path| format!("`{}`", printable(&path.to_string_lossy()));
    let why = match &missing.denied {
        Some((path, denial)) if missing.errno == libc::EACCES => match denial {
            Denial::NoFile => format!("{} is no file", place(path)),
            Denial::NotExecutable => format!("{} is not executable", place(path)),
            Denial::Hidden => format!("{}: permission denied", place(path)),
            Denial::Forbidden => format!("{} may not be executed here", place(path)),
        },
        _ if missing.errno == libc::ENOENT && !name.contains('/') => {
            "it is in no directory of PATH".to_owned()
        }
        _ => Errno::from_raw(missing.errno).desc().to_owned(),
    };
    format!("cannot run `{}`: {why}", printable(name))
}

/// What was probably meant, with the line to type.
#[must_use]
pub fn hint(typed: &Typed<'_>, missing: &Missing, world: &impl World) -> Option<String> {
    let name = typed.command.first()?.as_str();
    if name.starts_with('-') && typed.is_apart {
        let words = words([typed.options, typed.command].concat());
        return Some(format!("options stand before the `--`: makeroom {words}"));
    }
    if let Some((path, Denial::NotExecutable)) = &missing.denied {
        return Some(format!("chmod +x {}", words([path.to_string_lossy()])));
    }
    variables(typed)
        .or_else(|| one_word(typed, world))
        .or_else(|| part_of_the_shell(typed))
        .or_else(|| more_selectors(typed, world))
        .or_else(|| elsewhere(typed, world))
        .or_else(|| subcommand(typed, world))
        .or_else(|| in_this_directory(typed, world))
        .or_else(|| {
            let is_of_path = world.is_sudo() && !name.contains('/');
            is_of_path.then(|| format!("sudo has a PATH of its own; yours: {}", with_path(typed)))
        })
}

/// `--pause a b COMMAND`: one option has one selector.
fn more_selectors(typed: &Typed<'_>, world: &impl World) -> Option<String> {
    let (last, before) = typed.options.split_last()?;
    let flag = match last.split_once('=') {
        Some((flag, _)) if SELECTING.contains(&flag) => flag,
        _ => before.last().filter(|flag| SELECTING.contains(&flag.as_str()))?,
    };
    if typed.is_apart {
        return None;
    }
    let first = world.is_target(typed.command.first()?);
    // Where the engine does not tell, all is a name that is no program.
    let is_name =
        |word: &&String| !world.runs(word) && (first.is_none() || world.is_target(word) == first);
    let names: Vec<&String> = typed.command.iter().take_while(is_name).collect();
    let rest = &typed.command[names.len()..];
    if first == Some(false) || names.is_empty() || (first.is_none() && rest.is_empty()) {
        return None;
    }
    let more = names.iter().flat_map(|name| [flag, name.as_str()]);
    let options = typed.options.iter().map(String::as_str).chain(more);
    let command = if rest.is_empty() { COMMAND.to_owned() } else { words(rest) };
    Some(format!("{flag} takes one selector: makeroom {} -- {command}", words(options)))
}

/// `A=1 COMMAND`: a shell would set it.
fn variables(typed: &Typed<'_>) -> Option<String> {
    let (first, rest) = typed.command.split_first()?;
    if !is_assignment(first) || (rest.is_empty() && has_blank(first)) {
        return None;
    }
    let set: Vec<&String> = typed.command.iter().take_while(|word| is_assignment(word)).collect();
    let rest = &typed.command[set.len()..];
    let command = if rest.is_empty() { COMMAND.to_owned() } else { words(rest) };
    let command = format!("env {} {command}", words(set));
    Some(format!("variables are set by `env`: {}", typed.line(&command)))
}

/// `"pnpm build"`: one word, where several were meant.
fn one_word(typed: &Typed<'_>, world: &impl World) -> Option<String> {
    let (first, rest) = typed.command.split_first()?;
    if !has_blank(first.trim()) {
        return None;
    }
    let split = shlex::split(first).filter(|words| !words.is_empty());
    let program = split.as_ref().map(|words| words[0].as_str()).unwrap_or_default();
    let is_plain = split.is_some()
        && !first.contains(SYNTAX)
        && !is_assignment(program)
        && !is_part_of_shell(program);
    // A path with a blank in it is one word on purpose.
    if is_plain && program.contains('/') && !world.runs(program) {
        return None;
    }
    let why = "it is one word, with blanks in it";
    if let Some(split) = split.as_ref().filter(|_| is_plain) {
        let all = split.iter().chain(rest);
        return Some(format!("{why}: {}", typed.line(&words(all))));
    }
    let script = script(shell_for(program), &typed.command.join(" "));
    Some(format!("{why}: {}", typed.line(&script)))
}

/// `cd x`, `if …`: no program, but a word of the shell.
fn part_of_the_shell(typed: &Typed<'_>) -> Option<String> {
    let name = typed.command.first().filter(|name| is_part_of_shell(name))?;
    let mut script = words(typed.command);
    if OF_THIS_SHELL.contains(&name.as_str()) {
        script += &format!(" && {COMMAND}");
    }
    let line = typed.line(&self::script(shell_for(name), &script));
    Some(format!("`{name}` is a part of the shell: {line}"))
}

/// A program that is where it usually is, and that PATH does not have.
fn elsewhere(typed: &Typed<'_>, world: &impl World) -> Option<String> {
    let name = typed.command.first().filter(|name| !name.contains('/'))?;
    let dir = world.elsewhere(name)?;
    let found = format!("`{}` is in {}", printable(name), words([&dir]));
    Some(if world.is_sudo() {
        format!("{found}, and sudo has a PATH of its own; yours: {}", with_path(typed))
    } else {
        let path = format!("PATH=\"{}:$PATH\"", printable(&dir));
        format!("{found}, which PATH does not have: {path} {}", typed.line(&words(typed.command)))
    })
}

/// The line with the PATH of whoever typed sudo.
fn with_path(typed: &Typed<'_>) -> String {
    format!("sudo env \"PATH=$PATH\" {}", typed.line(&words(typed.command)))
}

/// A subcommand that is nearly called so.
fn subcommand(typed: &Typed<'_>, world: &impl World) -> Option<String> {
    let (name, rest) = typed.command.split_first()?;
    if typed.is_apart {
        return None;
    }
    let option = OPTIONS.iter().find(|(word, _)| word == name).map(|(_, option)| *option);
    let known = world.subcommands();
    let likeness = |known: &String| strsim::normalized_damerau_levenshtein(known, name);
    let nearest = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let nearest = nearest.filter(|nearest| likeness(nearest) >= LIKE).map(String::as_str);
    let meant = option.or(nearest)?;
    let options = typed.options.iter().map(String::as_str);
    let all = options.chain([meant]).chain(rest.iter().map(String::as_str));
    Some(format!("perhaps: makeroom {}", words(all)))
}

/// A program in the working directory, where a shell does not look either.
fn in_this_directory(typed: &Typed<'_>, world: &impl World) -> Option<String> {
    let (name, rest) = typed.command.split_first()?;
    if name.contains('/') || !world.is_here(name) {
        return None;
    }
    let name = format!("./{name}");
    let command = words([&name].into_iter().chain(rest));
    Some(format!("it is in this directory: {}", typed.line(&command)))
}

impl Typed<'_> {
    /// A makeroom with the same options, and this command.
    fn line(&self, command: &str) -> String {
        let options = words(self.options);
        let blank = if options.is_empty() { "" } else { " " };
        format!("makeroom{blank}{options} -- {command}")
    }
}

/// These words as they are typed; of a line that nobody would read, its beginning is enough.
fn words(all: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted: Vec<_> = all.into_iter().map(|word| printable(&quoted(word.as_ref()))).collect();
    let line = quoted.join(" ");
    if line.len() <= LONGEST { line } else { "…".to_owned() }
}

/// Quotes of `A=x y` and `--option=x y` what stands behind the sign, as a person does.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    match word.split_once('=') {
        Some((name, "")) if name.chars().all(is_plain) => word.to_owned(),
        Some((name, value)) if !name.is_empty() && name.chars().all(is_plain) => {
            format!("{name}={}", shell_word(value))
        }
        _ => shell_word(word),
    }
}

fn has_blank(word: &str) -> bool {
    word.contains(char::is_whitespace)
}

fn is_part_of_shell(name: &str) -> bool {
    OF_THIS_SHELL.contains(&name) || OF_ANY_SHELL.contains(&name)
}

/// A shell that runs this.
fn script(shell: &str, text: &str) -> String {
    let quoted = printable(&shell_word(text));
    let text = if quoted.len() <= LONGEST { quoted.as_str() } else { "'…'" };
    format!("{shell} -c {text}")
}

fn shell_for(name: &str) -> &'static str {
    if OF_BASH.contains(&name) { "bash" } else { "sh" }
}

/// Whether a shell takes this for the value of a variable.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    name.starts_with(is_letter)
        && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

#[cfg(test)]
mod tests;
