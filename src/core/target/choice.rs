//! Owns which of the listed targets are meant: what `--pause` names and `--keep` does not. Pure.

use crate::core::target::{
    seen::Listed,
    selector::{Selector, any_matches},
};

/// Which of the listed targets are meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Indices into the list, in its order.
    pub chosen: Vec<usize>,
    /// Selectors of `--pause` that match nothing at all.
    pub unmatched: Vec<String>,
    /// Those of which `--keep` leaves nothing.
    pub kept: Vec<String>,
    /// Selectors of `--keep` that match nothing, by their place.
    pub idle: Vec<usize>,
}

/// Applies `--pause` and `--keep` to a list; what is kept wins.
#[must_use]
pub fn choose(listed: &[Listed], pause: &[Selector], keep: &[Selector]) -> Choice {
    let kept: Vec<bool> = listed.iter().map(|target| any_matches(keep, target)).collect();
    let is_chosen = |&index: &usize| !kept[index] && any_matches(pause, &listed[index]);
    let chosen = (0..listed.len()).filter(is_chosen).collect();
    let is_idle = |&at: &usize| !listed.iter().any(|target| keep[at].matches(target));
    let idle = (0..keep.len()).filter(is_idle).collect();
    let mut choice = Choice { chosen, idle, ..Choice::default() };
    for selector in pause {
        let mut meant =
            (0..listed.len()).filter(|&index| selector.matches(&listed[index])).peekable();
        if meant.peek().is_none() {
            choice.unmatched.push(selector.to_string());
        } else if meant.all(|index| kept[index]) {
            choice.kept.push(selector.to_string());
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::samples::listed;

    fn selectors(texts: &[&str]) -> Vec<Selector> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn keep_wins_over_pause_and_what_matches_nothing_is_named() {
        let all = [listed("mon-a"), listed("mon-b"), listed("web")];
        let keep = selectors(&["mon-b", "nosuch", "re:^w"]);
        let choice = choose(&all, &selectors(&["mon-*", "absent", "web"]), &keep);
        assert_eq!(
            choice,
            Choice {
                chosen: vec![0],
                unmatched: vec!["absent".to_owned()],
                kept: vec!["web".to_owned()],
                idle: vec![1],
            }
        );
    }

    #[test]
    fn a_container_that_two_selectors_name_is_chosen_once() {
        assert_eq!(choose(&[listed("a")], &selectors(&["a", "*"]), &[]).chosen, [0]);
    }
}
