//! Owns running the hooks: one after the other, beside everything else, each in a process group of
//! its own and for a limited time. What they say and how they fail is a note; nothing waits for
//! them but the keeper's own exit. Runs in the keeper, and in `recover` and `stop` for leases whose
//! holder is dead.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::Receiver,
    process::Command,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    core::{
        few::Few,
        lease::state::LeaseState,
        run::{
            hook::{Commands, Event, Facts, Whose},
            note::{Level, Note},
            results::Back,
            wire::FromKeeper,
        },
        text::{printable, size, span},
    },
    host::{kernel::set_oom_score, limits::give_back_files, shell::ProcessGroup},
    room::context::Tell,
};

/// Longer than any annotation takes, and no longer than a person waits for the end of a run.
const LIMIT: Duration = Duration::from_secs(10);
/// Who has more to say has a log of its own.
const MOST_BYTES: usize = 8 << 10;

/// The hooks of one lease.
#[derive(Debug)]
pub struct Hooks {
    commands: Commands,
    whose: Whose,
    sender: UnboundedSender<Note>,
    notes: UnboundedReceiver<Note>,
    last: Option<JoinHandle<()>>,
}

impl Hooks {
    /// None of them runs yet.
    #[must_use]
    pub fn new(commands: Commands, whose: Whose) -> Self {
        let (sender, notes) = unbounded_channel();
        Self { commands, whose, sender, notes, last: None }
    }

    /// Begins the hook of this event, after the one before it has ended. Does not wait.
    pub fn begin(&mut self, event: Event, facts: &Facts) {
        let Some(text) = self.commands.of(event) else { return };
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(text)
            .envs(facts.variables(event, &self.whose))
            .stdin(Stdio::null())
            .process_group(0);
        // SAFETY: one small write to a file of the kernel's, and a limit; the keeper has one
        // thread. The keeper is the last that the kernel kills, and a hook is no part of it.
        unsafe {
            command.pre_exec(|| {
                set_oom_score("0");
                give_back_files();
                Ok(())
            })
        };
        let (sender, before) = (self.sender.clone(), self.last.take());
        self.last = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // One that panicked is over as well.
                let _ = before.await;
            }
            for note in run(event.setting(), command).await {
                // Nobody listens any more: then nobody is told.
                let _ = sender.send(note);
            }
        }));
    }

    /// The next thing to tell; waits for ever where there is none. May be dropped and asked again.
    pub async fn next(&mut self) -> Note {
        match self.notes.recv().await {
            Some(note) => note,
            // Never: this end has a sender as well.
            None => std::future::pending().await,
        }
    }

    /// Waits until all that were begun have ended, and tells the rest.
    pub async fn finish(&mut self, tell: Tell<'_>) {
        if let Some(last) = self.last.take() {
            let _ = last.await;
        }
        while let Ok(note) = self.notes.try_recv() {
            tell(FromKeeper::Note(note));
        }
    }
}

/// Runs the hook for what was put back of a lease whose holder is dead, with the command that is
/// set now.
pub async fn after_the_dead(
    commands: &Commands,
    state_dir: &Path,
    held: &LeaseState,
    back: &Back,
    tell: Tell<'_>,
) {
    let Some((opened, facts)) = held.opened.as_ref().zip(Facts::of_back(held, back, None)) else {
        return;
    };
    let state_dir = state_dir.to_string_lossy().into_owned();
    let whose = Whose { lease: opened.lease.clone(), state_dir, program: opened.program.clone() };
    let mut hooks = Hooks::new(commands.clone(), whose);
    hooks.begin(Event::Restored, &facts);
    hooks.finish(tell).await;
}

async fn run(name: &str, command: Command) -> Vec<Note> {
    let mut said = Vec::new();
    let failed = match listen(command, &mut said).await {
        Ok(Some(status)) if status.success() => None,
        Ok(Some(status)) => Some(format!("{name} failed: {status}")),
        Ok(None) => Some(format!("{name} was ended after {}", span(LIMIT))),
        Err(error) => Some(format!("{name} cannot be run: {error}")),
    };
    let cut = (said.len() > MOST_BYTES).then(|| {
        format!("{name} said more than {}: the rest is left out", size(MOST_BYTES as u64))
    });
    said.truncate(MOST_BYTES);
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut few = Few::default();
    let lines = said
        .lines()
        .filter(|line| !line.trim().is_empty() && few.may())
        .map(|line| format!("{name}: {}", printable(line)));
    let mut notes: Vec<Note> = lines.map(|line| Note::new(Level::Info, line)).collect();
    let rest = few.rest().map(|rest| format!("{name}: {rest}"));
    notes.extend(rest.into_iter().chain(cut).map(|line| Note::new(Level::Info, line)));
    notes.extend(failed.map(|failed| Note::new(Level::Warning, failed)));
    notes
}

/// How it ended; `None` where it did not within its time.
async fn listen(mut command: Command, said: &mut Vec<u8>) -> io::Result<Option<ExitStatus>> {
    let (output, its) = io::pipe()?;
    command.stdout(its.try_clone()?).stderr(its);
    // Dropped before it has ended, it is killed with its group.
    let mut hook = ProcessGroup(command.spawn()?);
    // With it goes our copy of the pipe's other end.
    drop(command);
    let mut output = Receiver::from_owned_fd(OwnedFd::from(output))?;
    let mut buffer = [0; 4096];
    let keep = |said: &mut Vec<u8>, bytes: &[u8]| {
        // One more tells that there was more.
        let left = MOST_BYTES + 1 - said.len();
        said.extend(&bytes[..bytes.len().min(left)]);
        said.len() <= MOST_BYTES
    };
    let status = {
        let ending = timeout(LIMIT, hook.0.wait());
        tokio::pin!(ending);
        let mut is_open = true;
        loop {
            tokio::select! {
                status = &mut ending => break status.ok().transpose()?,
                length = output.read(&mut buffer), if is_open => match length? {
                    0 => is_open = false,
                    length => drop(keep(said, &buffer[..length])),
                },
            }
        }
    };
    // What it wrote last; something that it left behind may write for ever.
    while let Ok(length) = output.try_read(&mut buffer)
        && length > 0
        && keep(said, &buffer[..length])
    {}
    Ok(status)
}
