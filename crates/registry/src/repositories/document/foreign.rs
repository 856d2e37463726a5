//! Reads `foreign_layers`: the hosts that layers with addresses of their own may be fetched from.
//!
//! Must not know what is done with them. Invariant: nothing is allowed that was not written.

use client::{ForeignHosts, HostPattern};

use super::reader::Reader;

const FIELD: &str = "foreign_layers";
/// Most hosts of one repository.
const MOST_HOSTS: usize = 64;

impl Reader<'_> {
    /// The hosts.
    pub(super) fn foreign_layers(&mut self) -> ForeignHosts {
        let patterns = self.list(FIELD, str::parse::<HostPattern>);
        if patterns.len() > MOST_HOSTS {
            self.problem(FIELD, format!("has {} entries; at most {MOST_HOSTS} are allowed", patterns.len()));
        }
        if !patterns.is_empty() && self.is_passthrough() {
            self.problem(
                FIELD,
                "such layers are fetched as nobody, so it cannot stand beside \"auth\": \"passthrough\"",
            );
        }
        ForeignHosts::new(patterns)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::repositories::{Provenance, RepositorySpec};

    fn read(more: &Value) -> Result<Vec<String>, Vec<String>> {
        let mut document = json!({ "upstream": "https://registry.example" });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        RepositorySpec::from_document("mcr".parse().unwrap(), &document, Provenance::Api)
            .map(|spec| spec.foreign_layers.patterns().collect())
            .map_err(|problems| problems.into_iter().map(|problem| problem.path).collect())
    }

    #[test]
    fn hosts_are_read_and_none_is_none() {
        assert_eq!(read(&json!({})).unwrap(), Vec::<String>::new());
        let listed = ["go.microsoft.com", "*.blob.core.windows.net", "10.0.0.1:8080"];
        assert_eq!(read(&json!({ "foreign_layers": listed })).unwrap(), listed);
        assert_eq!(read(&json!({ "foreign_layers": "go.microsoft.com" })).unwrap(), ["go.microsoft.com"]);
    }

    #[test]
    fn what_is_no_host_is_named() {
        let odd = json!({ "foreign_layers": ["*", "https://a.example", "a.example", 7] });
        assert_eq!(read(&odd).unwrap_err(), ["foreign_layers[0]", "foreign_layers[1]", "foreign_layers[3]"]);
        let many: Vec<String> = (0..65).map(|number| format!("h{number}.example")).collect();
        assert_eq!(read(&json!({ "foreign_layers": many })).unwrap_err(), ["foreign_layers"]);
        let passed = json!({ "auth": "passthrough", "foreign_layers": ["a.example"] });
        assert_eq!(read(&passed).unwrap_err(), ["foreign_layers"]);
    }
}
