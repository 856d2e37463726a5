//! Promotions for people.
//!
//! Must not know how one is made. Invariant: every fact of the JSON that decides something is there.

use registry::{Promotion, PromotionList, RevertedPromotion};

use crate::managing::{short, table};

/// What was promoted just now, or would be.
pub(super) fn promoted(promotion: &Promotion) -> String {
    let word = if promotion.id.is_none() { "would promote" } else { "promoted" };
    let Promotion { from, to, manifests, blobs, bytes, brought_manifests, brought_blobs, .. } = promotion;
    let undo = promotion.id.as_ref().map(|id| format!("  to take it back: transship promotions revert {id}\n"));
    [
        format!("{word} {from} to {to} ({})\n", promotion.digest),
        format!("  {manifests} manifests and {blobs} blobs, {bytes} bytes, of which none moved; "),
        format!("new to the target: {brought_manifests} manifests, {brought_blobs} blobs\n"),
        details(promotion),
        undo.unwrap_or_default(),
    ]
    .concat()
}

/// One promotion.
pub(super) fn one(promotion: &Promotion) -> String {
    let lines = [
        ("id", promotion.id.clone()),
        ("state", Some(promotion.state.clone())),
        ("from", Some(promotion.from.clone())),
        ("to", Some(promotion.to.clone())),
        ("digest", Some(promotion.digest.clone())),
        ("before", promotion.previous.clone().or_else(|| Some("the tag was not there".to_owned()))),
        ("by", Some(promotion.by.clone())),
        ("at", Some(promotion.at.clone())),
        ("workflow", promotion.workflow.clone()),
        ("reverted", promotion.reverted_at.clone()),
        ("reverted by", promotion.reverted_by.clone()),
    ];
    let lines = lines.into_iter().filter_map(|(label, value)| Some(format!("{label:<13}{}\n", value?)));
    let counts = format!(
        "{:<13}{} manifests ({} new), {} blobs ({} new), {} bytes\n",
        "size",
        promotion.manifests,
        promotion.brought_manifests,
        promotion.blobs,
        promotion.brought_blobs,
        promotion.bytes
    );
    lines.collect::<String>() + &counts + &details(promotion)
}

fn details(promotion: &Promotion) -> String {
    let tags = promotion.tags.iter().map(|moved| {
        let before =
            moved.previous.as_deref().map_or_else(|| "new".to_owned(), |digest| format!("was {}", short(digest)));
        format!("  tag {} ({before})\n", moved.tag)
    });
    let rules = promotion.rules.iter().map(|verdict| format!("  rule {verdict}\n"));
    let reason = promotion.reason.iter().map(|reason| format!("  {reason}\n"));
    tags.chain(rules).chain(reason).collect()
}

/// A page.
pub(super) fn list(list: &PromotionList) -> String {
    if list.promotions.is_empty() {
        return "No promotions.\n".to_owned();
    }
    let row = |one: &Promotion| {
        let id = one.id.clone().unwrap_or_default();
        let by = one.workflow.as_ref().map_or_else(|| one.by.clone(), |workflow| format!("workflow {workflow}"));
        vec![id, one.state.clone(), one.from.clone(), one.to.clone(), short(&one.digest), by, one.at.clone()]
    };
    let rows: Vec<Vec<String>> = list.promotions.iter().map(row).collect();
    let open = list.promotions.iter().filter(|one| one.state == "waiting" || one.state == "refused");
    let reasons = open.map(|one| {
        let (id, reason) = (one.id.as_deref().unwrap_or_default(), one.reason.as_deref().unwrap_or("no reason noted"));
        format!("{id} {}: {reason}\n", one.state)
    });
    let more = list.next.iter().map(|next| format!("There are more: --before {next}\n"));
    let head = table(&["ID", "STATE", "FROM", "TO", "DIGEST", "BY", "AT"], &rows);
    head + &reasons.chain(more).collect::<String>()
}

/// One that was taken back.
pub(super) fn reverted(reverted: &RevertedPromotion) -> String {
    let promotion = &reverted.promotion;
    let now = promotion.previous.as_deref().map_or("is gone".to_owned(), |digest| format!("points to {digest} again"));
    format!(
        "taken back: {} {now}; {} manifests and {} blobs left the target\n",
        promotion.to, reverted.removed_manifests, reverted.removed_blobs
    )
}
