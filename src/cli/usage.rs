//! Owns saying in one line what is wrong with a command line, and what is allowed.

use std::ffi::OsString;

use clap::{
    Command,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

/// The options that take a selector each.
const SELECTING: [&str; 3] = ["--pause", "--keep", "--then"];

/// clap's error as one line; `command` is the one that was meant, of these words.
#[must_use]
pub fn one_line(error: &Error, command: &Command, words: &[OsString]) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = || text(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if !argument().starts_with('-') => {
            let (word, option) = (argument(), selecting_before(&argument(), words));
            let why =
                option.map(|option| format!(": {option} takes one selector, `{option} {word}`"));
            format!("`{word}` is one word too many{}", why.unwrap_or_default())
        }
        ErrorKind::UnknownArgument
            if argument()
                .trim_start_matches('-')
                .starts_with(|first: char| first.is_ascii_digit()) =>
        {
            format!("`{}` is no option, and no size or time is below zero", argument())
        }
        ErrorKind::UnknownArgument => {
            format!("unknown option `{}`; allowed: {}", argument(), options(command))
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
            if text(ContextKind::InvalidValue).is_empty() =>
        {
            format!("{}: a value is missing; allowed: anything but nothing", argument())
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error)
                .map_or_else(|| first_line(error), ToString::to_string);
            format!("{}: {why}", argument())
        }
        ErrorKind::InvalidValue => {
            format!(
                "{}: `{}` is not allowed; allowed: {}",
                argument(),
                text(ContextKind::InvalidValue),
                text(ContextKind::ValidValue)
            )
        }
        ErrorKind::ArgumentConflict => {
            format!("`{}` cannot be used with {}", argument(), text(ContextKind::PriorArg))
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing", argument()),
        ErrorKind::InvalidSubcommand => {
            format!(
                "`{}` is no subcommand; allowed: {}",
                text(ContextKind::InvalidSubcommand),
                subcommands(command)
            )
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("a subcommand is missing; allowed: {}", subcommands(command))
        }
        _ => first_line(error),
    }
}

/// The option that stands two words before this one, where it takes a selector.
fn selecting_before(word: &str, words: &[OsString]) -> Option<&'static str> {
    let at = words.iter().position(|typed| typed == word)?;
    let before = words.get(at.checked_sub(2)?)?;
    SELECTING.into_iter().find(|option| before == option)
}

fn options(command: &Command) -> String {
    let names = |command: &Command| {
        command
            .get_arguments()
            .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
            .collect::<Vec<_>>()
    };
    // `makeroom` itself is as good without a subcommand: theirs are no options of its own.
    let nested = command.get_subcommands().filter(|_| command.is_subcommand_required_set());
    let mut all: Vec<_> = names(command).into_iter().chain(nested.flat_map(names)).collect();
    all.sort();
    all.dedup();
    all.join(" ")
}

fn subcommands(command: &Command) -> String {
    command.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(", ")
}

fn first_line(error: &Error) -> String {
    let text = error.render().to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
