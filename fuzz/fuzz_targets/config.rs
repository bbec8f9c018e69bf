//! A `makeroom.toml`: it is taken or refused in one line; and as a repository's beside the user's
//! own, who it is that says something. What follows `# repository` in a line of its own is the
//! repository's, all of it where there is no such line.
#![no_main]

use std::{env, fs, os::unix::fs::symlink, path::PathBuf, sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use makeroom::{cli::{ChildArgs, CommonArgs, RoomArgs}, config::{ConfigError, Layer, Purpose, RunSettings, Settings, settle}, core::{run::room_settings::RoomSettings, values::MethodWish}};
use nix::unistd::{Uid, chown, geteuid};

/// Anybody but us.
const STRANGER: u32 = 12345;
const HOUR: Duration = Duration::from_hours(1);

/// `user/makeroom/makeroom.toml`, a repository, one whose file is a link, and one whose file is a
/// stranger's: only root can have that made.
struct World {
    base: PathBuf,
    from: PathBuf,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    // Its processes end without a word: it is made anew by the next, not piled up.
    let base = env::temp_dir().join("makeroom-fuzz-config");
    let _ = fs::remove_dir_all(&base);
    for dir in ["user/makeroom", "repository/src", "linked", "theirs"] {
        fs::create_dir_all(base.join(dir)).expect("made");
    }
    symlink(base.join("repository/makeroom.toml"), base.join("linked/makeroom.toml")).expect("linked");
    // SAFETY: nothing else runs yet.
    unsafe { env::set_var("XDG_CONFIG_HOME", base.join("user")) };
    World { base, from: env::current_dir().expect("there") }
});

impl World {
    fn write(&self, file: &str, bytes: &[u8]) -> PathBuf {
        let path = self.base.join(file);
        fs::write(&path, bytes).expect("written");
        path
    }

    /// What counts in this directory.
    fn settle_in(&self, dir: &str) -> Result<Settings, ConfigError> {
        env::set_current_dir(self.base.join(dir)).expect("there");
        let settings = settled(settle(&Layer::default(), Purpose::Build));
        // The fuzzer's own directories may be relative.
        env::set_current_dir(&self.from).expect("there");
        settings
    }
}

fuzz_target!(|bytes: &[u8]| {
    let world = &*WORLD;
    let named = world.write("named.toml", bytes);
    let common = CommonArgs { config: Some(named), ..CommonArgs::default() };
    let named = Layer::of_flags(RoomArgs::default(), ChildArgs::default(), common);
    let _ = settled(settle(&named, Purpose::Build));

    let (user, repository) = parts(bytes);
    world.write("user/makeroom/makeroom.toml", user);
    world.write("repository/makeroom.toml", repository);
    let apart = settled(settle(&Layer::default(), Purpose::Upkeep));
    let within = world.settle_in("repository/src");
    let Ok(own) = apart else {
        return assert!(within.is_err(), "the user's own cannot be read, and what a repository says counts");
    };
    if let Ok(within) = &within {
        says_no_more_than_it_may(&own, within);
    }
    let linked = world.settle_in("linked");
    assert_eq!(linked.is_ok(), within.is_ok());
    if let Err(ConfigError::File { message, .. }) = linked {
        assert!(message.ends_with("what it leads to is not shown"), "{message}");
    }
    if geteuid().is_root() {
        let theirs = world.write("theirs/makeroom.toml", repository);
        chown(&theirs, Some(Uid::from_raw(STRANGER)), None).expect("given away");
        a_strangers_counts_only_where_it_is_told_to(&own, world.settle_in("theirs"), within, user);
    }
});

/// The user's part and the repository's.
fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    const BORDER: &[u8] = b"# repository\n";
    match bytes.windows(BORDER.len()).position(|window| window == BORDER) {
        Some(at) => (&bytes[..at], &bytes[at..]),
        None => (b"", bytes),
    }
}

fn settled(settled: Result<Settings, ConfigError>) -> Result<Settings, ConfigError> {
    if let Err(error) = &settled {
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
    settled
}

/// But for what it may say, everything is as without it, and nothing is kept down by force or for
/// more than an hour.
fn says_no_more_than_it_may(own: &Settings, within: &Settings) {
    assert!(within.room.method != MethodWish::Stop || own.room.method == MethodWish::Stop);
    for (within, own) in [
        (within.room.afterwards.wait_healthy, own.room.afterwards.wait_healthy),
        (within.room.afterwards.warm, own.room.afterwards.warm),
        (Some(within.room.restore_timeout), Some(own.room.restore_timeout)),
        (Some(within.run.grace), Some(own.run.grace)),
    ] {
        assert!(within == own || within <= Some(HOUR), "{within:?} over {own:?}");
    }
    let texts = |settings: &Settings| settings.room.keep.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(texts(within).ends_with(&texts(own)), "what is kept adds up");
    let room = RoomSettings {
        pause: within.room.pause.clone(),
        keep: within.room.keep.clone(),
        method: within.room.method,
        restore_timeout: within.room.restore_timeout,
        afterwards: within.room.afterwards,
        guard: within.room.guard.clone(),
        ..own.room.clone()
    };
    let run = RunSettings {
        need: within.run.need,
        timeout: within.run.timeout,
        grace: within.run.grace,
        wait: within.run.wait,
        ..own.run.clone()
    };
    assert_eq!(format!("{room:?} {run:?}"), format!("{:?} {:?}", within.room, within.run));
    let rest = |all: &Settings| {
        let Settings { ui, state_dir, is_state_dir_named, refused, faults, .. } = all;
        format!("{ui:?} {state_dir:?} {is_state_dir_named} {refused:?} {faults:?}")
    };
    assert_eq!(rest(own), rest(within));
}

/// It is as if it were not there, and said; or, where the user's file names its directory, as if it
/// were ours.
fn a_strangers_counts_only_where_it_is_told_to(
    own: &Settings,
    found: Result<Settings, ConfigError>,
    as_ours: Result<Settings, ConfigError>,
    user: &[u8],
) {
    let is_named = || String::from_utf8_lossy(user).contains("safe_directory");
    match found {
        Ok(found) if !found.refused.is_empty() => {
            let but_refused = Settings { refused: vec![], ..found };
            assert_eq!(format!("{but_refused:?}"), format!("{own:?}"));
        }
        Ok(found) => {
            assert!(is_named(), "a stranger's file counts");
            assert_eq!(format!("{found:?}"), format!("{:?}", as_ours.expect("the same file")));
        }
        Err(ConfigError::Refused(_)) => assert!(own.run.strict),
        Err(_) => assert!(is_named() && as_ours.is_err(), "a stranger's file is an error"),
    }
}
