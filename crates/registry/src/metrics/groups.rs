//! What is counted of groups.
//!
//! Must not know how members are found. Invariant: labels are keys of the operator's and closed sets.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::KeyLabel;
use crate::groups::AnsweredBy;

/// Labels of answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    repo_key: KeyLabel,
    by: &'static str,
}

/// Labels with the group alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabels {
    repo_key: KeyLabel,
}

/// The counters of all groups.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupCounters {
    answers: Family<AnswerLabels, Counter>,
    names_changed: Family<GroupLabels, Counter>,
    conflicts: Family<GroupLabels, Counter>,
}

impl GroupCounters {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "transship_group_answers",
            "Requests to groups by why their member answered (pin, only_one, keeper, found, first, push_to, all)",
            self.answers.clone(),
        );
        registry.register(
            "transship_group_names_changed",
            "Names of groups that another member keeps than before",
            self.names_changed.clone(),
        );
        registry.register(
            "transship_group_conflicts",
            "Tags that were pulled through a group and that members have at different digests, each at most once an hour",
            self.conflicts.clone(),
        );
    }

    pub(super) fn show_every_family(&self) {
        let repo_key = KeyLabel(Arc::from("key"));
        drop(self.answers.get_or_create(&AnswerLabels { repo_key: repo_key.clone(), by: "keeper" }));
        drop(self.names_changed.get_or_create(&GroupLabels { repo_key: repo_key.clone() }));
        drop(self.conflicts.get_or_create(&GroupLabels { repo_key }));
    }
}

impl super::Metrics {
    /// Counts a request to a group that a member answers.
    pub(crate) fn group_resolved(&self, repo_key: &Arc<str>, by: AnsweredBy) {
        let labels = AnswerLabels { repo_key: KeyLabel(repo_key.clone()), by: by.as_str() };
        self.groups.answers.get_or_create(&labels).inc();
    }

    /// Counts a name that another member keeps now.
    pub(crate) fn group_name_changed(&self, repo_key: &Arc<str>) {
        self.groups.names_changed.get_or_create(&GroupLabels { repo_key: KeyLabel(repo_key.clone()) }).inc();
    }

    /// Counts a tag that members have at different digests.
    pub(crate) fn group_conflict(&self, repo_key: &Arc<str>) {
        self.groups.conflicts.get_or_create(&GroupLabels { repo_key: KeyLabel(repo_key.clone()) }).inc();
    }
}
