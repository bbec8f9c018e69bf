//! Owns the words for what runs again and is not called healthy yet, by itself or by the engine. Pure.

use crate::core::{
    run::results::{Answer, Back},
    target::healthcheck::Word,
    text::names,
};

/// Names what runs again and was not healthy in time, by its own word or the engine's; `None` where
/// nothing is late.
#[must_use]
pub fn not_healthy(back: &Back) -> Option<String> {
    let (late, uncalled): (Vec<&Answer>, Vec<&Answer>) = back
        .answers
        .iter()
        .filter(|answer| answer.called_healthy_after.is_none())
        .partition(|answer| answer.after.is_none());
    let mut parts = Vec::new();
    if !late.is_empty() {
        let late = names(late.iter().map(|answer| answer.name.as_str()), 8);
        parts.push(format!("running again, but not healthy in time: {late}"));
    }
    if !uncalled.is_empty() {
        parts.push(format!("running again and answering, but the engine {}", calls(&uncalled)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Says what the engine does not call healthy yet, though it was and nobody waited for that; `None`
/// where there is nothing of it.
#[must_use]
pub fn lagging(back: &Back) -> Option<String> {
    let lagging: Vec<&Answer> = back.lagging.iter().collect();
    (!lagging.is_empty())
        .then(|| format!("the engine {}: --wait-healthy waits for that", calls(&lagging)))
}

/// What the engine calls these until it has asked.
fn calls(answers: &[&Answer]) -> String {
    let all = |word| answers.iter().all(|answer| answer.word == word);
    let word = match () {
        () if all(Word::Unhealthy) => "unhealthy",
        () if all(Word::Starting) => "starting",
        () => "not healthy",
    };
    let within = answers.iter().map(|answer| answer.asks_within).max().unwrap_or_default();
    let its = if answers.len() == 1 { "its next probe" } else { "their next probes" };
    let names = names(answers.iter().map(|answer| answer.name.as_str()), 5);
    let seconds = within.as_secs() + u64::from(within.subsec_nanos() > 0);
    let when = if seconds == 0 { String::new() } else { format!(", within {seconds} s") };
    format!("calls {names} {word} until {its}{when}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::run_lines::all_back;

    #[test]
    fn what_the_engine_calls_a_service_is_said_with_how_long_it_will() {
        let answer = |name: &str, word, asks_within| Answer {
            name: name.to_owned(),
            after: Some(Duration::from_millis(100)),
            word,
            asks_within,
            ..Answer::default()
        };
        let (tenths, half_minute) = (Duration::from_millis(7900), Duration::from_secs(30));
        let db = answer("db", Word::Unhealthy, tenths);
        let web = answer("web", Word::Starting, half_minute);
        let waited = |answers| Back { answers, ..Back::default() };
        let seen = |lagging| Back { lagging, ..Back::default() };
        for (said, expected) in [
            (lagging(&seen(vec![])), None),
            (
                lagging(&seen(vec![db.clone()])),
                Some(
                    "the engine calls `db` unhealthy until its next probe, within 8 s: --wait-healthy waits for that",
                ),
            ),
            (
                lagging(&seen(vec![db.clone(), web.clone()])),
                Some(
                    "the engine calls `db`, `web` not healthy until their next probes, within 30 s: --wait-healthy waits for that",
                ),
            ),
            (
                not_healthy(&waited(vec![web.clone()])),
                Some(
                    "running again and answering, but the engine calls `web` starting until its next probe, within 30 s",
                ),
            ),
            (
                not_healthy(&waited(vec![db.clone(), Answer { after: None, ..web.clone() }])),
                Some(
                    "running again, but not healthy in time: `web`; running again and answering, but the engine calls `db` unhealthy until its next probe, within 8 s",
                ),
            ),
            (
                all_back(&waited(vec![
                    Answer { called_healthy_after: Some(Duration::from_secs(7)), ..db },
                    web,
                ])),
                Some("1 healthy after 7.0 s"),
            ),
        ] {
            assert_eq!(said.as_deref(), expected);
        }
    }
}
