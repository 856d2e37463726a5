//! The reference of all metrics (docs/metrics.md), made from what is registered.
//!
//! Must not know any one metric. Invariant: a test compares the file with what is made here.

use std::fmt::Write as _;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry as Exposition;
use server::{HttpMetrics, ProcessCollector};

const HEAD: &str = "\
<!-- Made by `transship metrics-reference`. Change the registration in the code, then run it again. -->
# Metrics

`GET /metrics` answers in the Prometheus text format (OpenMetrics when asked for). Counters end in `_total`; what is measured
in a unit has it in its name. Label values are repository keys, hosts of upstreams and names of accounts, which the operator chooses, and closed sets of
words; nothing a client or an upstream sends becomes a label.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// Registers everything there is to count.
pub(crate) fn register() -> (Exposition, registry::Metrics, HttpMetrics) {
    let mut exposition = Exposition::default();
    let pulls = registry::Metrics::register(&mut exposition);
    let http = HttpMetrics::register(&mut exposition);
    exposition.register_collector(Box::new(ProcessCollector::default()));
    (exposition, pulls, http)
}

/// The reference as Markdown.
pub(crate) fn reference() -> String {
    let (exposition, pulls, _http) = register();
    pulls.show_every_family();
    let mut written = String::new();
    text::encode(&mut written, &exposition).expect("writing to a string does not fail");
    let mut page = String::from(HEAD);
    for metric in written.split("# HELP ").skip(1) {
        row(&mut page, metric);
    }
    page
}

/// Adds the row of one metric: its name and help, then comment lines, then samples.
fn row(page: &mut String, metric: &str) {
    let mut lines = metric.lines();
    let (name, help) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let of_type = format!("# TYPE {name} ");
    let kind = lines.clone().find_map(|line| line.strip_prefix(&of_type)).unwrap_or("unknown");
    let suffix = if kind == "counter" { "_total" } else { "" };
    let labels = lines.find(|line| !line.starts_with('#')).map(labels).unwrap_or_default();
    writeln!(page, "| `{name}{suffix}` | {kind} | {labels} | {help} |").expect("writing to a string does not fail");
}

/// The names of a sample's labels. Our label values hold neither commas nor quotes.
fn labels(sample: &str) -> String {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let names =
        inside.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name).filter(|name| *name != "le");
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_repository_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let written = std::fs::read_to_string(path).expect("docs/metrics.md");
        assert!(
            written == reference(),
            "docs/metrics.md is out of date: run `transship metrics-reference > docs/metrics.md`"
        );
    }

    #[test]
    fn every_metric_has_a_meaning() {
        let page = reference();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 20, "{page}");
        for row in rows {
            assert!(row.split(" | ").nth(3).is_some_and(|help| help.len() > 10), "{row}");
        }
    }
}
