//! Which member of a group a pull would go to, and why.
//!
//! Must not ask anybody nor note anything. Invariant: what is said follows from the rules that a pull goes by; where a pull
//! would have to ask, it is said whom, in which order.

use oci::Reference;

use super::answer::{ExplainedGroup, ExplainedMember, ExplainedRoute, ExplainedStep, Explanation, OfflineAnswer};
use super::{ImageAddress, explain_at};
use crate::core::Core;
use crate::error::PullError;
use crate::groups::{self, GroupRoute, Member, NameKeeping};

/// Explains an image that is pulled through a group.
pub(super) async fn explain(
    core: &Core,
    address: &ImageAddress,
    route: &GroupRoute,
    how: String,
) -> Result<Explanation, PullError> {
    let choice = route.repo.choose(&route.name);
    let keeper = match route.repo.spec().names {
        NameKeeping::Kept => groups::peek_keeper(core, route, &choice.members).await?,
        NameKeeping::Merged => None,
    };
    let answering = match choice.members[..] {
        [only] => Some(only),
        _ => match keeper {
            Some(index) => Some(index),
            None => groups::peek_known(core, route, &choice.members, address.reference()).await?,
        },
    };
    let described = describe(route, &choice, keeper, answering);
    if let Some(Member::Proxy(repo)) = answering.map(|index| &route.repo.members()[index]) {
        let at = explain_at(core, address, route.at_proxy(repo), format!("{how}, by member '{}'", repo.key())).await?;
        return Ok(Explanation { group: Some(described), ..at });
    }
    let hosted = answering.is_some();
    let steps = choice.members.iter().filter_map(|index| step(route, *index, address.reference()));
    Ok(Explanation {
        image: address.text().to_owned(),
        route: ExplainedRoute {
            repo_key: route.repo.key().to_string(),
            configured_by: route.repo.source().as_str().to_owned(),
            name: route.name.to_string(),
            reference: address.reference().to_string(),
            how,
            library_added: false,
        },
        rights: "the group's: whoever reaches this server may pull what its members have".to_owned(),
        upstreams: Vec::new(),
        tag: None,
        parts: Vec::new(),
        parts_left_out: 0,
        pull_now: if hosted { Vec::new() } else { steps.collect() },
        offline: offline(hosted),
        group: Some(described),
    })
}

/// What was pushed is here; of anything else nothing is known.
fn offline(hosted: bool) -> OfflineAnswer {
    let missing = if hosted { Vec::new() } else { vec!["who of the members has it is not known".to_owned()] };
    OfflineAnswer { complete: hosted, complete_platforms: Vec::new(), missing }
}

fn describe(
    route: &GroupRoute,
    choice: &groups::Choice,
    keeper: Option<usize>,
    answering: Option<usize>,
) -> ExplainedGroup {
    let key = |index: usize| route.repo.member_key(index).to_string();
    let member = |(index, member): (usize, &Member)| ExplainedMember {
        key: key(index),
        kind: match member {
            Member::Proxy(_) => "proxy".to_owned(),
            Member::Hosted(_) => "hosted".to_owned(),
            Member::Unusable(_) => "unusable".to_owned(),
        },
        asked: why(route, choice, keeper, answering, index),
    };
    ExplainedGroup {
        key: route.repo.key().to_string(),
        names: route.repo.spec().names.as_str().to_owned(),
        push_to: route.repo.spec().push_to.map(key),
        keeper: keeper.map(key),
        answered_by: answering.map(key),
        members: route.repo.members().iter().enumerate().map(member).collect(),
    }
}

/// What a member has to do with the name.
fn why(
    route: &GroupRoute,
    choice: &groups::Choice,
    keeper: Option<usize>,
    answering: Option<usize>,
    index: usize,
) -> String {
    if let Member::Unusable(why) = &route.repo.members()[index] {
        return format!("cannot be asked: it {why}");
    }
    let Some(at) = choice.members.iter().position(|member| *member == index) else {
        return match &choice.by {
            groups::ChosenBy::Pin(pattern) => format!("no: '{pattern}' is pinned to another member"),
            groups::ChosenBy::Routes => "no: the name is routed to others".to_owned(),
            groups::ChosenBy::Order => "no: its own routes, or another rule for its form of the name".to_owned(),
        };
    };
    match (keeper, answering) {
        (Some(keeper), _) if keeper == index => "yes: it keeps the name".to_owned(),
        (Some(_), _) => "no: another member keeps the name".to_owned(),
        (None, Some(answering)) if answering == index => "yes: it is the first that may have it".to_owned(),
        (None, Some(_)) => "no: another member answers".to_owned(),
        (None, None) if at == 0 => "yes, first".to_owned(),
        (None, None) => format!("yes, number {}: when all before say that they do not have it", at + 1),
    }
}

/// The question that a cache would be asked.
fn step(route: &GroupRoute, index: usize, reference: &Reference) -> Option<ExplainedStep> {
    let Member::Proxy(repo) = &route.repo.members()[index] else { return None };
    Some(ExplainedStep {
        at: vec![repo.upstream().to_string()],
        why: format!("member '{}', when no member before it has the name or the image", repo.key()),
        ..ExplainedStep::new(format!("GET manifests/{reference}"))
    })
}
