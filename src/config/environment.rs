//! Owns the `MAKEROOM_…` variables as a level: one for each key of a file, with the same values.
//! Lists are separated by blanks, directories by colons. Pure.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

use serde::{
    Deserializer,
    de::{
        Error as _, Visitor,
        value::{Error, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::{
    config::{
        error::ConfigError,
        layer::{KEYS, Layer},
        unknown::UnknownVariable,
    },
    core::variables::{OTHERS, PREFIX},
};

/// The key that only flags and variables have.
const CONFIG: &str = "config";

/// What the variables say.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub layer: Layer,
    /// The first that cannot be used is the first that is told; nothing of them is in the layer.
    pub faults: Vec<ConfigError>,
}

/// Reads the variables; an empty one is as good as none, whatever it is called.
pub(super) fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Environment {
    let (mut found, mut unknown) = (Environment::default(), vec![]);
    for (name, value) in variables {
        if value.is_empty() || !name.as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let name = name.to_string_lossy();
        if let Some(key) = options().find(|key| variable(key) == name) {
            if let Err(error) = set(&mut found.layer, key, &value) {
                let (variable, message) = (name.into_owned(), error.to_string());
                found.faults.push(ConfigError::Environment { variable, message });
            }
        } else if !OTHERS.contains(&&*name) {
            unknown.push(UnknownVariable::beside(&name, options().map(variable)));
        }
    }
    unknown.sort();
    found.faults.extend(unknown.into_iter().map(ConfigError::UnknownVariable));
    found
}

/// Whether makeroom, its tests or its scripts know this variable.
#[must_use]
pub fn is_known(name: &str) -> bool {
    OTHERS.contains(&name) || options().any(|key| variable(key) == name)
}

fn options() -> impl Iterator<Item = &'static str> {
    KEYS.iter().copied().chain([CONFIG])
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase())
}

fn set(layer: &mut Layer, key: &str, value: &OsStr) -> Result<(), Error> {
    if key == CONFIG {
        layer.common.config = Some(value.into());
        return Ok(());
    }
    layer.set(key, Text(value))
}

/// A variable's value, in the forms that serde asks for.
struct Text<'value>(&'value OsStr);

impl<'value> Text<'value> {
    fn utf8(&self) -> Result<&'value str, Error> {
        self.0.to_str().ok_or_else(|| Error::custom("it is not UTF-8"))
    }
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.utf8()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.utf8()? {
            "1" | "true" => visitor.visit_bool(true),
            "0" | "false" => visitor.visit_bool(false),
            text => Err(Error::custom(format!(
                "`{text}` is not a yes or no; allowed: true, false, 1, 0"
            ))),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.utf8()?.split_whitespace()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(self.0.as_bytes())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes option unit
        unit_struct newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        cli::{Cli, Switch},
        core::values::SwapWish,
    };

    fn found(pairs: &[(&str, &str)]) -> Environment {
        read(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    fn of_bytes(name: &[u8], value: &[u8]) -> Environment {
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        read([(text(name), text(value))].into_iter())
    }

    /// What is said of each that cannot be used.
    fn faults(environment: &Environment) -> Vec<String> {
        environment.faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_variable_sets_its_key() {
        let Environment { layer, faults } = found(&[
            ("MAKEROOM_PAUSE", "a re:^b{1,2} "),
            ("MAKEROOM_KEEP", "c"),
            ("MAKEROOM_SWAP", "off"),
            ("MAKEROOM_SWAP_FILE", "/s"),
            ("MAKEROOM_STRICT", "1"),
            ("MAKEROOM_SAFE_DIRECTORY", "/a b:/c"),
            ("MAKEROOM_QUIET", "false"),
            ("MAKEROOM_TIMEOUT", ""),
            ("MAKEROOM_LEASE", "abc"),
            ("MAKEROOM_CONFIG", "/f"),
            ("MAKEROOM_ENGINE", "unix:///x"),
            ("PAUSE", "x"),
        ]);
        let Layer { room, child, common } = layer;
        assert_eq!(room.pause.expect("set").len(), 2);
        assert_eq!(
            (room.keep.len(), room.swap, room.strict, common.quiet),
            (1, Some(SwapWish::Off), Switch(Some(true)), Switch(Some(false)))
        );
        assert_eq!(common.safe_directory, [PathBuf::from("/a b"), PathBuf::from("/c")]);
        assert_eq!((room.swap_file, child.timeout), (Some(PathBuf::from("/s")), None));
        assert_eq!(common.config, Some(PathBuf::from("/f")));
        assert_eq!(room.host.engine, Some("unix:///x".to_owned()));
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn each_option_of_a_run_is_a_key_or_names_the_file_of_them() {
        let whole = Cli::whole();
        let run = whole.find_subcommand("run").expect("a subcommand");
        let typed = run.get_arguments().filter_map(|argument| argument.get_long());
        let mut typed: Vec<_> =
            typed.filter(|long| *long != "help").map(|long| long.replace('-', "_")).collect();
        let mut known: Vec<_> = options().collect();
        typed.sort();
        known.sort_unstable();
        assert_eq!(typed, known);
    }

    #[test]
    fn a_bad_value_names_the_variable_and_what_is_allowed() {
        for (name, value) in [
            ("STRICT", "perhaps"),
            ("SWAP", "x"),
            ("GRACE", "1"),
            ("METHOD", "x"),
            ("PAUSE", "re:("),
            ("COLOR", "x"),
            ("VM_SHELL", "a '"),
            ("PRESSURE", "0"),
            ("FLOOR", "low"),
            ("SAFE_DIRECTORY", "/a:b"),
        ] {
            let variable = format!("MAKEROOM_{name}");
            let [error] = &faults(&found(&[(&variable, value), ("MAKEROOM_ENGINE", "e")]))[..]
            else {
                panic!("{variable} is taken")
            };
            assert!(
                error.starts_with(&format!("{variable}: ")) && error.contains("allowed: "),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_text_is_a_path_and_nothing_else() {
        for name in ["PAUSE", "SWAP", "STRICT", "ENGINE", "KEEP"] {
            let variable = format!("MAKEROOM_{name}");
            let found = of_bytes(variable.as_bytes(), b"\xff");
            assert_eq!(faults(&found), [format!("{variable}: it is not UTF-8")]);
        }
        let odd = PathBuf::from(OsStr::from_bytes(b"/\xff"));
        let said = |name: &str| of_bytes(name.as_bytes(), b"/\xff").layer;
        assert_eq!(said("MAKEROOM_REPORT").child.report.as_ref(), Some(&odd));
        assert_eq!(said("MAKEROOM_CONFIG").common.config.as_ref(), Some(&odd));
        assert_eq!(said("MAKEROOM_SAFE_DIRECTORY").common.safe_directory, [odd]);
    }

    #[test]
    fn what_is_called_as_makerooms_variables_are_and_is_none_is_unknown() {
        let names = ["", "PUASE", "pause"].map(|name| format!("{PREFIX}{name}"));
        let unknown = |environment: Environment| -> Vec<_> {
            let name = |fault| match fault {
                ConfigError::UnknownVariable(unknown) => unknown.name,
                other => panic!("{other}"),
            };
            environment.faults.into_iter().map(name).collect()
        };
        assert_eq!(unknown(found(&names.each_ref().map(|name| (name.as_str(), "x")))), names);
        let odd = [PREFIX.as_bytes(), b"PAUS\xff"].concat();
        assert_eq!(unknown(of_bytes(&odd, b"\xff")), [format!("{PREFIX}PAUS\u{fffd}")]);
    }

    #[test]
    fn what_is_empty_or_not_called_as_makerooms_variables_are_is_nobodys_mistake() {
        let (empty, inside) = (format!("{PREFIX}PUASE"), format!("X{PREFIX}Y"));
        let nobodys = [(&*empty, ""), (&*inside, "x"), ("makeroom_pause", "x"), ("MAKEROOM", "x")];
        assert_eq!(faults(&found(&nobodys)), [""; 0]);
        for name in OTHERS {
            assert!(is_known(name) && found(&[(name, "x")]).faults.is_empty());
        }
    }
}
