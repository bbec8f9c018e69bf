//! Owns what the command itself works with: which of the listed containers it enters, names or
//! needs, and so are never taken from it. Pure; `core::run::use_of_command` reads it off the words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::{
    target::{
        seen::Listed,
        selector::Selector,
        start_order::{COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE, depends_on},
    },
    text,
};

/// Compose's label with the directory of a project.
const COMPOSE_DIRECTORY: &str = "com.docker.compose.project.working_dir";
/// Compose's label of a container that `run` made; its value is `True` there.
const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";

/// What a command works with, by its words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandUse {
    /// Containers that it runs something in: names, ids, or beginnings of ids.
    pub entered: Vec<String>,
    /// Those that it names otherwise.
    pub named: Vec<String>,
    /// Compose's projects.
    pub projects: Vec<ProjectUse>,
    /// It builds in the engine, or in a builder.
    pub builds: bool,
}

/// What a command of compose works with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectUse {
    /// The project's name, where that is told.
    pub name: Option<String>,
    /// Where it may be otherwise: the directories of it that count, the first one that has
    /// containers is it.
    pub directories: Vec<String>,
    /// The services that are named; none: all of them.
    pub services: Vec<String>,
    /// Something is run in them.
    pub enters: bool,
    /// Its files, where they are named.
    pub files: Vec<String>,
    /// When the last of its files was changed, in seconds since 1970.
    pub changed_at: Option<i64>,
}

/// Why a container is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The command runs something in it.
    Entered,
    /// The command names it.
    Named,
    /// What the command names depends on it.
    Needed,
    /// Its project's files have changed since what the command names was made: it may.
    MayBeNeeded,
    /// It is a builder: whatever builds in the engine builds there.
    Builder,
}

impl Why {
    /// What it is to the command, in a clause.
    #[must_use]
    pub fn clause(self) -> &'static str {
        match self {
            Self::Entered => "the command enters it",
            Self::Named => "the command names it",
            Self::Needed => "the command needs it (depends_on)",
            Self::MayBeNeeded => {
                "the command may need it, the compose file has changed since its services were made"
            }
            Self::Builder => "it is a builder, and the command may build in it",
        }
    }

    /// Whether the command works with it in any case.
    #[must_use]
    pub fn is_certain(self) -> bool {
        matches!(self, Self::Entered | Self::Named | Self::Needed)
    }

    /// The line about such a container.
    #[must_use]
    pub fn told(self, name: &str) -> String {
        format!("`{}` is left out: {}", text::printable(name), self.clause())
    }
}

/// Which of the listed containers are left to the command, by their place in the list. A builder is
/// paused only where it is named in full, and the command is known not to build.
#[must_use]
pub fn used(of: &CommandUse, listed: &[Listed], pause: &[Selector]) -> BTreeMap<usize, Why> {
    let mut found = BTreeMap::new();
    let mut add = |index: usize, why: Why| {
        let known = found.entry(index).or_insert(why);
        *known = why.min(*known);
    };
    for (index, one) in listed.iter().enumerate() {
        let is_called = |words: &[String]| words.iter().any(|word| is_called(word, one));
        if is_called(&of.entered) {
            add(index, Why::Entered);
        } else if is_called(&of.named) {
            add(index, Why::Named);
        }
        let is_named = || pause.iter().any(|selector| one.names.contains(&selector.to_string()));
        if is_builder(one) && (of.builds || !is_named()) {
            add(index, Why::Builder);
        }
    }
    for project in &of.projects {
        for (index, why) in of_project(project, listed) {
            add(index, why);
        }
    }
    with_dependencies(&mut found, listed);
    found
}

/// A client takes a name, or as much of an id as is no other's.
fn is_called(word: &str, listed: &Listed) -> bool {
    let is_begin = word.len() >= 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    listed.names.iter().any(|name| name == word)
        || is_begin && listed.id.starts_with(word)
        || word == listed.id
}

/// Buildx's own builders, and what else of it is known by its image or its name.
fn is_builder(listed: &Listed) -> bool {
    let image = listed.image.as_deref().unwrap_or_default();
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let base = last.split(':').next().unwrap_or_default();
    let is_named = |begin: &&str| listed.names.iter().any(|name| name.starts_with(*begin));
    matches!(base, "buildkit" | "buildkitd")
        || ["buildx_buildkit_", "dagger-engine-"].iter().any(is_named)
}

fn of_project(project: &ProjectUse, listed: &[Listed]) -> Vec<(usize, Why)> {
    let members = members(project, listed);
    let why = if project.enters { Why::Entered } else { Why::Named };
    if project.services.is_empty() {
        return members.into_iter().map(|index| (index, why)).collect();
    }
    let of_service = |service: &String| -> Vec<usize> {
        let is_of = |index: &&usize| label(&listed[**index], COMPOSE_SERVICE) == Some(service);
        members.iter().filter(is_of).copied().collect()
    };
    let (mut found, mut is_known) = (Vec::new(), true);
    for service in &project.services {
        let all = of_service(service);
        let is_newer = |index: &usize| {
            let made = listed[*index].created_at;
            project.changed_at.zip(made).is_some_and(|(changed, made)| changed > made)
        };
        // What one that is not there, or is of another file, depends on stands in no label.
        is_known &= !all.is_empty() && !all.iter().any(is_newer);
        found.extend(all.into_iter().map(|index| (index, why)));
    }
    if !is_known {
        found.extend(members.into_iter().map(|index| (index, Why::MayBeNeeded)));
    }
    found
}

/// The containers of that project.
fn members(project: &ProjectUse, listed: &[Listed]) -> Vec<usize> {
    let those = |is_member: &dyn Fn(&Listed) -> bool| -> Vec<usize> {
        (0..listed.len()).filter(|&index| is_member(&listed[index])).collect()
    };
    if let Some(name) = &project.name {
        return those(&|one| label(one, COMPOSE_PROJECT) == Some(name));
    }
    let at = |directory: &String| {
        let name = project_name(directory);
        those(&|one| match label(one, COMPOSE_DIRECTORY) {
            Some(of) => of.trim_end_matches('/') == directory.trim_end_matches('/'),
            None => !name.is_empty() && label(one, COMPOSE_PROJECT) == Some(&name),
        })
    };
    project.directories.iter().map(at).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The name that compose gives a project in this directory (compose-spec, "Name top-level element").
fn project_name(directory: &str) -> String {
    let base = directory.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let allowed = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let name: String = base.to_lowercase().chars().filter(allowed).collect();
    name.trim_start_matches(['-', '_']).to_owned()
}

fn with_dependencies(found: &mut BTreeMap<usize, Why>, listed: &[Listed]) {
    let mut next: Vec<usize> =
        found.iter().filter(|(_, why)| **why != Why::Builder).map(|(index, _)| *index).collect();
    while let Some(index) = next.pop() {
        let one = &listed[index];
        let Some(project) = label(one, COMPOSE_PROJECT) else { continue };
        let needs =
            label(one, COMPOSE_DEPENDS_ON).map(|value| depends_on(value)).unwrap_or_default();
        for (other, dependency) in listed.iter().enumerate() {
            let is_needed = label(dependency, COMPOSE_PROJECT) == Some(project)
                && label(dependency, COMPOSE_ONEOFF).is_none_or(|is| is != "True")
                && label(dependency, COMPOSE_SERVICE).is_some_and(|one| needs.contains(one));
            if is_needed && !found.contains_key(&other) {
                found.insert(other, Why::Needed);
                next.push(other);
            }
        }
    }
}

fn label<'a>(listed: &'a Listed, key: &str) -> Option<&'a String> {
    listed.labels.get(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::samples;

    fn service(project: &str, name: &str, needs: &str) -> Listed {
        let labels = [
            (COMPOSE_PROJECT, project),
            (COMPOSE_SERVICE, name),
            (COMPOSE_DEPENDS_ON, needs),
            (COMPOSE_DIRECTORY, &format!("/home/me/{project}")),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Listed { labels, created_at: Some(100), ..samples::listed(&format!("{project}-{name}-1")) }
    }

    fn builder(name: &str, image: &str) -> Listed {
        Listed { image: Some(image.to_owned()), ..samples::listed(name) }
    }

    fn told(of: &CommandUse, listed: &[Listed], pause: &[&str]) -> Vec<String> {
        let pause: Vec<Selector> = pause.iter().map(|text| text.parse().expect(text)).collect();
        let found = used(of, listed, &pause);
        found.iter().map(|(index, why)| format!("{} {why:?}", listed[*index].name())).collect()
    }

    #[test]
    fn what_is_entered_or_named_is_left_out_with_all_that_it_depends_on() {
        let listed = [
            service("shop", "web", "api:service_started:true"),
            service("shop", "api", "db:service_healthy:true"),
            service("shop", "db", ""),
            service("shop", "mon", ""),
            service("other", "db", ""),
            Listed { id: "ab12cd".to_owned(), ..samples::listed("plain") },
        ];
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (of, expected) in [
            (CommandUse::default(), &[][..]),
            (
                CommandUse { entered: words(&["plain"]), ..CommandUse::default() },
                &["plain Entered"],
            ),
            (CommandUse { named: words(&["ab1"]), ..CommandUse::default() }, &["plain Named"]),
            (CommandUse { named: words(&["a", "plai"]), ..CommandUse::default() }, &[]),
            (
                CommandUse { entered: words(&["shop-api-1"]), ..CommandUse::default() },
                &["shop-api-1 Entered", "shop-db-1 Needed"],
            ),
        ] {
            assert_eq!(told(&of, &listed, &["*"]), expected, "{of:?}");
        }
    }

    #[test]
    fn a_projects_services_are_told_by_its_name_or_by_where_it_is() {
        let listed = [
            service("shop", "web", "db:service_healthy:true"),
            service("shop", "db", ""),
            service("shop", "mon", ""),
            service("other", "web", ""),
        ];
        let web = ProjectUse { services: vec!["web".to_owned()], ..ProjectUse::default() };
        let at = |directories: &[&str]| ProjectUse {
            directories: directories.iter().map(ToString::to_string).collect(),
            ..web.clone()
        };
        let named = ProjectUse { name: Some("shop".to_owned()), ..web.clone() };
        let both = &["shop-web-1 Named", "shop-db-1 Needed"][..];
        let all = ["shop-web-1 Named", "shop-db-1 Named", "shop-mon-1 Named"];
        let any = ["shop-web-1 Named", "shop-db-1 MayBeNeeded", "shop-mon-1 MayBeNeeded"];
        let none =
            ["shop-web-1", "shop-db-1", "shop-mon-1"].map(|name| format!("{name} MayBeNeeded"));
        let none: Vec<&str> = none.iter().map(String::as_str).collect();
        for (project, expected) in [
            (named.clone(), both),
            (at(&["/home/me/shop/src", "/home/me/shop/", "/home/me"]), both),
            (at(&["/srv/elsewhere"]), &[]),
            (ProjectUse { services: vec![], ..named.clone() }, &all),
            (ProjectUse { changed_at: Some(100), ..named.clone() }, both),
            // Nobody knows what they depend on now.
            (ProjectUse { changed_at: Some(101), ..named.clone() }, &any),
            (ProjectUse { services: vec!["new".to_owned()], ..named }, &none),
        ] {
            let of = CommandUse { projects: vec![project], ..CommandUse::default() };
            assert_eq!(told(&of, &listed, &["*"]), expected, "{of:?}");
        }
        assert_eq!(project_name("/home/me/My Shop.io/"), "myshopio");
    }

    #[test]
    fn a_builder_is_left_out_unless_it_is_named_and_nothing_is_built() {
        let listed = [
            builder("buildx_buildkit_b0", "moby/buildkit:buildx-stable-1"),
            builder("own", "registry.example:5000/moby/buildkit@sha256:00"),
            builder("earthly-buildkitd", "docker.io/earthly/buildkitd:v1"),
            builder("web", "me/buildkit-ui:1"),
        ];
        let builds = CommandUse { builds: true, ..CommandUse::default() };
        let all = ["buildx_buildkit_b0 Builder", "own Builder", "earthly-buildkitd Builder"];
        assert_eq!(told(&CommandUse::default(), &listed, &["*", "buildx_*"]), all);
        assert_eq!(told(&CommandUse::default(), &listed, &["own"]), [all[0], all[2]]);
        assert_eq!(told(&builds, &listed, &["own"]), all);
    }
}
