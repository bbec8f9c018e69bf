//! Owns what a container's labels and settings say of how it may be taken. Pure.

use std::collections::HashMap;

use crate::core::target::swarm_service;

/// Podman's label with the systemd unit that a container is of (podman-generate-systemd(1),
/// podman-systemd.unit(5)). Ending the container ends the unit, or has systemd start another one, so
/// it is never stopped.
pub const SYSTEMD_UNIT: &str = "PODMAN_SYSTEMD_UNIT";

/// Why a container that was stopped could not be started again as the same one, in the words for a
/// person who wanted it stopped. `auto_remove`: it disappears when it stops (`--rm`).
#[must_use]
pub(crate) fn why_never_stopped(
    labels: &HashMap<String, String>,
    auto_remove: bool,
) -> Option<&'static str> {
    if auto_remove {
        Some("the engine removes it when it ends (--rm)")
    } else if labels.contains_key(SYSTEMD_UNIT) {
        Some("its systemd unit would end with it, or start another one")
    } else if labels.contains_key(swarm_service::TASK)
        && swarm_service::service_of(labels).is_none()
    {
        Some(swarm_service::WHY_NEVER_STOPPED)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_on_exit_or_replaced_by_others_does_not_come_back() {
        let with = |label: &str| HashMap::from([(label.to_owned(), "x".to_owned())]);
        let plain = HashMap::new();
        assert_eq!(why_never_stopped(&plain, false), None);
        assert!(why_never_stopped(&plain, true).is_some());
        assert!(why_never_stopped(&with(SYSTEMD_UNIT), false).is_some());
        let mut task = with(swarm_service::TASK);
        assert!(why_never_stopped(&task, false).is_some(), "of no service");
        task.insert(swarm_service::SERVICE.to_owned(), "s".to_owned());
        assert_eq!(why_never_stopped(&task, false), None, "its service can be");
    }
}
