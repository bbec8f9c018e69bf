//! `makeroom recover --forget`: gives up a lease whose holder is dead and whose engine does not
//! come back. Changes nothing but what is recorded, and prints what a person can type for each
//! thing that the lease still had.

use crate::{
    config::Settings,
    core::{
        lease::state::{HeldTarget, LeaseState},
        machine::way::Prefix,
        text,
    },
    host::swap,
    lease::{
        control_socket,
        journal::{Journal, Looked},
        leases::Leases,
        state_dir::StateDir,
    },
    room::machine::Machine,
};

/// Forgets the lease; gives what is to be printed.
///
/// # Errors
/// Why it is kept.
pub(super) async fn forget(
    state: &StateDir,
    lease: &str,
    settings: &Settings,
) -> Result<String, String> {
    let lock =
        state.lock_later(settings.room.restore_timeout).await.map_err(|error| error.to_string())?;
    let journal = match Journal::look(state, lease).map_err(|error| error.to_string())? {
        Looked::Dead(journal) => *journal,
        Looked::Live(_) => {
            return Err(
                "its holder lives; it ends with its build, or with `makeroom stop`".to_owned()
            );
        }
        Looked::Gone => {
            return Err("there is no such lease; `makeroom status` shows the full ids".to_owned());
        }
    };
    let held = journal.state().clone();
    let others = Leases::look(state, &lock, Some(lease)).map_err(|error| error.to_string())?;
    if let Some(error) = others.why_unseen() {
        return Err(error.to_string());
    }
    if let Some(shared) = shared(&held, &others) {
        return Err(format!(
            "`{}` is another lease's as well: end that one first",
            text::printable(&shared)
        ));
    }
    let machine = Machine::recorded(held.opened.as_ref(), settings.room.vm_shell.as_ref(), lease);
    let mut lines: Vec<String> =
        held.targets.values().map(|held| of_target(held, &machine)).collect();
    for path in held.areas.keys() {
        if let Some(why) = swap::why_needed(&machine.shell, path).await {
            return Err(format!("the swap area {} {why}", text::printable(path)));
        }
        let act = format!("sudo rm {}", text::shell_word(path));
        let whole = held.host().map_or(act.clone(), |way| in_host(&way.prefix(), &act));
        lines.push(format!("swap area {}: {whole}", text::printable(path)));
    }
    journal.remove().map_err(|error| error.to_string())?;
    // A leftover that nothing reads; its keeper is dead.
    let _ = control_socket::remove(state.leases(), lease);
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// What this lease has together with another one, whatever becomes of that.
fn shared(held: &LeaseState, others: &Leases) -> Option<String> {
    let target = held
        .targets
        .values()
        .find(|held| others.has_target(&held.target.id))
        .map(|held| held.target.name.clone());
    target.or_else(|| held.areas.keys().find(|path| others.has_area(path, held.host())).cloned())
}

fn of_target(held: &HeldTarget, machine: &Machine) -> String {
    let HeldTarget { target, method, .. } = held;
    let act = target.undo_by_hand(*method);
    let engine = machine.endpoint().map_or_else(
        |_| String::new(),
        |endpoint| format!("--host {} ", text::shell_word(&endpoint.url())),
    );
    format!("{}: docker {engine}{act}", text::printable(&target.name))
}

fn in_host(Prefix { words, .. }: &Prefix, act: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| text::shell_word(word)).collect();
    format!("{} {act}", words.join(" "))
}
