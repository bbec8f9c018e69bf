//! Owns how one value is read from whatever holds it, a file or a variable: by the parser that the
//! flags have, too. Pure.

use std::{env, ffi::OsString, fmt, os::unix::ffi::OsStringExt as _, path::PathBuf, str::FromStr};

use serde::{
    Deserialize as _, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// What `FromStr` reads.
pub(super) fn word<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    from.deserialize_any(Word)?.parse().map(Some).map_err(D::Error::custom)
}

/// A list of that; an empty one is one, too.
pub(super) fn words<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    more_words(from).map(Some)
}

/// A list of that, which adds to another one.
pub(super) fn more_words<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// A switch.
pub(super) fn yes_or_no<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(from).map(Some)
}

/// Text as it is.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    String::deserialize(from).map(Some)
}

/// A path, of any bytes: a variable can hold them.
pub(super) fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    from.deserialize_byte_buf(OnePath).map(Some)
}

/// Directories that are the same ones wherever makeroom is started.
pub(super) fn whole_paths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    let paths = from.deserialize_byte_buf(ManyPaths)?;
    match paths.iter().find(|path| !path.is_absolute()) {
        None => Ok(paths),
        Some(path) => Err(D::Error::custom(format!(
            "`{}` is no directory; allowed: an absolute path",
            path.display()
        ))),
    }
}

/// A word, as which a number without quotes is read as well: its parser knows what it lacks.
struct Word;

impl Visitor<'_> for Word {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

struct OnePath;

impl Visitor<'_> for OnePath {
    type Value = PathBuf;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a path")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PathBuf, E> {
        Ok(PathBuf::from(text))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<PathBuf, E> {
        Ok(OsString::from_vec(bytes.to_vec()).into())
    }
}

/// A file has a list of them; a variable has them as PATH does.
struct ManyPaths;

impl<'de> Visitor<'de> for ManyPaths {
    type Value = Vec<PathBuf>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<PathBuf>, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element()? {
            paths.push(path);
        }
        Ok(paths)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<PathBuf>, E> {
        Ok(env::split_paths(&OsString::from_vec(bytes.to_vec())).collect())
    }
}
