//! Owns by which method a target makes room. Pure.

use serde::{Deserialize, Serialize};

use crate::core::values::MethodWish;

/// How a target makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Frozen, its memory pushed out to swap.
    Pause,
    /// Ended, and started again later.
    Stop,
}

impl Method {
    /// Says what a target is that was taken with it: "paused".
    #[must_use]
    pub fn participle(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Stop => "stopped",
        }
    }
}

/// What the choice of a method rests on.
#[derive(Clone, Copy, Debug)]
pub struct MethodFacts {
    /// `--method`.
    pub wish: MethodWish,
    /// `--no-reclaim`.
    pub no_reclaim: bool,
    /// Free swap in bytes.
    pub swap_free_bytes: u64,
    /// The memory of all targets in bytes; `None` where it cannot be read.
    pub targets_bytes: Option<u64>,
}

/// Below this a stop has nothing to give: the service would lose its state for less than the
/// engine needs to start it again.
pub const WORTH_STOPPING_BYTES: u64 = 8 << 20;

/// The method for one target.
#[must_use]
pub fn method(facts: MethodFacts, target_bytes: Option<u64>, comes_back: bool) -> Method {
    if !comes_back {
        return Method::Pause;
    }
    let stop = match facts.wish {
        MethodWish::Pause => false,
        MethodWish::Stop => true,
        // Pausing is all that is wanted.
        MethodWish::Auto if facts.no_reclaim => false,
        MethodWish::Auto => {
            // What cannot be measured is not a reason to end a service.
            facts.targets_bytes.is_some_and(|bytes| bytes > facts.swap_free_bytes)
                && target_bytes.is_some_and(|bytes| bytes >= WORTH_STOPPING_BYTES)
        }
    };
    if stop { Method::Stop } else { Method::Pause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_follows_the_wish_the_free_swap_and_what_comes_back() {
        use Method::{Pause, Stop};
        const MIB: u64 = 1 << 20;
        let auto = MethodFacts {
            wish: MethodWish::Auto,
            no_reclaim: false,
            swap_free_bytes: 100 * MIB,
            targets_bytes: Some(100 * MIB),
        };
        let short = MethodFacts { targets_bytes: Some(101 * MIB), ..auto };
        for (facts, target, comes_back, expected, why) in [
            (auto, Some(50 * MIB), true, Pause, "swap holds all"),
            (short, Some(50 * MIB), true, Stop, "swap is short"),
            (short, Some(50 * MIB), false, Pause, "it would not come back"),
            (short, Some(MIB), true, Pause, "it has nothing worth a stop"),
            (short, None, true, Pause, "its memory is not known"),
            (
                MethodFacts { targets_bytes: None, ..auto },
                Some(50 * MIB),
                true,
                Pause,
                "nothing is known",
            ),
            (MethodFacts { no_reclaim: true, ..short }, Some(50 * MIB), true, Pause, "pause only"),
            (
                MethodFacts { wish: MethodWish::Stop, no_reclaim: true, ..short },
                Some(50 * MIB),
                true,
                Stop,
                "asked for by name",
            ),
            (
                MethodFacts { wish: MethodWish::Pause, ..short },
                Some(50 * MIB),
                true,
                Pause,
                "asked for",
            ),
            (MethodFacts { wish: MethodWish::Stop, ..auto }, Some(0), true, Stop, "asked for"),
            (
                MethodFacts { wish: MethodWish::Stop, ..auto },
                Some(50 * MIB),
                false,
                Pause,
                "never stopped",
            ),
        ] {
            assert_eq!(method(facts, target, comes_back), expected, "{why}");
        }
    }
}
