//! Owns one level of settings, as a file, the environment or the flags have it. A new option
//! is added here, and in `cli`.

use std::{path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    cli::{ChildArgs, CommonArgs, RoomArgs},
    core::{
        machine::way::Prefix,
        target::selector::Selector,
        values::{ColorWish, MethodWish, NeedWish, Percent, Size, Span, SwapWish},
    },
};

/// What one level says; `None` where it says nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Layer {
    #[serde(deserialize_with = "words")]
    pub pause: Option<Vec<Selector>>,
    #[serde(deserialize_with = "all_words")]
    pub keep: Vec<Selector>,
    #[serde(deserialize_with = "word")]
    pub method: Option<MethodWish>,
    pub no_reclaim: Option<bool>,
    #[serde(deserialize_with = "word")]
    pub need: Option<NeedWish>,
    #[serde(deserialize_with = "word")]
    pub swap: Option<SwapWish>,
    pub swap_file: Option<PathBuf>,
    pub engine: Option<String>,
    pub context: Option<String>,
    #[serde(deserialize_with = "word")]
    pub vm_shell: Option<Prefix>,
    #[serde(deserialize_with = "word")]
    pub stop_timeout: Option<Span>,
    #[serde(deserialize_with = "word")]
    pub restore_timeout: Option<Span>,
    #[serde(deserialize_with = "word")]
    pub wait_healthy: Option<Span>,
    #[serde(deserialize_with = "word")]
    pub warm: Option<Span>,
    pub insist: Option<bool>,
    pub strict: Option<bool>,
    pub on_room_made: Option<String>,
    pub on_pressure: Option<String>,
    pub on_restored: Option<String>,
    #[serde(deserialize_with = "words")]
    pub then: Option<Vec<Selector>>,
    #[serde(deserialize_with = "word")]
    pub pressure: Option<Percent>,
    #[serde(deserialize_with = "word")]
    pub floor: Option<Size>,
    #[serde(deserialize_with = "word")]
    pub abort_on_thrash: Option<Span>,
    #[serde(deserialize_with = "word")]
    pub timeout: Option<Span>,
    #[serde(deserialize_with = "word")]
    pub grace: Option<Span>,
    #[serde(deserialize_with = "word")]
    pub linger: Option<Span>,
    #[serde(deserialize_with = "word")]
    pub wait: Option<Span>,
    pub report: Option<PathBuf>,
    pub record_arguments: Option<bool>,
    pub state_dir: Option<PathBuf>,
    #[serde(deserialize_with = "whole_paths")]
    pub safe_directory: Vec<PathBuf>,
    pub quiet: Option<bool>,
    pub verbose: Option<bool>,
    #[serde(deserialize_with = "word")]
    pub color: Option<ColorWish>,
    /// Named by a flag or a variable, never by a file.
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// Keys that any `makeroom.toml` may hold.
pub(super) const FOR_REPOSITORIES: [&str; 14] = [
    "pause",
    "keep",
    "method",
    "need",
    "then",
    "pressure",
    "floor",
    "abort_on_thrash",
    "wait",
    "timeout",
    "grace",
    "restore_timeout",
    "wait_healthy",
    "warm",
];

impl Layer {
    /// The flags as a level.
    #[must_use]
    pub(super) fn of_flags(room: &RoomArgs, child: &ChildArgs, common: &CommonArgs) -> Self {
        let said = |flag: bool| flag.then_some(true);
        Self {
            pause: (!room.pause.is_empty()).then(|| room.pause.clone()),
            keep: room.keep.clone(),
            method: room.method,
            no_reclaim: said(room.no_reclaim),
            need: room.need,
            swap: room.swap,
            swap_file: room.swap_file.clone(),
            engine: room.host.engine.clone(),
            context: room.host.context.clone(),
            vm_shell: room.host.vm_shell.clone(),
            stop_timeout: room.stop_timeout,
            restore_timeout: room.restore_timeout,
            wait_healthy: room.wait_healthy,
            warm: room.warm,
            insist: said(room.insist),
            strict: said(room.strict),
            on_room_made: room.hooks.on_room_made.clone(),
            on_pressure: child.guard.on_pressure.clone(),
            on_restored: room.hooks.on_restored.clone(),
            then: (!child.guard.then.is_empty()).then(|| child.guard.then.clone()),
            pressure: child.guard.pressure,
            floor: child.guard.floor,
            abort_on_thrash: child.guard.abort_on_thrash,
            timeout: child.timeout,
            grace: child.grace,
            linger: child.linger,
            wait: child.wait,
            report: child.report.clone(),
            record_arguments: said(child.record_arguments),
            state_dir: common.state_dir.clone(),
            safe_directory: common.safe_directory.clone(),
            // Either flag speaks about both, so that -v undoes a file's `quiet`.
            quiet: said(common.quiet).or(said(common.verbose).map(|_| false)),
            verbose: said(common.verbose).or(said(common.quiet).map(|_| false)),
            color: common.color,
            config: common.config.clone(),
        }
    }
}

/// Directories that are the same ones wherever makeroom is started.
///
/// # Errors
/// What is wrong with the first that is not.
pub(super) fn whole(paths: impl IntoIterator<Item = PathBuf>) -> Result<Vec<PathBuf>, String> {
    let whole = |path: PathBuf| {
        if path.is_absolute() {
            Ok(path)
        } else {
            Err(format!("`{}` is no directory; allowed: an absolute path", path.display()))
        }
    };
    paths.into_iter().map(whole).collect()
}

fn whole_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    whole(Vec::<PathBuf>::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn word<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

fn all_words<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn words<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    all_words(deserializer).map(Some)
}
