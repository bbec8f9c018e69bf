//! Owns which rounds are played, and what is told of them: one job of a sitting plays its part of
//! the seeds, in one log with the other jobs. `scripts/chaos` starts the jobs and sums up.

use std::{
    any::Any,
    collections::BTreeSet,
    env, fs,
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    faults::restart_engine,
    plan::Round,
    rounds::{Played, play},
};

/// Rounds where nobody says how many.
const ROUNDS: u64 = 50;
/// So often it is told how far this is.
const TOLD_EVERY: usize = 25;

/// What this process has to play, from its environment.
struct Part {
    /// A line a round: seed, faults, verdict, seconds, with tabs between.
    log: Option<PathBuf>,
    /// In the order in which they are played.
    rounds: Vec<(u64, Round)>,
}

impl Part {
    fn from_environment() -> Self {
        let number = |name: &str, otherwise: u64| {
            env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
        };
        let (first, count) =
            (number("MAKEROOM_CHAOS_SEED", 0), number("MAKEROOM_CHAOS_ROUNDS", ROUNDS));
        let (part, jobs) = (number("MAKEROOM_CHAOS_PART", 0), number("MAKEROOM_CHAOS_JOBS", 1));
        let log = env::var_os("MAKEROOM_CHAOS_LOG").map(PathBuf::from);
        let done = log
            .as_ref()
            .and_then(|path| fs::read_to_string(path).ok())
            .map_or_else(BTreeSet::new, |text| seeds(&text));
        let is_ours = |seed: &u64| seed % jobs == part && !done.contains(seed);
        let mut rounds: Vec<_> =
            (first..first + count).filter(is_ours).map(|seed| (seed, Round::of(seed))).collect();
        // The engine has to be started anew between the two kinds.
        rounds.sort_by_key(|(_, round)| round.live_restore);
        Self { log, rounds }
    }

    fn record(&self, seed: u64, faults: &BTreeSet<String>, played: &Played, took: Duration) {
        let Some(path) = &self.log else { return };
        let verdict = if played.violations.is_empty() {
            "holds".to_owned()
        } else {
            played.violations.join("; ")
        };
        let faults = faults.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
        let line = format!(
            "{seed}\t{faults}\t{}\t{}\n",
            verdict.replace(['\n', '\t'], " "),
            took.as_secs()
        );
        let mut file = fs::File::options().append(true).create(true).open(path).expect("a log");
        // The other jobs write to it as well: a line at once.
        file.write_all(line.as_bytes()).expect("written");
    }
}

/// The seeds that a log has.
fn seeds(log: &str) -> BTreeSet<u64> {
    log.lines().filter_map(|line| line.split('\t').next()?.parse().ok()).collect()
}

#[test]
fn after_rounds_of_chaos_everything_is_as_it_was_before() {
    let part = Part::from_environment();
    let is_to_end = Arc::new(AtomicBool::new(false));
    // The round that is being played ends first, and leaves nothing behind; a second one ends this
    // at once.
    signal_hook::flag::register_conditional_shutdown(libc::SIGTERM, 1, Arc::clone(&is_to_end))
        .expect("a signal");
    signal_hook::flag::register(libc::SIGTERM, Arc::clone(&is_to_end)).expect("a signal");
    let (begun, mut live_restore, mut bad) = (Instant::now(), false, Vec::new());
    for (number, (seed, round)) in part.rounds.iter().enumerate() {
        if is_to_end.load(Ordering::Relaxed) {
            println!("ended by a signal after {number} rounds");
            break;
        }
        if round.live_restore != live_restore {
            live_restore = round.live_restore;
            restart_engine("TERM", Duration::ZERO, live_restore);
        }
        let (mut faults, round_begun) = (BTreeSet::new(), Instant::now());
        let played =
            catch_unwind(AssertUnwindSafe(|| play(round, &mut faults))).unwrap_or_else(|panic| {
                // Whatever it was, the next round begins with an engine that has nothing to do with
                // it.
                restart_engine("KILL", Duration::ZERO, live_restore);
                Played {
                    violations: vec![format!("panicked: {}", words(&*panic))],
                    report: format!("{round:#?}"),
                }
            });
        part.record(*seed, &faults, &played, round_begun.elapsed());
        if !played.violations.is_empty() {
            tell(&format!(
                "seed {seed} VIOLATED\n  {}\n{}\n━━ end of seed {seed}",
                played.violations.join("\n  "),
                played.report
            ));
            bad.push(*seed);
        }
        if (number + 1).is_multiple_of(TOLD_EVERY) {
            tell(&format!(
                "{} of {} rounds in {:.0?}, {} violated",
                number + 1,
                part.rounds.len(),
                begun.elapsed(),
                bad.len()
            ));
        }
    }
    assert!(
        bad.is_empty(),
        "violated with the seeds {bad:?}; `scripts/chaos 1 --seed SEED` plays one again"
    );
}

/// At once, as far as the system allows it: other jobs write there as well.
fn tell(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(format!("{text}\n").as_bytes());
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

#[test]
fn a_log_tells_which_seeds_were_played_whatever_order_they_have() {
    assert_eq!(seeds("7\tclock moved\tholds\n3\t\tservice 0 is paused\n"), BTreeSet::from([3, 7]));
}
