//! The order of making and of releasing room, without an engine and without a host: every failure at
//! every act. What is done is written down by the fakes, and each act is failed once in each way.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::PathBuf,
    rc::Rc,
    thread,
    time::Duration,
};

use crate::{
    core::{
        run::{
            results::Room,
            room_settings::RoomSettings,
            wire::{FromKeeper, Request},
        },
        target::{
            samples,
            seen::Listed,
            start_order::{COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE},
            state::State,
        },
        values::{MethodWish, Size, SwapWish},
    },
    host::shell::{Shell, ShellError, fake},
    lease::{
        journal::{Journal, Looked},
        state_dir::StateDir,
    },
    room::{
        cancel::Cancel,
        context::Context,
        machine::Machine,
        make::{Made, make},
        release::release,
    },
    targets::{
        all::Targets,
        fake::{Failure, FakeTargets},
    },
};

const MEMINFO: &str = include_str!("../../tests/fixtures/debian-12-kernel-6.18/meminfo");
const SWAP: &str = "/fake/swapfile";
const FAILURES: [Failure; 3] = [Failure::Refused, Failure::LostBefore, Failure::LostAfter];
/// However busy the machine is.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(20);

/// What is done, and what comes of it.
#[derive(Default)]
struct World {
    log: RefCell<Vec<String>>,
    /// The act that fails, by its place in the log, and how.
    failing: Cell<Option<(usize, Failure)>>,
    journal: RefCell<PathBuf>,
    has_swap: Cell<bool>,
    is_pushed_out: Cell<bool>,
}

impl World {
    /// Writes down an act; says how it fails.
    fn act(&self, act: &str) -> Option<Failure> {
        let journal = fs::read_to_string(&*self.journal.borrow()).unwrap_or_default();
        let intent = match act.split_once(' ') {
            Some(("pause" | "stop", name)) => {
                format!(r#""record":"taking","target":{{"id":"{}""#, id(name))
            }
            Some(("make", _)) => r#""record":"area_making""#.to_owned(),
            Some(("remove", _)) => r#""record":"area_removing""#.to_owned(),
            _ => String::new(),
        };
        let mark = if journal.contains(&intent) { "" } else { " UNANNOUNCED" };
        let mut log = self.log.borrow_mut();
        log.push(format!("{act}{mark}"));
        self.failing.get().filter(|(place, _)| *place + 1 == log.len()).map(|(_, failure)| failure)
    }

    /// Answers a script of the host's.
    fn answer(&self, script: &str) -> Result<String, ShellError> {
        let (act, has_swap, is_pushed_out) = if script.contains("mkswap -L") {
            ("make swap", true, self.is_pushed_out.get())
        } else if script.contains("==> after <==") {
            ("push out", self.has_swap.get(), true)
        } else if script.contains("it cannot be deleted") {
            ("remove swap", false, self.is_pushed_out.get())
        } else {
            ("measure", self.has_swap.get(), self.is_pushed_out.get())
        };
        let failure = self.act(act);
        match failure {
            Some(Failure::Refused) if act == "measure" => {
                return Err(ShellError::NoRoot { place: String::new() });
            }
            Some(Failure::Refused) => return Ok("no room for it\n".to_owned()),
            Some(Failure::LostBefore) => return Err(lost()),
            Some(Failure::LostAfter) | None => {}
        }
        let before = self.figures();
        self.has_swap.set(has_swap);
        self.is_pushed_out.set(is_pushed_out);
        if failure.is_some() {
            return Err(lost());
        }
        Ok(match act {
            "push out" => format!("{before}==> after <==\n{}", self.figures()),
            "measure" => self.figures(),
            _ => format!("ok\n{}", self.figures()),
        })
    }

    fn figures(&self) -> String {
        let swap_kib = if self.has_swap.get() { 1 << 20 } else { 0 };
        let used_bytes = if self.is_pushed_out.get() { 1 << 20 } else { 100 << 20 };
        let ours = ["MemTotal:", "MemAvailable:", "SwapTotal:", "SwapFree:"];
        let others = MEMINFO.lines().filter(|line| !ours.iter().any(|name| line.starts_with(name)));
        let mut text = format!(
            "==> /proc/meminfo <==\nMemTotal: 2048000 kB\nMemAvailable: 512000 kB\n\
             SwapTotal: {swap_kib} kB\nSwapFree: {swap_kib} kB\n{}\n\
             ==> /proc/swaps <==\nFilename Type Size Used Priority\n",
            others.collect::<Vec<_>>().join("\n")
        );
        if self.has_swap.get() {
            text += &format!("{SWAP} file {swap_kib} 0 -2\n");
        }
        text += "==> targets <==\n";
        for name in ["db", "web"] {
            text += &format!("target {} 2 {used_bytes} 0 0 max - /fake\n", id(name));
        }
        text
    }
}

fn lost() -> ShellError {
    ShellError::Silent { host: "fake".to_owned(), after: Duration::ZERO }
}

fn id(name: &str) -> String {
    let letters = name.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("{letters:0<64}")
}

/// A service of one compose project that depends on these.
fn listed(name: &str, depends_on: &str) -> Listed {
    let labels =
        [(COMPOSE_PROJECT, "p"), (COMPOSE_SERVICE, name), (COMPOSE_DEPENDS_ON, depends_on)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Listed { id: id(name), labels, ..samples::listed(name) }
}

/// What is asked for, and what fails.
#[derive(Clone, Copy, Default)]
struct Play {
    method: MethodWish,
    /// The act that fails, by its place, and how.
    failing: Option<(usize, Failure)>,
    /// The records that cannot be written.
    unwritable: Option<&'static str>,
}

/// What came of it.
struct Played {
    log: Vec<String>,
    room: Room,
    states: Vec<State>,
    has_swap: bool,
    /// What is left recorded.
    is_recorded: bool,
    /// The same once what is left recorded was released again, with nothing failing.
    at_last: (Vec<State>, bool, bool),
}

/// Makes room and releases it.
fn play(play: Play) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let state = StateDir::open(&dir.path().join("state")).expect("a state directory");
        let mut journal = Journal::create(&state, "l").expect("a journal");
        if let Some(record) = play.unwritable {
            journal.fail_on(record);
        }
        let world = Rc::new(World { failing: Cell::new(play.failing), ..World::default() });
        *world.journal.borrow_mut() = journal.path().to_owned();
        let (acts, answers) = (Rc::clone(&world), Rc::clone(&world));
        let services = vec![listed("web", "db:service_healthy:true"), listed("db", "")];
        let fake = FakeTargets::new(services, Rc::new(move |act| acts.act(act)));
        let shell = Shell::of_fake(fake::FakeHost::new(move |script| answers.answer(script)));
        let machine = Machine::of_fakes(Targets::of_fake(fake.clone()), shell);
        let settings = RoomSettings {
            pause: ["db", "web"].map(|name| name.parse().expect(name)).to_vec(),
            method: play.method,
            swap: SwapWish::Free(Size { bytes: 1 << 30 }),
            swap_file: Some(SWAP.to_owned()),
            restore_timeout: RESTORE_TIMEOUT,
            ..RoomSettings::default()
        };
        let request = Request { lease: "l".to_owned(), settings, ..Request::default() };
        let (cancel, tell) = (Cancel::default(), |_: FromKeeper| {});
        let context = Context {
            request: &request,
            state: &state,
            machine: &machine,
            cancel: &cancel,
            tell: &tell,
        };
        let Made::Room(room) = make(&context, &mut journal).await else { panic!("no room") };
        world.log.borrow_mut().push("BUILD".to_owned());
        drop(release(&context, journal).await);
        let now = || {
            let is_recorded = world.journal.borrow().exists();
            (fake.states(), world.has_swap.get(), is_recorded)
        };
        let (states, has_swap, is_recorded) = now();
        let log = world.log.borrow().clone();
        world.failing.set(None);
        let lock = state.lock_later(Duration::from_secs(1)).await.expect("the lock");
        if let Ok(Looked::Dead(journal)) = Journal::look(&state, "l") {
            drop(lock);
            let (_, waiting) = release(&context, *journal).await;
            // What may still come by the clock comes no more in this world.
            drop(waiting);
        }
        Played { log, room: *room, states, has_swap, is_recorded, at_last: now() }
    })
}

/// Plays all of these at once: most of each is waiting.
fn play_all(plays: Vec<Play>) -> Vec<(Play, Played)> {
    let playing: Vec<_> =
        plays.into_iter().map(|one| thread::spawn(move || (one, play(one)))).collect();
    playing.into_iter().map(|one| one.join().expect("a play")).collect()
}

const ORDER: [&str; 19] = [
    // Which targets there are, what the host is like, and what each target is.
    "list",
    "look web",
    "look db",
    "measure",
    // Swap first: what is paused is pushed out to it.
    "make swap",
    "look web",
    "look db",
    "pause web",
    "pause db",
    "push out",
    "BUILD",
    // What is depended on first, each looked at before and after.
    "look db",
    "resume db",
    "look db",
    "look web",
    "resume web",
    "look web",
    // Swap last: whether its pages fit back, then off.
    "measure",
    "remove swap",
];

#[test]
fn room_is_made_and_released_in_this_order() {
    let played = play(Play::default());
    assert_eq!(played.log, ORDER);
    assert_eq!((played.room.paused, played.room.given_back_bytes), (2, Some(198 << 20)));
    assert_eq!((played.states, played.has_swap), (vec![State::Running; 2], false));
    assert!(!played.is_recorded);
    let stopped = play(Play { method: MethodWish::Stop, ..Play::default() });
    let expected: Vec<String> = ORDER
        .into_iter()
        .filter(|act| *act != "push out")
        .map(|act| act.replace("pause", "stop").replace("resume", "start"))
        .collect();
    assert_eq!(stopped.log, expected);
}

#[test]
fn whatever_fails_at_whichever_act_everything_runs_again_and_nothing_is_lost() {
    let plain =
        [MethodWish::Pause, MethodWish::Stop].map(|method| Play { method, ..Play::default() });
    let mut plays = Vec::new();
    for plain in plain {
        let acts = play(plain).log;
        for (place, act) in acts.iter().enumerate().filter(|(_, act)| *act != "BUILD") {
            // A look or a list that was lost has done nothing, however it was lost.
            let ways = if act.contains(' ') && !act.starts_with("look") { 3 } else { 2 };
            let failing = FAILURES.into_iter().take(ways).map(|failure| Some((place, failure)));
            plays.extend(failing.map(|failing| Play { failing, ..plain }));
        }
    }
    assert!(plays.len() > 80, "{}", plays.len());
    for (Play { failing, .. }, played) in play_all(plays) {
        let Played { log, states, has_swap, is_recorded, .. } = &played;
        let (place, failure) = failing.expect("one fails");
        let said = format!("{} at {place}, {failure:?}: {log:#?}", log[place]);
        assert!(!log.iter().any(|act| act.contains("UNANNOUNCED")), "{said}");
        assert!(states.iter().all(|state| *state == State::Running), "{states:?} after {said}");
        assert!(!*has_swap || *is_recorded, "swap is left and not recorded after {said}");
        let (states, has_swap, _) = &played.at_last;
        assert_eq!((states, *has_swap), (&vec![State::Running; 2], false), "at last, after {said}");
        let place_of = |word: &str| log.iter().position(|act| act.starts_with(word));
        let last_of = |word: &str| log.iter().rposition(|act| act.starts_with(word));
        let build = place_of("BUILD").expect("it is reached");
        for (before, after) in [
            (last_of("make swap"), place_of("pause")),
            (last_of("pause"), place_of("push out")),
            (last_of("pause"), Some(build)),
            (last_of("stop"), Some(build)),
            (Some(build), place_of("resume")),
            (Some(build), place_of("start")),
            (place_of("resume db"), place_of("resume web")),
            (place_of("start db"), place_of("start web")),
            (last_of("resume"), place_of("remove swap")),
            (last_of("start"), place_of("remove swap")),
        ] {
            if let (Some(before), Some(after)) = (before, after) {
                assert!(before < after, "{} and {} after {said}", log[before], log[after]);
            }
        }
    }
}

#[test]
fn what_cannot_be_announced_is_not_done_and_what_cannot_be_noted_is_undone_all_the_same() {
    for (record, never) in [
        ("opened", "pause"),
        ("opened", "make swap"),
        ("taking", "pause"),
        ("area_making", "make swap"),
        ("taken", ""),
        ("area_made", ""),
        ("area_removing", ""),
        ("area_gone", ""),
        ("restored", ""),
    ] {
        let played = play(Play { unwritable: Some(record), ..Play::default() });
        let said = format!("{record}: {:#?}", played.log);
        if never.is_empty() {
            assert!(played.log.iter().any(|act| act.starts_with("pause")), "{said}");
        } else {
            assert!(!played.log.iter().any(|act| act.starts_with(never)), "{never} of {said}");
        }
        assert_eq!((played.states, played.has_swap), (vec![State::Running; 2], false), "{said}");
    }
}
