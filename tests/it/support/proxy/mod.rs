//! Owns a proxy in front of the engine's socket, with which a test hits an instant exactly: it
//! holds a chosen call before it reaches the engine or before the engine's answer comes back, cuts
//! the connection, keeps silent, or answers in the engine's place. Everything else goes through.
//! It relies on what makeroom's client does: one request a connection.

mod serve;

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, api, comes_true_within, dockerd};

/// When a call is interfered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The engine has not seen it.
    Before,
    /// The engine has done it, makeroom does not know.
    After,
}

/// What is done to a call.
#[derive(Clone, Debug)]
pub enum Deed {
    /// The connection is closed without an answer.
    Cut(Moment),
    /// There is no answer as long as the proxy lives.
    Silence(Moment),
    /// The engine does not see it; this is the answer.
    Answer(u16, &'static str),
    /// The engine does not see it; the answer begins with the first, and goes on with the second
    /// for so many bytes, or for as long as somebody reads it.
    Flood(u16, &'static str, &'static str, u64),
    /// The engine's own answer with something changed in its JSON.
    Change(fn(&mut Value)),
    /// See [`Proxy::hold`].
    Hold(Moment, Arc<Gate>),
    /// This is done, and the call waits for it.
    Meet(Moment, Meeting),
}

/// What is done at a call.
#[derive(Clone)]
pub struct Meeting(Arc<dyn Fn() + Send + Sync>);

impl Meeting {
    /// Of this act.
    pub fn new(act: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }
}

impl fmt::Debug for Meeting {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Meeting")
    }
}

/// Where one call is held.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    reached: bool,
    open: bool,
    done: bool,
}

/// A call that is held, or will be; let go at drop at the latest.
pub struct Held(Arc<Gate>);

/// The proxy.
pub struct Proxy {
    dir: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    engine: PathBuf,
    rules: Mutex<Vec<(&'static str, Option<usize>, Deed)>>,
    hangs: Mutex<Vec<String>>,
    seen: Mutex<HashMap<String, usize>>,
    /// What came, in the order of its coming, for a failing test to print.
    came: Mutex<String>,
    since: Instant,
    /// How many calls are under way at which something is met.
    met: AtomicUsize,
    /// How many bytes of floods were taken.
    flooded: AtomicU64,
    ended: Mutex<bool>,
    /// How often everything was let through: whoever is kept in silence since before is cut.
    forgotten: Mutex<usize>,
    end: Condvar,
}

impl Proxy {
    /// A proxy in front of the private engine.
    #[must_use]
    pub fn start() -> Self {
        Self::before(dockerd::engine().socket())
    }

    /// A proxy in front of the engine behind this socket.
    #[must_use]
    pub fn before(engine: PathBuf) -> Self {
        let dir = dockerd::directory("makeroom-proxy-");
        let listener = UnixListener::bind(dir.path().join("docker.sock")).expect("a socket");
        let shared = Arc::new(Shared {
            engine,
            rules: Mutex::default(),
            hangs: Mutex::default(),
            seen: Mutex::default(),
            came: Mutex::default(),
            since: Instant::now(),
            met: AtomicUsize::default(),
            flooded: AtomicU64::default(),
            ended: Mutex::default(),
            forgotten: Mutex::default(),
            end: Condvar::new(),
        });
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                let one = Arc::clone(&all);
                if *one.ended.lock().expect("unpoisoned") {
                    return;
                }
                // Either side may go away at any time: that is what is tested.
                thread::spawn(move || client.and_then(|client| serve::serve(client, &one)).ok());
            }
        });
        Self { dir, shared }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// Does this to the `nth` call of this kind, or to each. Kinds: `ping`, `list`, `inspect`, and
    /// the path's last word of all others, as `pause`.
    pub fn on(&self, call: &'static str, nth: Option<usize>, deed: Deed) {
        self.shared.rules.lock().expect("unpoisoned").push((call, nth, deed));
    }

    /// Holds the `nth` call of this kind.
    #[must_use]
    pub fn hold(&self, call: &'static str, nth: usize, moment: Moment) -> Held {
        let gate = Arc::new(Gate::default());
        self.on(call, Some(nth), Deed::Hold(moment, Arc::clone(&gate)));
        Held(gate)
    }

    /// From now on no call that has this in its path is answered, as by an engine that hangs on one
    /// container; `/` is in each.
    pub fn hang(&self, about: &str) {
        self.shared.hangs.lock().expect("unpoisoned").push(about.to_owned());
    }

    /// Lets everything through from now on, and cuts the calls that are kept in silence.
    pub fn forget(&self) {
        self.shared.hangs.lock().expect("unpoisoned").clear();
        self.shared.rules.lock().expect("unpoisoned").clear();
        *self.shared.forgotten.lock().expect("unpoisoned") += 1;
        self.shared.end.notify_all();
    }

    /// How many bytes of all [`Deed::Flood`]s somebody took.
    #[must_use]
    pub fn flooded(&self) -> u64 {
        self.shared.flooded.load(Ordering::Relaxed)
    }

    /// Whether a call is under way that was, or is, held by a [`Deed::Meet`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.shared.met.load(Ordering::Relaxed) > 0
    }

    /// The calls that came and the answers that went back, each with its second since the start.
    #[must_use]
    pub fn report(&self) -> String {
        self.shared.came.lock().expect("unpoisoned").clone()
    }

    /// How many calls of this kind came.
    #[must_use]
    pub fn seen(&self, call: &str) -> usize {
        self.shared.seen.lock().expect("unpoisoned").get(call).copied().unwrap_or(0)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        *self.shared.ended.lock().expect("unpoisoned") = true;
        *self.shared.forgotten.lock().expect("unpoisoned") += 1;
        self.shared.end.notify_all();
        for (_, _, deed) in &*self.shared.rules.lock().expect("unpoisoned") {
            if let Deed::Hold(_, gate) = deed {
                gate.change(|state| state.open = true);
            }
        }
        // Wakes the listener, which looks at `ended`.
        let _ = UnixStream::connect(self.socket());
    }
}

impl Gate {
    fn change(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.state.lock().expect("unpoisoned"));
        self.changed.notify_all();
    }

    fn pass(&self) {
        self.change(|state| state.reached = true);
        let state = self.state.lock().expect("unpoisoned");
        drop(self.changed.wait_while(state, |state| !state.open).expect("unpoisoned"));
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&GateState) -> bool) {
        let is_there =
            comes_true_within(PATIENCE, || is_so(&self.state.lock().expect("unpoisoned")));
        assert!(is_there, "not within {PATIENCE:?}: the held call is {what}");
    }
}

impl Held {
    /// Waits until the call is there.
    #[track_caller]
    pub fn wait(&self) {
        self.0.wait("reached", |state| state.reached);
    }

    /// Lets the call go, and waits until the engine has answered it.
    #[track_caller]
    pub fn release(&self) {
        self.0.change(|state| state.open = true);
        self.0.wait("done", |state| state.done);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.change(|state| state.open = true);
    }
}

impl Shared {
    fn note(&self, what: fmt::Arguments<'_>) {
        let at = self.since.elapsed().as_secs_f64();
        let mut came = self.came.lock().expect("unpoisoned");
        writeln!(came, "{at:9.3} {what}").expect("a string takes all");
    }

    fn pick(&self, path: &str) -> Option<Deed> {
        let call = call_of(path);
        let mut seen = self.seen.lock().expect("unpoisoned");
        let count = seen.entry(call.to_owned()).or_default();
        *count += 1;
        if self.hangs.lock().expect("unpoisoned").iter().any(|about| path.contains(about)) {
            return Some(Deed::Silence(Moment::Before));
        }
        let rules = self.rules.lock().expect("unpoisoned");
        let picked = rules
            .iter()
            .find(|(kind, nth, _)| *kind == call && nth.is_none_or(|nth| nth == *count));
        picked.map(|(_, _, deed)| deed.clone())
    }

    fn wait_for_the_end(&self) {
        let forgotten = self.forgotten.lock().expect("unpoisoned");
        let before = *forgotten;
        drop(self.end.wait_while(forgotten, |forgotten| *forgotten == before).expect("unpoisoned"));
    }
}

/// The kind of a call, by its path.
fn call_of(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    match path.rsplit('/').next().unwrap_or_default() {
        "_ping" => "ping",
        "json" if path.ends_with("/containers/json") => "list",
        "json" => "inspect",
        verb => verb,
    }
}
