//! A garbage collection's report for people.
//!
//! Must not know how anything was found out. Invariant: what a dry run would do is never said as if it were done.

use registry::{GcCounts, GcEnd, GcItem, GcReport, GcRepository};

/// Single parts shown.
const MOST_ITEMS: usize = 50;

/// The whole text.
pub(super) fn of(report: &GcReport) -> String {
    let mut lines =
        vec![row(["REPOSITORY", "KIND", "EXAMINED", "NEEDED", "LEASED", "WAITING", "CONDEMNED", "COLLECTED"])];
    for repo in &report.repositories {
        let kinds = [("blobs", repo.blobs), ("manifests", repo.manifests)];
        let shown = kinds.into_iter().filter(|(kind, counts)| *kind == "blobs" || counts.examined > 0);
        lines.extend(shown.map(|(kind, counts)| counted(&repo.repo_key, kind, &counts)));
    }
    lines.push(String::new());
    lines.extend(items(report));
    lines.push(sums(report));
    lines.push(ended(report));
    lines.join("\n") + "\n"
}

fn row(cells: [&str; 8]) -> String {
    let [repo, kind, examined, needed, leased, waiting, condemned, collected] = cells;
    format!("{repo:<20} {kind:<10}{examined:>10}{needed:>10}{leased:>10}{waiting:>10}{condemned:>11}{collected:>11}")
}

fn counted(repo: &str, kind: &str, counts: &GcCounts) -> String {
    let kept = counts.needed + counts.pardoned;
    let numbers = [counts.examined, kept, counts.leased, counts.waiting, counts.condemned, counts.collected];
    let [examined, needed, leased, waiting, condemned, collected] = numbers.map(|number| number.to_string());
    row([repo, kind, &examined, &needed, &leased, &waiting, &condemned, &collected])
}

fn items(report: &GcReport) -> Vec<String> {
    let all = || report.repositories.iter().flat_map(|repo| repo.items.iter().map(move |item| (repo, item)));
    let mut lines: Vec<_> = all().take(MOST_ITEMS).map(|(repo, item)| single(repo, item, report.dry_run)).collect();
    let unlisted: u64 = report.repositories.iter().map(|repo| repo.items_left_out).sum();
    let left_out = unlisted + all().skip(MOST_ITEMS).count() as u64;
    if left_out > 0 {
        lines.push(format!("and {left_out} more; --json lists up to a thousand for each repository"));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

fn single(repo: &GcRepository, item: &GcItem, dry_run: bool) -> String {
    let action = match (item.action.as_str(), dry_run) {
        ("condemn", false) => "condemned",
        ("condemn", true) => "would condemn",
        ("collect", false) => "collected",
        ("collect", true) => "would collect",
        (other, _) => other,
    };
    let GcItem { kind, name, digest, size, .. } = item;
    format!("{action:<14} {kind:<9} {}/{name}@{digest} ({size} bytes)", repo.repo_key)
}

fn sums(report: &GcReport) -> String {
    let freed = if report.dry_run { "would free" } else { "freed" };
    let left = report.left_overs;
    let freed = format!("{freed} {} blobs, {} bytes", report.freed_blobs, report.freed_bytes);
    if left == registry::GcLeftOvers::default() {
        return freed;
    }
    let registry::GcLeftOvers { blobs, waiting, uploads, sessions } = left;
    format!(
        "{freed}; left over by crashes: {blobs} blobs ({waiting} more wait), {uploads} files and {sessions} rows of uploads"
    )
}

fn ended(report: &GcReport) -> String {
    let rules = format!("grace {}, lease {}", report.grace, report.lease);
    let what = if report.dry_run { "dry run, nothing was changed" } else { "garbage collection" };
    let GcReport { started_at, duration_ms, .. } = report;
    match (report.end, &report.problem) {
        (GcEnd::Completed, _) => format!("{what}: begun {started_at}, {duration_ms} ms; {rules}"),
        (GcEnd::Interrupted, _) => format!("{what}: ended early, the server stops; {rules}"),
        (GcEnd::Failed, problem) => {
            format!("{what}: FAILED: {}; {rules}", problem.as_deref().unwrap_or("unknown"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(dry_run: bool) -> GcReport {
        let blobs = GcCounts { examined: 9, needed: 5, leased: 1, waiting: 1, condemned: 1, collected: 1, pardoned: 0 };
        let item = |action: &str| GcItem {
            kind: "blob".into(),
            name: "app".into(),
            digest: "sha256:ab".into(),
            size: 7,
            action: action.into(),
        };
        let repo = GcRepository {
            repo_key: "releases".into(),
            blobs,
            items: vec![item("condemn"), item("collect")],
            ..GcRepository::default()
        };
        GcReport {
            started_at: "2026-01-02T03:04:05.000Z".into(),
            duration_ms: 12,
            dry_run,
            end: GcEnd::Completed,
            problem: None,
            grace: "1day".into(),
            lease: "1h".into(),
            repositories: vec![repo],
            freed_blobs: 1,
            freed_bytes: 7,
            left_overs: registry::GcLeftOvers::default(),
        }
    }

    #[test]
    fn a_run_says_what_it_did_and_a_dry_run_what_it_would() {
        let text = of(&report(false));
        assert!(
            text.contains(
                "releases             blobs              9         5         1         1          1          1"
            )
        );
        assert!(text.contains("collected      blob      releases/app@sha256:ab (7 bytes)"), "{text}");
        assert!(text.contains("freed 1 blobs, 7 bytes") && !text.contains("would"), "{text}");
        let text = of(&report(true));
        for words in ["would condemn", "would collect", "would free 1 blobs", "nothing was changed"] {
            assert!(text.contains(words), "{text}");
        }
    }
}
