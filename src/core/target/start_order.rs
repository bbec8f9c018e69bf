//! Owns the order in which targets are restored: what compose's `depends_on` names comes first, and
//! in whose namespaces others live, and what watches others last. And the order in which those who
//! live with others are stopped. Pure.

use crate::core::target::{lives_in::is_called, recorded::Target, watcher::Watch};

/// Compose's label with the project a container belongs to.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Compose's label with the service a container belongs to.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// Compose's label with what a service depends on: `service:condition:restart,…`.
pub const COMPOSE_DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// The services a compose label `depends_on` names; its fields are one to three, its order random.
#[must_use]
pub fn depends_on(label: &str) -> Vec<String> {
    label
        .split(',')
        .filter_map(|entry| entry.split(':').next())
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What is restored at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Which: indices into the targets.
    pub indices: Vec<usize>,
    /// How these watch others, or need what does.
    pub watch: Option<Watch>,
}

/// The levels of these targets: each is restored after all before it. What watches others comes last,
/// with what needs it, and enforcers after that. Services that depend on each other in a circle share
/// a level.
#[must_use]
pub fn levels(targets: &[&Target]) -> Vec<Level> {
    let needs = |index: usize, other: usize| {
        let (one, other) = (targets[index], targets[other]);
        depends(one, other) || lives_with(one, other)
    };
    let mut watches: Vec<Option<Watch>> = targets.iter().map(|target| target.watch).collect();
    // Who needs somebody that comes late comes later still.
    while let Some((index, watch)) = (0..targets.len()).find_map(|index| {
        let of = |other: usize| needs(index, other).then_some(watches[other]).flatten();
        let latest = (0..targets.len()).filter_map(of).max();
        (latest > watches[index]).then_some((index, latest))
    }) {
        watches[index] = watch;
    }
    let mut levels = Vec::new();
    for watch in [None, Some(Watch::Socket), Some(Watch::Enforcer)] {
        let of_watch = (0..targets.len()).filter(|&index| watches[index] == watch).collect();
        let groups = in_order(of_watch, needs);
        levels.extend(groups.into_iter().map(|indices| Level { indices, watch }));
    }
    levels
}

/// Groups of indices into `targets` in the order of stopping: who lives in the namespaces of another
/// one ends before it, in its own time.
#[must_use]
pub fn stop_levels(targets: &[&Target]) -> Vec<Vec<usize>> {
    in_order((0..targets.len()).collect(), |index, other| {
        lives_with(targets[other], targets[index])
    })
}

/// Whether compose says so.
fn depends(one: &Target, other: &Target) -> bool {
    one.project.is_some()
        && one.project == other.project
        && other.service.as_ref().is_some_and(|service| {
            one.depends_on.contains(service) && one.service.as_ref() != Some(service)
        })
}

/// Whether it lives in a namespace of the other one.
#[must_use]
pub fn lives_with(one: &Target, other: &Target) -> bool {
    let names = std::slice::from_ref(&other.name);
    one.id != other.id && one.lives_in.iter().any(|of| is_called(of, &other.id, names))
}

/// Groups of these, each after all that it needs; a circle shares the last one.
fn in_order(mut waiting: Vec<usize>, needs: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut groups = Vec::new();
    while !waiting.is_empty() {
        let (mut ready, later): (Vec<_>, Vec<_>) =
            waiting.iter().partition(|&&index| !waiting.iter().any(|&other| needs(index, other)));
        waiting = later;
        if ready.is_empty() {
            ready = std::mem::take(&mut waiting);
        }
        groups.push(ready);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::samples;

    fn target(project: &str, service: &str, depends: &str) -> Target {
        Target {
            id: format!("{project}{service}"),
            name: service.to_owned(),
            project: (!project.is_empty()).then(|| project.to_owned()),
            service: Some(service.to_owned()),
            depends_on: depends_on(depends),
            ..samples::target(service)
        }
    }

    fn order(all: &[Target]) -> Vec<Vec<&str>> {
        let targets: Vec<_> = all.iter().collect();
        levels(&targets)
            .into_iter()
            .map(|level| level.indices.into_iter().map(|index| all[index].name.as_str()).collect())
            .collect()
    }

    #[test]
    fn the_label_is_read_with_one_two_or_three_fields() {
        assert_eq!(
            depends_on("db:service_healthy:true,cache:service_started,mq"),
            ["db", "cache", "mq"]
        );
        assert!(depends_on("").is_empty() && depends_on(",:").is_empty());
    }

    #[test]
    fn what_others_depend_on_comes_first() {
        let all = [
            target("p", "web", "api"),
            target("p", "db", ""),
            target("p", "api", "db:service_healthy:true"),
            target("p", "cache", ""),
        ];
        assert_eq!(order(&all), [vec!["db", "cache"], vec!["api"], vec!["web"]]);
    }

    #[test]
    fn the_same_service_of_another_project_is_nobodys_dependency() {
        let all = [target("p", "web", "db"), target("q", "db", ""), target("", "db", "")];
        assert_eq!(order(&all), [vec!["web", "db", "db"]]);
    }

    #[test]
    fn who_lives_in_anothers_namespaces_is_started_after_it_and_stopped_before_it() {
        let living = |name: &str, of: &[&str]| Target {
            lives_in: of.iter().map(ToString::to_string).collect(),
            ..samples::target(name)
        };
        let all = [
            living("worker", &["id-of-app"]),
            living("plain", &[]),
            living("app", &["vpn", "id-of-vpn"]),
            living("vpn", &[]),
            living("far", &["id-of-nobody"]),
        ];
        assert_eq!(order(&all), [vec!["plain", "vpn", "far"], vec!["app"], vec!["worker"]]);
        let targets: Vec<_> = all.iter().collect();
        assert_eq!(stop_levels(&targets), [vec![0, 1, 4], vec![2], vec![3]]);
    }

    #[test]
    fn replicas_of_one_service_are_restored_together_and_circles_end() {
        let all = [
            target("p", "a", "b"),
            target("p", "b", "a"),
            target("p", "c", "c"),
            target("p", "c", "c"),
        ];
        assert_eq!(order(&all), [vec!["c", "c"], vec!["a", "b"]]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn what_watches_others_comes_last_with_what_needs_it_and_enforcers_after_that() {
        let watching = |service, depends, watch| Target {
            watch: Some(watch),
            ..target("p", service, depends)
        };
        let all = [
            watching("autoheal", "", Watch::Enforcer),
            watching("proxy", "", Watch::Socket),
            target("p", "web", "proxy"),
            target("p", "app", "web"),
            target("p", "db", ""),
            target("q", "web", "proxy"),
            watching("portainer", "db", Watch::Socket),
        ];
        assert_eq!(
            order(&all),
            [
                vec!["db", "web"],
                vec!["proxy", "portainer"],
                vec!["web"],
                vec!["app"],
                vec!["autoheal"]
            ]
        );
    }
}
