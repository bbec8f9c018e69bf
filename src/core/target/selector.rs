//! Owns the selectors of `--pause` and `--keep`: how they are read and what they match. Pure.

use std::{fmt, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::target::{
    seen::Listed,
    start_order::{COMPOSE_PROJECT, COMPOSE_SERVICE},
};

/// The forms that a selector may have beside a name and a glob.
pub const FORMS: &str =
    "re:REGEX, label:KEY[=VALUE], compose:PROJECT[/SERVICE], image:REPOSITORY[:TAG]";

/// What a person typed to name containers, ready to match.
#[derive(Clone, Debug)]
pub struct Selector {
    text: String,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Name(GlobMatcher),
    Pattern(Regex),
    Label { key: String, value: Option<String> },
    Compose { project: String, service: Option<String> },
    Image { repository: GlobMatcher, tag: Option<GlobMatcher> },
}

impl Selector {
    /// Whether this one is meant.
    #[must_use]
    pub fn matches(&self, listed: &Listed) -> bool {
        let Listed { names, labels, .. } = listed;
        let label_is = |key: &str, value: &Option<String>| match (labels.get(key), value) {
            (Some(_), None) => true,
            (Some(found), Some(wanted)) => found == wanted,
            (None, _) => false,
        };
        match &self.rule {
            Rule::Name(glob) => names.iter().any(|name| glob.is_match(name)),
            Rule::Pattern(regex) => names.iter().any(|name| regex.is_match(name)),
            Rule::Label { key, value } => label_is(key, value),
            Rule::Compose { project, service } => {
                labels.get(COMPOSE_PROJECT) == Some(project)
                    && (service.is_none() || label_is(COMPOSE_SERVICE, service))
            }
            Rule::Image { repository, tag } => listed.image.as_deref().is_some_and(|image| {
                let (name, own_tag) = image_name(image);
                repository.is_match(name)
                    && tag.as_ref().is_none_or(|tag| tag.is_match(own_tag.unwrap_or(LATEST)))
            }),
        }
    }
}

/// Whether any of these means this one.
#[must_use]
pub fn any_matches(selectors: &[Selector], listed: &Listed) -> bool {
    selectors.iter().any(|selector| selector.matches(listed))
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |why: &str| {
            format!(
                "`{text}` is not a selector: {why}; allowed: a name, a glob as `mon-*`, {FORMS}"
            )
        };
        let rule = if let Some(pattern) = text.strip_prefix("re:") {
            let short = |error: regex::Error| {
                error.to_string().lines().last().unwrap_or_default().trim().to_owned()
            };
            Rule::Pattern(Regex::new(pattern).map_err(|error| refused(&short(error)))?)
        } else if let Some(label) = text.strip_prefix("label:") {
            let (key, value) = match label.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (label, None),
            };
            if key.is_empty() {
                return Err(refused("the label has no key"));
            }
            Rule::Label { key: key.to_owned(), value }
        } else if let Some(place) = text.strip_prefix("compose:") {
            let (project, service) = match place.split_once('/') {
                Some((project, service)) => (project, Some(service.to_owned())),
                None => (place, None),
            };
            if project.is_empty() || service.as_deref() == Some("") {
                return Err(refused("the project or the service is empty"));
            }
            Rule::Compose { project: project.to_owned(), service }
        } else if let Some(image) = text.strip_prefix("image:") {
            let (repository, tag) = image_name(image);
            if repository.is_empty() || tag == Some("") {
                return Err(refused("the repository or the tag is empty"));
            }
            let glob = |text: &str| glob(text).map_err(|why| refused(&why));
            Rule::Image { repository: glob(repository)?, tag: tag.map(glob).transpose()? }
        } else {
            if text.is_empty() {
                return Err(refused("it is empty"));
            }
            if let Some(prefix) = unknown_prefix(text) {
                return Err(refused(&format!(
                    "no container's name holds a colon, and `{prefix}:` is unknown"
                )));
            }
            Rule::Name(glob(text).map_err(|why| refused(&why))?)
        };
        Ok(Self { text: text.to_owned(), rule })
    }
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).build().map_err(|error| error.kind().to_string())?;
    Ok(glob.compile_matcher())
}

/// The tag of an image that is named without one (docs.docker.com/reference/cli/docker/image/tag).
const LATEST: &str = "latest";

/// An image's repository, as short as it can be written, and its tag: without the registry that is
/// meant where none is named, its own namespace, and a digest (distribution's `reference`).
fn image_name(image: &str) -> (&str, Option<&str>) {
    let name = image.split_once('@').map_or(image, |(name, _digest)| name);
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    // A colon before a slash is a registry's port.
    match name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (name, None),
    }
}

fn unknown_prefix(text: &str) -> Option<&str> {
    text.split_once(':').map(|(prefix, _)| prefix).filter(|prefix| !prefix.contains(['[', '{']))
}

/// Two are the same where they were typed alike.
impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Selector {}

/// As it was typed: what reads it can match with it at once.
impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::core::target::samples;

    fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_kind_of_selector_matches_what_it_names_and_nothing_else() {
        let compose = labels(&[
            (COMPOSE_PROJECT, "shop"),
            (COMPOSE_SERVICE, "web"),
            ("tier", "mon"),
            ("empty", ""),
        ]);
        for (selector, name, expected) in [
            ("mana-mon-umami", "mana-mon-umami", true),
            ("mana-mon", "mana-mon-umami", false),
            ("umami", "mana-mon-umami", false),
            ("mana-mon-*", "mana-mon-umami", true),
            ("mana-mon-*", "my-mana-mon-umami", false),
            ("mana-?on-{umami,loki}", "mana-mon-loki", true),
            ("m[a-c]na*", "mana-mon-loki", true),
            ("re:^mana-mon-", "mana-mon-loki", true),
            ("re:mon", "mana-mon-loki", true),
            ("re:^mon", "mana-mon-loki", false),
            ("label:tier", "x", true),
            ("label:tier=mon", "x", true),
            ("label:tier=web", "x", false),
            ("label:empty=", "x", true),
            ("label:absent", "x", false),
            ("compose:shop", "x", true),
            ("compose:shop/web", "x", true),
            ("compose:shop/db", "x", false),
            ("compose:sho", "x", false),
        ] {
            let parsed: Selector = selector.parse().expect(selector);
            assert_eq!(
                parsed.matches(&Listed { labels: compose.clone(), ..samples::listed(name) }),
                expected,
                "{selector} on {name}"
            );
        }
    }

    #[test]
    fn an_image_is_meant_by_its_repository_whatever_its_tag_unless_one_is_named() {
        for (selector, image, expected) in [
            ("image:postgres", "postgres:16", true),
            ("image:postgres", "docker.io/library/postgres:16", true),
            ("image:docker.io/library/postgres", "postgres", true),
            ("image:postgres", "postgres@sha256:0123", true),
            ("image:postgres", "bitnami/postgres:16", false),
            ("image:postgres:16", "postgres:16", true),
            ("image:postgres:16", "postgres:16@sha256:0123", true),
            ("image:postgres:16", "postgres:15", false),
            ("image:postgres:latest", "postgres", true),
            ("image:postgres:16", "postgres", false),
            ("image:postgres:1?", "postgres:16", true),
            ("image:prom/*", "prom/prometheus:v2.5", true),
            ("image:prom/{alertmanager,prometheus}:v2*", "prom/prometheus:v2.5", true),
            ("image:*", "localhost:5000/app", true),
            ("image:localhost:5000/app", "localhost:5000/app:1", true),
            ("image:localhost:5000/app:2", "localhost:5000/app:1", false),
            ("image:app", "sha256:0123", false),
        ] {
            let parsed: Selector = selector.parse().expect(selector);
            let listed = Listed { image: Some(image.to_owned()), ..samples::listed("x") };
            assert_eq!(parsed.matches(&listed), expected, "{selector} on {image}");
            assert!(!parsed.matches(&samples::listed("postgres")), "{selector} on no image");
        }
    }

    #[test]
    fn any_of_a_containers_names_is_enough() {
        let selector: Selector = "web".parse().expect("a name");
        let names = vec!["proxy/db".to_owned(), "web".to_owned()];
        let linked = Listed { names, ..samples::listed("db") };
        assert!(selector.matches(&linked));
    }

    #[test]
    fn what_is_no_selector_is_refused_with_what_is_allowed() {
        for text in [
            "",
            "re:(",
            "re:[z-a]",
            "label:",
            "label:=x",
            "compose:",
            "compose:/web",
            "compose:shop/",
            "mon-[",
            "name:web",
            "x{a",
        ] {
            let refused = Selector::from_str(text).expect_err(text);
            assert!(refused.contains("allowed: ") && !refused.contains('\n'), "{text}: {refused}");
        }
    }
}
