//! Series of figures, four looks a second unless said otherwise, and what is due at which moment.

use super::*;

const MIB: u64 = 1 << 20;
/// What the guard is asked for in most of these: a floor of 500 MiB.
const FLOOR_MIB: u64 = 500;

/// A host that is looked at, and what was due so far.
struct Host {
    guard: Guard,
    millis: u64,
    stall: Duration,
    every_millis: u64,
    due: Vec<(u64, &'static str)>,
    /// How long each act takes, and what a step holds.
    act_millis: u64,
    held_mib: u64,
    /// When the act that is under way ends.
    ends: Option<(u64, Move)>,
    last: Option<Move>,
}

fn wish(steps: usize, abort_s: Option<u64>) -> Wish {
    Wish {
        then: (0..steps).map(|step| format!("step-{step}").parse().expect("a selector")).collect(),
        pressure: PRESSURE,
        floor_bytes: Some(FLOOR_MIB * MIB),
        abort_after: abort_s.map(Duration::from_secs),
    }
}

impl Host {
    fn new(wish: Wish) -> Self {
        let guard = Guard::new(wish);
        Self {
            guard,
            millis: 0,
            stall: Duration::ZERO,
            every_millis: 250,
            due: vec![],
            act_millis: 500,
            held_mib: 100,
            ends: None,
            last: None,
        }
    }

    /// For so long: from this much available to that much, everything stalled for this part of the
    /// time.
    fn goes(&mut self, millis: u64, from_mib: u64, to_mib: u64, stalled_percent: u64) -> &mut Self {
        let begun = self.millis;
        while self.millis < begun + millis {
            let done = self.millis - begun;
            let available_mib = (from_mib * (millis - done) + to_mib * done) / millis;
            self.look(available_mib * MIB, Some(self.stall));
            self.stall += Duration::from_millis(self.every_millis) / 100
                * u32::try_from(stalled_percent).expect("a percentage");
            self.millis += self.every_millis;
        }
        self
    }

    fn look(&mut self, available_bytes: u64, full_stall: Option<Duration>) {
        if let Some((_, act)) = self.ends.take_if(|(at, _)| *at <= self.millis) {
            match act {
                Move::Take { .. } => self.guard.taken(self.held_mib * MIB),
                _ => self.guard.undone(Duration::from_millis(self.millis)),
            }
        }
        let sample = HostSample { available_bytes, full_stall, ..HostSample::default() };
        let Some(due) = self.guard.look(Duration::from_millis(self.millis), &sample) else {
            return;
        };
        let word = match due {
            Move::Take { cause: Cause::Pressure, .. } => "pressure",
            Move::Take { cause: Cause::Floor, .. } => "floor",
            Move::Take { cause: Cause::Forecast, .. } => "forecast",
            Move::Undo { .. } => "undo",
            Move::Abort { .. } => "abort",
        };
        self.due.push((self.millis, word));
        self.last = Some(due);
        if word != "abort" {
            assert!(self.ends.is_none(), "one act at a time: {:?}", self.due);
            self.ends = Some((self.millis + self.act_millis, due));
        }
    }

    fn words(&self) -> Vec<&'static str> {
        self.due.iter().map(|(_, word)| *word).collect()
    }
}

#[test]
fn nothing_is_due_while_there_is_room() {
    for (from_mib, to_mib, stalled_percent) in
        [(9000, 9000, 0), (9000, 600, 0), (600, 9000, 0), (9000, 9000, 9), (501, 501, 9)]
    {
        let mut host = Host::new(wish(2, Some(1)));
        host.goes(600_000, from_mib, to_mib, stalled_percent);
        assert_eq!(host.due, [], "{from_mib} to {to_mib} MiB, {stalled_percent} % stalled");
    }
}

#[test]
fn a_step_is_due_when_a_limit_is_passed_and_not_before() {
    // Everything stalled: the average over ten seconds is at a tenth after 1.05 s. Half of the
    // time: after 2.2 s.
    for (available_mib, stalled_percent, first) in [
        (9000, 100, (1250, "pressure")),
        (9000, 50, (2250, "pressure")),
        (9000, 12, (18_000, "pressure")),
        (499, 0, (0, "floor")),
        (500, 100, (1250, "pressure")),
    ] {
        let mut host = Host::new(wish(1, None));
        host.goes(60_000, available_mib, available_mib, stalled_percent);
        assert_eq!(host.due, [first], "{available_mib} MiB, {stalled_percent} % stalled");
    }
}

#[test]
fn the_pressure_is_the_kernels_average_however_often_it_is_looked_at() {
    for every_millis in [250, 1000, 2000] {
        let mut host = Host::new(Wish { pressure: Percent(100), ..wish(1, None) });
        host.every_millis = every_millis;
        let mut percent = 0.0;
        let mut pressure = Pressure::default();
        for look in 0..=(10_000 / every_millis) {
            let at = Duration::from_millis(look * every_millis);
            percent = pressure.add(at, Some(at / 2)).expect("a pressure");
        }
        // 50 % of the time for ten seconds: 50 · (1 − 1/e).
        assert!((percent - 31.6).abs() < 0.1, "{percent} with a look every {every_millis} ms");
    }
}

#[test]
fn a_fall_that_reaches_the_floor_within_seconds_is_a_step_before_it_does() {
    let mut host = Host::new(wish(1, None));
    // 100 MiB a second: three seconds ahead are 800 MiB.
    host.goes(8000, 1300, 500, 0);
    let [(at, "forecast")] = host.due[..] else { panic!("{:?}", host.due) };
    assert!((4500..=5750).contains(&at), "{at}");
    let Some(Move::Take { step: 0, figures, .. }) = host.last else { panic!("{:?}", host.last) };
    assert!((99 * MIB..101 * MIB).contains(&figures.falling_bytes), "{figures:?}");
}

#[test]
fn the_forecast_needs_a_fall_that_lasts() {
    // One look that is 300 MiB lower, at a place where it matters: a program that came and went.
    let mut host = Host::new(wish(1, None));
    host.goes(10_000, 700, 700, 0).goes(250, 620, 620, 0).goes(10_000, 700, 700, 0);
    assert_eq!(host.due, []);
    // Two looks make no trend: the first second of a build falls by what it likes.
    let mut host = Host::new(wish(1, None));
    host.goes(500, 2000, 600, 0).goes(10_000, 2000, 2000, 0);
    assert_eq!(host.due, []);
}

#[test]
fn one_look_a_second_as_a_vm_has_them_is_enough_for_a_forecast() {
    let mut host = Host::new(wish(1, None));
    host.every_millis = 1000;
    host.goes(8000, 1300, 500, 0);
    assert!(matches!(host.due[..], [(4000..=6000, "forecast")]), "{:?}", host.due);
}

#[test]
fn steps_are_taken_in_order_one_at_a_time_each_when_the_one_before_was_not_enough() {
    let mut host = Host::new(wish(3, None));
    host.goes(10_000, 400, 400, 0);
    assert_eq!(host.due, [(0, "floor"), (500, "floor"), (1000, "floor")]);
    assert!(matches!(host.last, Some(Move::Take { step: 2, .. })));
    // One that was enough is the last.
    let mut host = Host::new(wish(3, None));
    host.goes(500, 400, 400, 0).goes(5000, 800, 800, 0);
    assert_eq!(host.due, [(0, "floor")]);
}

#[test]
fn pressure_from_before_a_step_does_not_take_the_next_one() {
    let mut host = Host::new(wish(2, None));
    host.goes(1500, 9000, 9000, 100).goes(8000, 9000, 9000, 0);
    assert_eq!(
        host.words(),
        ["pressure"],
        "an average of ten seconds is still up when the step is done"
    );
    let mut host = Host::new(wish(2, None));
    host.goes(8000, 9000, 9000, 100);
    assert_eq!(host.words(), ["pressure", "pressure"]);
}

#[test]
fn a_step_is_undone_when_it_has_been_calm_for_ten_seconds_and_its_memory_fits() {
    for (available_mib, stalled_percent, undone) in [
        (9000, 0, true),
        // The floor, the step's 100 MiB, and 64 MiB more.
        (664, 0, true),
        (663, 0, false),
        // Between the limit and its half: neither.
        (9000, 7, false),
        (9000, 4, true),
    ] {
        let mut host = Host::new(wish(1, None));
        host.goes(1000, 400, 400, 0).goes(30_000, available_mib, available_mib, stalled_percent);
        assert_eq!(
            host.words().contains(&"undo"),
            undone,
            "{available_mib} MiB, {stalled_percent} %: {:?}",
            host.due
        );
        if undone {
            assert!(host.due[1].0 >= 11_000, "{:?}", host.due);
        }
    }
}

#[test]
fn a_large_step_needs_a_margin_of_half_its_size() {
    for (available_mib, undone) in [(500 + 1500 - 1, false), (500 + 1500, true)] {
        let mut host = Host::new(wish(1, None));
        host.held_mib = 1000;
        host.goes(1000, 400, 400, 0).goes(30_000, available_mib, available_mib, 0);
        assert_eq!(host.words().contains(&"undo"), undone, "{available_mib} MiB: {:?}", host.due);
    }
}

#[test]
fn calm_is_ten_seconds_in_a_row() {
    let mut host = Host::new(wish(2, None));
    host.goes(1000, 400, 400, 0);
    assert_eq!(host.words(), ["floor", "floor"]);
    for _ in 0..5 {
        host.goes(9000, 9000, 9000, 0).goes(250, 499, 499, 0);
    }
    assert_eq!(host.words(), ["floor", "floor"], "no step is left, and none is undone");
}

#[test]
fn steps_are_undone_from_the_last_one_with_calm_between_them() {
    let mut host = Host::new(wish(2, None));
    host.goes(1000, 400, 400, 0).goes(60_000, 9000, 9000, 0);
    assert_eq!(host.words(), ["floor", "floor", "undo", "undo"]);
    assert!(host.due[3].0 - host.due[2].0 >= 10_000, "{:?}", host.due);
    assert!(matches!(host.last, Some(Move::Undo { step: 0 })));
}

#[test]
fn what_was_undone_is_taken_again_at_once_but_not_undone_again_within_a_minute() {
    let mut host = Host::new(wish(1, None));
    for _ in 0..20 {
        host.goes(15_000, 9000, 9000, 0).goes(500, 400, 400, 0);
    }
    let undone: Vec<u64> =
        host.due.iter().filter(|(_, word)| *word == "undo").map(|(at, _)| *at).collect();
    assert!(
        undone.len() >= 3 && undone.windows(2).all(|pair| pair[1] - pair[0] >= 60_000),
        "{:?}",
        host.due
    );
    let taken_after = |at: &u64| {
        host.due
            .iter()
            .find(|(then, word)| then > at && *word == "floor")
            .map(|(then, _)| then - at)
    };
    assert!(
        undone[..undone.len() - 1]
            .iter()
            .all(|at| taken_after(at).is_some_and(|after| after <= 15_500)),
        "{:?}",
        host.due
    );
}

#[test]
fn the_build_is_ended_once_when_memory_thrashes_with_no_step_left() {
    let mut host = Host::new(wish(0, Some(5)));
    host.goes(60_000, 100, 100, 100);
    assert_eq!(host.due, [(6250, "abort")], "1.25 s until it is over the limit, and five more");
    let Some(Move::Abort { thrashing, figures }) = host.last else { panic!("{:?}", host.last) };
    assert_eq!(thrashing, Duration::from_secs(5));
    assert!(figures.pressure_percent.is_some_and(|percent| percent > 40.0), "{figures:?}");
    let mut host = Host::new(wish(2, Some(5)));
    host.goes(60_000, 9000, 9000, 100);
    assert_eq!(host.words(), ["pressure", "pressure", "abort"]);
    assert!(host.due[2].0 >= host.due[1].0 + 5000, "the last step gets its time: {:?}", host.due);
}

#[test]
fn a_step_that_does_not_end_holds_the_abort_up_no_longer_than_was_said() {
    let mut host = Host::new(wish(3, Some(5)));
    host.act_millis = 600_000;
    host.goes(60_000, 9000, 9000, 100);
    assert_eq!(host.due, [(1250, "pressure"), (6500, "abort")]);
}

#[test]
fn what_is_no_thrashing_ends_no_build() {
    for (available_mib, stalled_percent) in [(100, 0), (0, 0), (9000, 9)] {
        let mut host = Host::new(wish(0, Some(5)));
        host.goes(60_000, available_mib, available_mib, stalled_percent);
        assert_eq!(host.due, [], "{available_mib} MiB, {stalled_percent} %");
    }
    // It thrashes again and again, and never for so long.
    let mut host = Host::new(wish(0, Some(20)));
    for _ in 0..10 {
        host.goes(5000, 9000, 9000, 100).goes(30_000, 9000, 9000, 0);
    }
    assert_eq!(host.due, []);
    // A stall that is over ends no build while the average still remembers it.
    let mut host = Host::new(wish(0, Some(5)));
    host.goes(3000, 9000, 9000, 100).goes(30_000, 9000, 9000, 0);
    assert_eq!(host.due, []);
    let mut host = Host::new(wish(0, None));
    host.goes(600_000, 9000, 9000, 100);
    assert_eq!(host.due, [], "nobody asked for it");
}

#[test]
fn without_psi_the_floor_and_the_forecast_still_count() {
    for (series, first) in [
        ((600..1600).rev().step_by(25).collect::<Vec<u64>>(), "forecast"),
        (vec![499; 40], "floor"),
    ] {
        let mut host = Host::new(wish(1, Some(1)));
        for mib in series.into_iter().chain([9000; 60]) {
            host.look(mib * MIB, None);
            host.millis += 250;
        }
        assert_eq!(host.words(), [first, "undo"]);
    }
}

#[test]
fn the_floor_is_a_part_of_the_hosts_memory_unless_it_is_said() {
    for (said, total_mib, floor_mib) in [
        (None, Some(10_000), 300),
        (None, Some(4000), 192),
        (None, Some(1000), 100),
        (None, None, 192),
        (Some(7 * MIB), Some(10_000), 7),
    ] {
        for (available_mib, is_due) in [(floor_mib, false), (floor_mib - 1, true)] {
            let mut guard = Guard::new(Wish { floor_bytes: said, ..wish(1, None) });
            let sample = HostSample {
                available_bytes: available_mib * MIB,
                total_bytes: total_mib.map(|mib| mib * MIB),
                ..HostSample::default()
            };
            assert_eq!(
                guard.look(Duration::ZERO, &sample).is_some(),
                is_due,
                "{said:?} of {total_mib:?}: {available_mib} MiB"
            );
        }
    }
}
