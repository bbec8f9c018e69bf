//! Owns the `MAKEROOM_…` variables: one for each key of a file, with the same values. Lists are
//! separated by blanks, directories by colons.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
    str::FromStr,
};

use crate::config::{ConfigError, Layer, layer::whole};

/// Reads the variables; an empty one is as good as none.
///
/// # Errors
/// [`ConfigError::Environment`] with the variable's name and what is allowed.
pub(super) fn read(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for (name, value) in variables {
        if let Some(key) = name.to_str().and_then(|name| name.strip_prefix("MAKEROOM_"))
            && !value.is_empty()
        {
            let failed =
                |message| ConfigError::Environment { variable: format!("MAKEROOM_{key}"), message };
            set(&mut layer, key, &value).map_err(failed)?;
        }
    }
    Ok(layer)
}

fn set(layer: &mut Layer, key: &str, value: &OsStr) -> Result<(), String> {
    let text = || value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
    let path = || Some(PathBuf::from(value));
    match key {
        "PAUSE" => layer.pause = Some(list(text()?)?),
        "KEEP" => layer.keep = list(text()?)?,
        "METHOD" => layer.method = Some(text()?.parse()?),
        "NO_RECLAIM" => layer.no_reclaim = Some(flag(text()?)?),
        "NEED" => layer.need = Some(text()?.parse()?),
        "SWAP" => layer.swap = Some(text()?.parse()?),
        "SWAP_FILE" => layer.swap_file = path(),
        "ENGINE" => layer.engine = Some(text()?.to_owned()),
        "CONTEXT" => layer.context = Some(text()?.to_owned()),
        "VM_SHELL" => layer.vm_shell = Some(text()?.parse()?),
        "STOP_TIMEOUT" => layer.stop_timeout = Some(text()?.parse()?),
        "RESTORE_TIMEOUT" => layer.restore_timeout = Some(text()?.parse()?),
        "WAIT_HEALTHY" => layer.wait_healthy = Some(text()?.parse()?),
        "WARM" => layer.warm = Some(text()?.parse()?),
        "INSIST" => layer.insist = Some(flag(text()?)?),
        "STRICT" => layer.strict = Some(flag(text()?)?),
        "ON_ROOM_MADE" => layer.on_room_made = Some(text()?.to_owned()),
        "ON_PRESSURE" => layer.on_pressure = Some(text()?.to_owned()),
        "ON_RESTORED" => layer.on_restored = Some(text()?.to_owned()),
        "THEN" => layer.then = Some(list(text()?)?),
        "PRESSURE" => layer.pressure = Some(text()?.parse()?),
        "FLOOR" => layer.floor = Some(text()?.parse()?),
        "ABORT_ON_THRASH" => layer.abort_on_thrash = Some(text()?.parse()?),
        "TIMEOUT" => layer.timeout = Some(text()?.parse()?),
        "GRACE" => layer.grace = Some(text()?.parse()?),
        "LINGER" => layer.linger = Some(text()?.parse()?),
        "WAIT" => layer.wait = Some(text()?.parse()?),
        "REPORT" => layer.report = path(),
        "RECORD_ARGUMENTS" => layer.record_arguments = Some(flag(text()?)?),
        "STATE_DIR" => layer.state_dir = path(),
        "SAFE_DIRECTORY" => layer.safe_directory = whole(env::split_paths(value))?,
        "QUIET" => layer.quiet = Some(flag(text()?)?),
        "VERBOSE" => layer.verbose = Some(flag(text()?)?),
        "COLOR" => layer.color = Some(text()?.parse()?),
        "CONFIG" => layer.config = path(),
        // MAKEROOM_LEASE, and what other programs call theirs.
        _ => {}
    }
    Ok(())
}

fn list<T: FromStr<Err = String>>(text: &str) -> Result<Vec<T>, String> {
    text.split_whitespace().map(str::parse).collect()
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("`{text}` is not a yes or no; allowed: true, false, 1, 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::values::SwapWish;

    fn layer(pairs: &[(&str, &str)]) -> Result<Layer, ConfigError> {
        read(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn each_variable_sets_its_key() {
        let set = layer(&[
            ("MAKEROOM_PAUSE", "a re:^b{1,2} "),
            ("MAKEROOM_KEEP", "c"),
            ("MAKEROOM_SWAP", "off"),
            ("MAKEROOM_SWAP_FILE", "/s"),
            ("MAKEROOM_STRICT", "1"),
            ("MAKEROOM_SAFE_DIRECTORY", "/a b:/c"),
            ("MAKEROOM_QUIET", "false"),
            ("MAKEROOM_TIMEOUT", ""),
            ("MAKEROOM_LEASE", "abc"),
            ("PAUSE", "x"),
        ])
        .expect("a layer");
        assert_eq!(set.pause.expect("set").len(), 2);
        assert_eq!(
            (set.keep.len(), set.swap, set.strict, set.quiet),
            (1, Some(SwapWish::Off), Some(true), Some(false))
        );
        assert_eq!(set.safe_directory, [PathBuf::from("/a b"), PathBuf::from("/c")]);
        assert_eq!((set.swap_file, set.timeout), (Some(PathBuf::from("/s")), None));
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
            let error = layer(&[(&variable, value)]).expect_err(&variable).to_string();
            assert!(
                error.starts_with(&format!("{variable}: ")) && error.contains("allowed: "),
                "{error}"
            );
        }
    }
}
