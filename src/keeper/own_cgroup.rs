//! Owns when the keeper gets a cgroup of its own: once the first thing is about to be changed,
//! beside whatever else it does. That it gets none is no reason to fail. Runs in the keeper.

use std::cell::RefCell;

use crate::{
    core::{
        machine::own_cgroup::Stays,
        run::{
            note::{Level, Note},
            wire::FromKeeper,
        },
        text,
    },
    host::cgroup_of_own::{self, NotEntered, OwnCgroup},
    keeper::operations::Tell,
    lease::journal::Begun,
};

/// Waits for the first change, and moves; never ends.
pub(crate) async fn follow(
    begun: Begun,
    lease: &str,
    own: &RefCell<Option<OwnCgroup>>,
    tell: Tell<'_>,
) {
    begun.wait().await;
    // Two of one lease can be there at once: one that was killed ends in its own time.
    let pid = std::process::id();
    let said = match cgroup_of_own::enter(pid, &format!("keeper-{lease}-{pid}")).await {
        Ok(entered) => {
            let text = format!("the keeper is in a cgroup of its own: {}", entered.name);
            own.replace(Some(entered));
            Some(text)
        }
        Err(NotEntered::Stays(Stays::NoCgroups)) => None,
        Err(error) => Some(format!(
            "the keeper stays in the build's cgroup: {}",
            text::printable(&error.to_string())
        )),
    };
    if let Some(text) = said {
        tell(FromKeeper::Note(Note::new(Level::Detail, text)));
    }
    std::future::pending::<()>().await;
}
