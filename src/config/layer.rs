//! Owns one level of settings, as the flags, the environment and each file have it, and how levels
//! are put together. Pure. A new option has one row in the table here.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, Visitor},
};

use crate::{
    cli::{ChildArgs, CommonArgs, RoomArgs, Switch},
    config::{
        trust::{Objection, an_hour, anything, no_stop, nothing},
        value::{more_words, path, text, whole_paths, word, words, yes_or_no},
    },
};

/// What one level says, in the groups of the command line; nothing where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// How room is made.
    pub room: RoomArgs,
    /// How the child is run.
    pub child: ChildArgs,
    /// Where things are, and how much is said.
    pub common: CommonArgs,
}

/// Gives [`Layer`] its keys, and what is done for each of them: reading its value, asking whether a
/// repository's file may say that, putting a nearer level over a farther one.
macro_rules! options {
    ($($key:ident: $($place:tt).+, $read:ident, $trust:ident, $merge:ident;)+) => {
        /// The keys of a file. Each is a variable as well: see `config::environment`.
        pub(super) const KEYS: &[&str] = &[$(stringify!($key)),+];

        impl Layer {
            /// Reads what the level says of this key.
            ///
            /// # Errors
            /// What is wrong, and what is allowed.
            pub(super) fn set<'de, D: Deserializer<'de>>(
                &mut self,
                key: &str,
                value: D,
            ) -> Result<(), D::Error> {
                match key {
                    $(stringify!($key) => self.$($place).+ = $read(value)?,)+
                    _ => return Err(D::Error::unknown_field(key, KEYS)),
                }
                Ok(())
            }

            /// Why a repository's file may not say this of the key.
            pub(super) fn objection(&self, key: &str) -> Option<Objection> {
                match key {
                    $(stringify!($key) => $trust(&self.$($place).+),)+
                    _ => Some(Objection::Key),
                }
            }

            fn put_over(&mut self, farther: Self) {
                $($merge(&mut self.$($place).+, farther.$($place).+);)+
            }
        }
    };
}

options! {
//  key                where the flags have it       is read as    repository's over a farther
    pause:             room.pause,                   words,        anything,    replaces;
    keep:              room.keep,                    more_words,   anything,    adds_to;
    method:            room.method,                  word,         no_stop,     replaces;
    no_reclaim:        room.no_reclaim.0,            yes_or_no,    nothing,     replaces;
    need:              room.need,                    word,         anything,    replaces;
    swap:              room.swap,                    word,         nothing,     replaces;
    swap_file:         room.swap_file,               path,         nothing,     replaces;
    engine:            room.host.engine,             text,         nothing,     replaces;
    context:           room.host.context,            text,         nothing,     replaces;
    vm_shell:          room.host.vm_shell,           word,         nothing,     replaces;
    stop_timeout:      room.stop_timeout,            word,         nothing,     replaces;
    restore_timeout:   room.restore_timeout,         word,         an_hour,     replaces;
    wait_healthy:      room.wait_healthy,            word,         an_hour,     replaces;
    warm:              room.warm,                    word,         an_hour,     replaces;
    insist:            room.insist.0,                yes_or_no,    nothing,     replaces;
    strict:            room.strict.0,                yes_or_no,    nothing,     replaces;
    on_room_made:      room.hooks.on_room_made,      text,         nothing,     replaces;
    on_pressure:       child.guard.on_pressure,      text,         nothing,     replaces;
    on_restored:       room.hooks.on_restored,       text,         nothing,     replaces;
    then:              child.guard.then,             words,        anything,    replaces;
    pressure:          child.guard.pressure,         word,         anything,    replaces;
    floor:             child.guard.floor,            word,         anything,    replaces;
    abort_on_thrash:   child.guard.abort_on_thrash,  word,         anything,    replaces;
    timeout:           child.timeout,                word,         anything,    replaces;
    grace:             child.grace,                  word,         an_hour,     replaces;
    linger:            child.linger,                 word,         nothing,     replaces;
    wait:              child.wait,                   word,         anything,    replaces;
    report:            child.report,                 path,         nothing,     replaces;
    record_arguments:  child.record_arguments.0,     yes_or_no,    nothing,     replaces;
    state_dir:         common.state_dir,             path,         nothing,     replaces;
    safe_directory:    common.safe_directory,        whole_paths,  nothing,     adds_to;
    quiet:             common.quiet.0,               yes_or_no,    nothing,     replaces;
    verbose:           common.verbose.0,             yes_or_no,    nothing,     replaces;
    color:             common.color,                 word,         nothing,     replaces;
}

fn replaces<T>(near: &mut Option<T>, far: Option<T>) {
    if near.is_none() {
        *near = far;
    }
}

fn adds_to<T>(near: &mut Vec<T>, far: Vec<T>) {
    near.extend(far);
}

impl Layer {
    /// The flags as a level.
    #[must_use]
    pub fn of_flags(room: RoomArgs, child: ChildArgs, mut common: CommonArgs) -> Self {
        // Either flag speaks about both, so that -v undoes a file's `quiet`.
        let (quiet, verbose) = (common.quiet.0, common.verbose.0);
        common.quiet = Switch(quiet.or(verbose.map(|_| false)));
        common.verbose = Switch(verbose.or(quiet.map(|_| false)));
        Self { room, child, common }
    }

    /// All levels as one, the nearest first.
    pub(super) fn merged(layers: impl IntoIterator<Item = Self>) -> Self {
        layers.into_iter().fold(Self::default(), |mut near, mut far| {
            // An engine and a context that are named at different levels: the nearer one wins,
            // whichever it is.
            let host = &near.room.host;
            if host.engine.is_some() || host.context.is_some() {
                (far.room.host.engine, far.room.host.context) = (None, None);
            }
            near.put_over(far);
            near
        })
    }

    /// The file that is named; no file names one.
    pub(super) fn config(&self) -> Option<&PathBuf> {
        self.common.config.as_ref()
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Layer;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("keys and their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layer, A::Error> {
        let mut layer = Layer::default();
        while let Some(key) = map.next_key_seed(Known)? {
            map.next_value_seed(Of(&mut layer, key))?;
        }
        Ok(layer)
    }
}

/// A key that there is.
struct Known;

impl<'de> DeserializeSeed<'de> for Known {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<&'static str, D::Error> {
        let key = String::deserialize(from)?;
        let known = KEYS.iter().find(|known| **known == key);
        known.copied().ok_or_else(|| D::Error::unknown_field(&key, KEYS))
    }
}

/// The value of a key.
struct Of<'layer>(&'layer mut Layer, &'static str);

impl<'de> DeserializeSeed<'de> for Of<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.set(self.1, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        target::selector::Selector,
        values::{MethodWish, SwapWish},
    };

    fn layer(toml: &str) -> Layer {
        toml::from_str(toml).expect(toml)
    }

    fn texts(selectors: &[Selector]) -> Vec<String> {
        selectors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_nearest_level_wins_and_keep_adds_up() {
        let merged = Layer::merged([
            layer("pause = ['near']\nkeep = ['k1']\nswap = 'off'"),
            layer(
                "pause = ['far', 'farther']\nkeep = ['k2']\nmethod = 'stop'\nswap = '1G'\n\
                 context = 'c'",
            ),
            layer("engine = 'unix:///x'\ngrace = '3s'\nstate_dir = '/s'\nvm_shell = 'vm'"),
        ]);
        assert_eq!(texts(&merged.room.pause.expect("said")), ["near"]);
        assert_eq!(texts(&merged.room.keep), ["k1", "k2"]);
        assert_eq!(
            (merged.room.method, merged.room.swap),
            (Some(MethodWish::Stop), Some(SwapWish::Off))
        );
        let host = merged.room.host;
        assert_eq!((host.engine, host.context), (None, Some("c".to_owned())));
        assert!(host.vm_shell.is_some() && merged.child.grace.is_some());
        assert_eq!(merged.common.state_dir, Some(PathBuf::from("/s")));
    }

    #[test]
    fn a_nearer_level_takes_a_farther_ones_targets_away_and_can_say_no() {
        let merged = Layer::merged([
            layer("pause = []\nstrict = false"),
            layer("pause = ['x']\nthen = ['y']\nstrict = true"),
        ]);
        assert_eq!(texts(&merged.room.pause.expect("said")), [""; 0]);
        assert_eq!(texts(&merged.child.guard.then.expect("said")), ["y"]);
        assert_eq!(merged.room.strict, Switch(Some(false)));
    }

    #[test]
    fn either_of_quiet_and_verbose_that_is_typed_speaks_about_both() {
        let typed = |quiet: Option<bool>, verbose: Option<bool>| {
            let common =
                CommonArgs { quiet: Switch(quiet), verbose: Switch(verbose), ..<_>::default() };
            let flags = Layer::of_flags(<_>::default(), <_>::default(), common);
            (flags.common.quiet.0, flags.common.verbose.0)
        };
        assert_eq!(typed(None, None), (None, None));
        assert_eq!(typed(Some(true), None), (Some(true), Some(false)));
        assert_eq!(typed(None, Some(true)), (Some(false), Some(true)));
    }
}
