//! Owns which of the listed targets are meant: what `--pause` names, and neither `--keep` nor the
//! command itself. Pure.

use std::collections::BTreeMap;

use crate::core::target::{
    command_use::Why,
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
    /// What is left to the command, and why.
    pub left_out: Vec<(usize, Why)>,
    /// Selectors of `--keep` that match nothing, by their place.
    pub idle: Vec<usize>,
}

/// Applies `--pause` and `--keep` to a list; what is kept wins. `used` is what the command itself
/// works with, by its place in the list.
#[must_use]
pub fn choose(
    listed: &[Listed],
    pause: &[Selector],
    keep: &[Selector],
    used: &BTreeMap<usize, Why>,
) -> Choice {
    let kept: Vec<bool> = listed.iter().map(|target| any_matches(keep, target)).collect();
    let is_chosen = |&index: &usize| !kept[index] && any_matches(pause, &listed[index]);
    let (left_out, chosen): (Vec<usize>, Vec<usize>) =
        (0..listed.len()).filter(is_chosen).partition(|index| used.contains_key(index));
    let left_out = left_out.into_iter().filter_map(|index| Some((index, *used.get(&index)?)));
    let is_idle = |&at: &usize| !listed.iter().any(|target| keep[at].matches(target));
    let idle = (0..keep.len()).filter(is_idle).collect();
    let left_out = left_out.collect();
    let mut choice = Choice { chosen, left_out, idle, ..Choice::default() };
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
        let (pause, keep) = (["mon-*", "absent", "web"], ["mon-b", "nosuch", "re:^w"]);
        let choice = choose(&all, &selectors(&pause), &selectors(&keep), &BTreeMap::new());
        assert_eq!(
            choice,
            Choice {
                chosen: vec![0],
                unmatched: vec!["absent".to_owned()],
                kept: vec!["web".to_owned()],
                left_out: vec![],
                idle: vec![1],
            }
        );
    }

    #[test]
    fn a_container_that_two_selectors_name_is_chosen_once() {
        let choice = choose(&[listed("a")], &selectors(&["a", "*"]), &[], &BTreeMap::new());
        assert_eq!(choice.chosen, [0]);
    }

    #[test]
    fn what_the_command_works_with_is_left_to_it_though_it_is_named() {
        let all = [listed("db"), listed("web"), listed("kept"), listed("other")];
        let used = [(0, Why::Needed), (1, Why::Entered), (2, Why::Named), (3, Why::Named)].into();
        let pause = selectors(&["web", "db", "kept"]);
        let choice = choose(&all, &pause, &selectors(&["kept"]), &used);
        assert_eq!(choice.left_out, [(0, Why::Needed), (1, Why::Entered)]);
        assert!(choice.chosen.is_empty() && choice.unmatched.is_empty());
    }
}
