//! Who refers to a manifest, over all members that may be asked for its name.
//!
//! Must not know HTTP. Invariants: each referrer is once in the list, as the first member that has it tells it; the list is
//! bounded; one that lacks a member's referrers says so, and is an error when no member could be asked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use oci::limits::MAX_MANIFEST_BYTES;
use oci::{Digest, Referrer};

use super::error::GroupError;
use super::lookup::is_absence;
use super::repository::{GroupRoute, Member};
use super::spec::NameKeeping;
use crate::core::Core;
use crate::error::PullError;
use crate::hosted::{self, ReferrersQuery};
use crate::metrics::PullKind;
use crate::outcome::{Freshness, PullOutcome};
use crate::pull::{self, ReferrersAnswer};

/// About how many bytes an entry takes besides its annotations.
const ENTRY_BYTES: usize = 300;

/// Lists the manifests that name `subject` at any member.
pub(crate) async fn list(core: &Arc<Core>, route: &GroupRoute, subject: &Digest) -> Result<ReferrersAnswer, PullError> {
    let members = match route.repo.spec().names {
        // Only a name that nobody has comes here.
        NameKeeping::Kept => Vec::new(),
        NameKeeping::Merged => route.repo.choose(&route.name).members,
    };
    let mut merged = Merged::default();
    let (mut lacking, mut answered, mut failed) = (Vec::new(), members.is_empty(), None);
    for index in members {
        match of_member(core, route, index, subject).await {
            Ok((listed, lacks)) => {
                answered = true;
                lacking.extend(lacks.map(|why| format!("member '{}': {why}", route.member(index))));
                if !merged.add(listed) {
                    lacking.push("there are more than are told".to_owned());
                    break;
                }
            }
            Err(error) if is_absence(&error) => answered = true,
            Err(error) => {
                lacking
                    .push(format!("the referrers of member '{}' are not in this list: {error}", route.member(index)));
                failed.get_or_insert((index, error));
            }
        }
    }
    if let (false, Some((index, error))) = (answered, failed) {
        let (group, member) = (route.repo.key().clone(), route.member(index));
        return Err(GroupError::MemberFailed { group, member, error: Box::new(error) }.into());
    }
    let (outcome, freshness) = if lacking.is_empty() {
        (PullOutcome::Miss, Freshness::Fresh { age: Duration::ZERO, remaining: Duration::ZERO })
    } else {
        (PullOutcome::Stale, Freshness::Stale { age: Duration::ZERO, reason: lacking.join("; ").into() })
    };
    route.repo.counters().pulled(PullKind::Referrers, outcome);
    Ok(ReferrersAnswer { listed: merged.listed.into(), outcome, freshness })
}

#[derive(Default)]
struct Merged {
    listed: Vec<Referrer>,
    seen: HashSet<Digest>,
    bytes: usize,
}

impl Merged {
    /// Adds those that are new; false when there is no more room.
    fn add(&mut self, listed: Vec<Referrer>) -> bool {
        for one in listed {
            if !self.seen.insert(one.digest) {
                continue;
            }
            let annotations = one.annotations.iter().flatten().map(|(key, value)| key.len() + value.len() + 8);
            self.bytes += ENTRY_BYTES + annotations.sum::<usize>();
            if self.bytes > MAX_MANIFEST_BYTES {
                return false;
            }
            self.listed.push(one);
        }
        true
    }
}

/// One member's referrers, and what they lack.
async fn of_member(
    core: &Arc<Core>,
    route: &GroupRoute,
    index: usize,
    subject: &Digest,
) -> Result<(Vec<Referrer>, Option<Arc<str>>), PullError> {
    match &route.repo.members()[index] {
        Member::Proxy(repo) => {
            let answer = Box::pin(pull::list_referrers(core, &route.at_proxy(repo), subject)).await?;
            let lacks = match answer.freshness {
                Freshness::Stale { reason, .. } => Some(reason),
                Freshness::Immutable | Freshness::Fresh { .. } => None,
            };
            Ok((answer.listed.to_vec(), lacks))
        }
        Member::Hosted(repo) => {
            let (route, mut listed, mut last, mut bytes) = (route.at_hosted(repo), Vec::new(), None::<String>, 0);
            while bytes <= MAX_MANIFEST_BYTES {
                let query = ReferrersQuery { last: last.as_deref(), ..ReferrersQuery::default() };
                let page = hosted::list_referrers(core, &route, subject, query).await?;
                bytes += page.listed.len() * ENTRY_BYTES;
                listed.extend(page.listed);
                match page.next {
                    Some(next) => last = Some(next),
                    None => break,
                }
            }
            Ok((listed, None))
        }
        Member::Unusable(_) => match route.at(index) {
            Err(error) => Err(error.into()),
            Ok(_) => Ok((Vec::new(), None)),
        },
    }
}
