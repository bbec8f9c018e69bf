//! Owns by what a target is known that came in the place of a removed one. Pure.

use crate::core::target::{
    kind::Kind,
    recorded::Target,
    seen::Listed,
    swarm_service::{SERVICE_NAME, TASK_NAME},
};

/// Whether this one came in the place of a removed target: it has its name, as compose's have, or is
/// the next task in its place. Another one of the same service can be a replica that was there all
/// the time.
#[must_use]
pub fn is_in_place_of(listed: &Listed, removed: &Target) -> bool {
    let label = |key: &str| listed.labels.get(key).map(String::as_str);
    let is_named = match removed.kind() {
        Kind::Container => listed.names.contains(&removed.name),
        Kind::SwarmService => label(SERVICE_NAME) == Some(&removed.name),
    };
    let is_next_task =
        label(TASK_NAME).and_then(slot).is_some_and(|own| slot(&removed.name) == Some(own));
    listed.id != removed.id && (is_named || is_next_task)
}

/// The last part of a task's name is its own, the rest is its place's.
fn slot(task: &str) -> Option<&str> {
    task.rsplit_once('.').map(|(slot, _)| slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::{
        recorded::{Scaled, Undo},
        samples,
        start_order::COMPOSE_SERVICE,
    };

    #[test]
    fn what_came_in_the_place_of_a_removed_target_is_known_by_its_name_or_its_slot() {
        let target = |name: &str| Target {
            name: name.to_owned(),
            id: "gone".to_owned(),
            ..samples::target("gone")
        };
        let service = Undo::SwarmService(Scaled { replicas: 2, tasks: vec![] });
        let service = Target { undo: service, ..target("web") };
        let listed = |id: &str, name: &str, labels: &[(&str, &str)]| Listed {
            id: id.to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ..samples::listed(name)
        };
        let task = |name: &str| listed("new", name, &[(TASK_NAME, name), (SERVICE_NAME, "web")]);
        for (listed, removed, expected) in [
            (listed("new", "web", &[]), target("web"), true),
            (listed("gone", "web", &[]), target("web"), false),
            (listed("new", "p-web-2", &[(COMPOSE_SERVICE, "web")]), target("p-web-1"), false),
            (task("web.1.b"), target("web.1.a"), true),
            (task("web.2.b"), target("web.1.a"), false),
            (listed("new", "x.1.b", &[]), target("x.1.a"), false),
            (task("web.1.b"), service.clone(), true),
            (listed("new", "web", &[]), service, false),
        ] {
            assert_eq!(is_in_place_of(&listed, &removed), expected, "{listed:?} for {removed:?}");
        }
    }
}
