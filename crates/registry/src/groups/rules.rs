//! Which members of a group may be asked for a name.
//!
//! Pure. Must not know what members are, nor what they have. Invariant: a name that a rule gives to some members is asked
//! of no other, whatever these have or fail to have.

use crate::repositories::NamePattern;

/// What a group's document says of names. Members are indexes.
#[derive(Clone, Debug, Default)]
pub struct NameRules {
    /// How many members there are.
    pub members: usize,
    /// Names that belong to one member.
    pub pins: Vec<(NamePattern, usize)>,
    /// Names that only these members are asked for; a member that is here is asked for nothing else.
    pub routes: Vec<(usize, Vec<NamePattern>)>,
}

/// The members that may be asked, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) members: Vec<usize>,
    pub(crate) by: ChosenBy,
}

/// Why these members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChosenBy {
    /// The name is pinned, by this pattern.
    Pin(String),
    /// The name is routed.
    Routes,
    /// No rule speaks of the name: all that have no `routes`.
    Order,
}

impl NameRules {
    /// The members that may be asked for `name`.
    pub(crate) fn choose(&self, name: &str) -> Choice {
        let pins = self.pins.iter().filter(|(pattern, _)| pattern.matches(name));
        let ranked = |pattern: &NamePattern| (pattern.precision(), std::cmp::Reverse(pattern.as_str().to_owned()));
        if let Some((pattern, member)) = pins.max_by_key(|(pattern, _)| ranked(pattern)) {
            return Choice { members: vec![*member], by: ChosenBy::Pin(pattern.as_str().to_owned()) };
        }
        let patterns = |member: &usize| self.routes.iter().find(|(routed, _)| routed == member).map(|(_, all)| all);
        let routed = |member: &usize| patterns(member).is_some_and(|all| all.iter().any(|one| one.matches(name)));
        let members: Vec<usize> = (0..self.members).filter(routed).collect();
        if !members.is_empty() {
            return Choice { members, by: ChosenBy::Routes };
        }
        let members = (0..self.members).filter(|member| patterns(member).is_none()).collect();
        Choice { members, by: ChosenBy::Order }
    }

    /// The members that may be asked for `name` where some know it by another name, as Docker Hub has `library/` before
    /// short ones: who may not be asked for that one is not asked for this one either.
    pub(crate) fn choose_with_aliases(&self, name: &str, alias: impl Fn(usize) -> Option<String>) -> Choice {
        let mut choice = self.choose(name);
        choice.members.retain(|member| {
            let Some(other) = alias(*member).filter(|other| other != name) else { return true };
            let of_alias = self.choose(&other);
            of_alias.by == ChosenBy::Order || of_alias.members.contains(member)
        });
        choice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members 0 (releases), 1 (corp) and 2 (the public one).
    fn rules(pins: &[(&str, usize)], routes: &[(usize, &[&str])]) -> NameRules {
        let pattern = |text: &&str| NamePattern::parse(text).unwrap();
        NameRules {
            members: 3,
            pins: pins.iter().map(|(text, member)| (pattern(text), *member)).collect(),
            routes: routes.iter().map(|(member, texts)| (*member, texts.iter().map(pattern).collect())).collect(),
        }
    }

    #[test]
    fn without_rules_all_are_asked_in_order() {
        let choice = rules(&[], &[]).choose("team/app");
        assert_eq!(choice, Choice { members: vec![0, 1, 2], by: ChosenBy::Order });
    }

    #[test]
    fn a_pinned_name_is_asked_of_its_member_alone_and_the_more_precise_pin_counts() {
        let rules = rules(&[("team/*", 0), ("team/web/*", 1), ("team/web/app", 2)], &[]);
        for (name, expected) in
            [("team/x", vec![0]), ("team/web/x", vec![1]), ("team/web/app", vec![2]), ("teams/x", vec![0, 1, 2])]
        {
            assert_eq!(rules.choose(name).members, expected, "{name}");
        }
    }

    #[test]
    fn a_routed_name_is_asked_of_those_whose_routes_fit_and_a_routed_member_for_nothing_else() {
        let rules = rules(&[("corp/base", 0)], &[(1, &["corp/*", "infra/*"]), (2, &["corp/public/*"])]);
        for (name, expected) in [
            ("corp/x", vec![1]),
            ("corp/public/x", vec![1, 2]),
            ("infra/x", vec![1]),
            ("library/debian", vec![0]),
            ("corp/base", vec![0]),
        ] {
            assert_eq!(rules.choose(name).members, expected, "{name}");
        }
    }

    #[test]
    fn a_short_name_does_not_get_around_the_rules_of_the_long_one() {
        let alias = |member| (member == 2).then(|| "library/base".to_owned());
        let pinned = rules(&[("library/*", 0)], &[]).choose_with_aliases("base", alias);
        assert_eq!(pinned.members, [0, 1], "the public one would be asked for library/base");
        let routed = rules(&[], &[(1, &["library/*"])]).choose_with_aliases("base", alias);
        assert_eq!(routed.members, [0]);
        assert_eq!(rules(&[], &[(2, &["base"])]).choose_with_aliases("base", alias).members, [2]);
        assert_eq!(rules(&[], &[]).choose_with_aliases("base", alias).members, [0, 1, 2]);
    }
}
