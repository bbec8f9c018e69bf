//! Owns the lines about targets that were removed while they were held. Pure.

use crate::core::{run::results::Back, target::method::Method, text::names};

/// Names what was removed while it was held and is gone; `None` where nothing is.
#[must_use]
pub fn vanished(back: &Back) -> Option<String> {
    let gone: Vec<&str> = back.vanished().collect();
    let was = if gone.len() == 1 { "was removed while it was" } else { "were removed while" };
    let with = |method| back.gone.iter().any(|gone| !gone.is_replaced && gone.method == method);
    let held = match (with(Method::Pause), with(Method::Stop)) {
        (true, true) => "paused or stopped",
        (_, false) => Method::Pause.participle(),
        (false, true) => Method::Stop.participle(),
    };
    let rest = if gone.len() == 1 {
        format!("{was} {held}: it is gone")
    } else {
        format!("{was} {held}: they are gone")
    };
    (!gone.is_empty()).then(|| format!("{} {rest}", names(gone, 8)))
}

/// What to type or to change after [`vanished`].
#[must_use]
pub fn keep_from_vanishing(back: &Back) -> Option<&'static str> {
    back.gone.iter().any(|gone| !gone.is_replaced && gone.method == Method::Stop).then_some(
        "`docker container prune` and `docker system prune` remove what is stopped, not what is \
         paused: --method pause",
    )
}

/// Names what was removed and runs again under its name; `None` where nothing does.
#[must_use]
pub fn replaced(back: &Back) -> Option<String> {
    let replaced: Vec<&str> =
        back.gone.iter().filter(|gone| gone.is_replaced).map(|gone| gone.name.as_str()).collect();
    let words = if replaced.len() == 1 { "runs" } else { "run" };
    (!replaced.is_empty())
        .then(|| format!("{} {words} again, recreated by somebody else", names(replaced, 8)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::run::results::Gone;

    #[test]
    fn what_vanished_is_named_with_what_was_done_to_it_and_what_was_recreated_is_not() {
        use Method::{Pause, Stop};
        let gone = |name: &str, method, is_replaced| Gone {
            id: name.to_owned(),
            name: name.to_owned(),
            method,
            is_replaced,
        };
        for (gone, lost, has_hint, again) in [
            (vec![], None, false, None),
            (
                vec![gone("web", Stop, false)],
                Some("`web` was removed while it was stopped: it is gone"),
                true,
                None,
            ),
            (
                vec![gone("a", Pause, false), gone("b", Pause, false)],
                Some("`a`, `b` were removed while paused: they are gone"),
                false,
                None,
            ),
            (
                vec![gone("a", Pause, false), gone("b", Stop, false), gone("c", Stop, true)],
                Some("`a`, `b` were removed while paused or stopped: they are gone"),
                true,
                Some("`c` runs again, recreated by somebody else"),
            ),
        ] {
            let back = Back { gone, ..Back::default() };
            assert_eq!(vanished(&back).as_deref(), lost);
            assert_eq!(keep_from_vanishing(&back).is_some(), has_hint, "{back:?}");
            assert_eq!(replaced(&back).as_deref(), again);
        }
    }
}
