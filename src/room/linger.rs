//! Owns carrying on for lingering leases: a run that has joined all of one lingers itself
//! afterwards, and ends the one before. Runs in the keeper.

use std::io::Write as _;

use crate::{
    core::{
        lease::state::LeaseState,
        run::{
            note::{Level, Note},
            wire::{self, ToKeeper},
        },
    },
    lease::{control_socket, journal::Journal, leases::Leases},
    room::context::Context,
};

/// Ends the lingering leases of which this run has joined everything: it lingers itself
/// afterwards, so that of many builds in a row the last one's clock counts, and one lease is
/// there to be stopped. They hand over what they have.
pub(crate) fn carry_on(context: &Context<'_>, journal: &Journal, leases: &Leases) {
    if context.request.settings.linger.is_none() {
        return;
    }
    let ours =
        leases.holding().filter(|(_, state)| state.lingers() && has_all(journal.state(), state));
    for (lease, _) in ours {
        let told = control_socket::connect(context.state.leases(), lease)
            .and_then(|mut stream| stream.write_all(wire::line(&ToKeeper::Release).as_bytes()));
        if let Err(error) = told {
            // It ends by its own clock then.
            context
                .note(Note::new(Level::Detail, format!("the lease {lease} lingers on: {error}")));
        }
    }
}

/// Whether nothing of `other` has to be given back while `own` is held.
fn has_all(own: &LeaseState, other: &LeaseState) -> bool {
    let has_area = |path: &String| own.areas.get(path).is_some_and(|held| !held.removing);
    other.host() == own.host()
        && other.targets.keys().all(|id| own.targets.contains_key(id))
        && other.areas.keys().all(has_area)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::lease::{record::Area, state::HeldArea};

    #[test]
    fn a_lease_is_carried_on_only_where_nothing_of_it_would_be_given_back() {
        let area = |removing| HeldArea {
            area: Area { path: "/s".to_owned(), size_bytes: 1, label: "l".to_owned() },
            removing,
        };
        let with_area = |removing| LeaseState {
            areas: [("/s".to_owned(), area(removing))].into(),
            ..LeaseState::default()
        };
        let nothing = LeaseState::default();
        for (own, other, expected) in [
            (&nothing, &nothing, true),
            (&nothing, &with_area(false), false),
            (&with_area(false), &with_area(false), true),
            (&with_area(true), &with_area(false), false),
            (&with_area(false), &nothing, true),
        ] {
            assert_eq!(has_all(own, other), expected, "{own:?} of {other:?}");
        }
    }
}
