//! What must hold of a manifest before it is promoted.
//!
//! Must not know how it is found out (`evidence`). A further kind of rule is a variant here and an arm there. Invariant:
//! what was written is what is shown.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A signature refers to it. Whether it is a good one is not looked at.
    Signed,
    /// A report of a scan refers to it, of the usual types or of one of these.
    Scanned(Vec<String>),
    /// Its configuration or annotations have these labels.
    Labelled(BTreeMap<String, String>),
    /// Somebody approved it.
    Approved,
}

const KINDS: &str =
    "write signed, scanned, approved, labelled:KEY=VALUE, {labelled: {KEY: VALUE}} or {scanned: [TYPE]}";

impl Rule {
    /// Reads a rule as it stands in a configuration or a request.
    ///
    /// # Errors
    /// Says what may be written.
    pub fn from_document(document: &Value) -> Result<Self, String> {
        match document {
            Value::String(text) => Self::from_text(text),
            Value::Object(fields) if fields.len() == 1 => match fields.iter().next() {
                Some((kind, Value::Object(labels))) if kind == "labelled" && !labels.is_empty() => {
                    let pair = |(key, value): (&String, &Value)| match value {
                        Value::String(text) => Ok((key.clone(), text.clone())),
                        _ => Err(format!("labelled.{key}: must be a string")),
                    };
                    labels.iter().map(pair).collect::<Result<_, _>>().map(Self::Labelled)
                }
                Some((kind, Value::Array(types))) if kind == "scanned" && !types.is_empty() => {
                    let one = |value: &Value| {
                        value.as_str().map(str::to_owned).ok_or_else(|| "scanned: must be a list of strings".to_owned())
                    };
                    types.iter().map(one).collect::<Result<_, _>>().map(Self::Scanned)
                }
                _ => Err(format!("not a rule; {KINDS}")),
            },
            _ => Err(format!("not a rule; {KINDS}")),
        }
    }

    /// Reads a rule as it is typed.
    ///
    /// # Errors
    /// Says what may be written.
    pub fn from_text(text: &str) -> Result<Self, String> {
        match (text, text.split_once(':')) {
            ("signed", _) => Ok(Self::Signed),
            ("scanned", _) => Ok(Self::Scanned(Vec::new())),
            ("approved", _) => Ok(Self::Approved),
            (_, Some(("scanned", media_type))) if !media_type.is_empty() => {
                Ok(Self::Scanned(vec![media_type.to_owned()]))
            }
            (_, Some(("labelled", pair))) => match pair.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    Ok(Self::Labelled(BTreeMap::from([(key.to_owned(), value.to_owned())])))
                }
                _ => Err(format!("'{text}' is not a rule; {KINDS}")),
            },
            _ => Err(format!("'{text}' is not a rule; {KINDS}")),
        }
    }

    /// Whether it can be met later by a manifest that does not meet it now.
    pub(super) fn may_be_met_later(&self) -> bool {
        match self {
            Self::Signed | Self::Scanned(_) | Self::Approved => true,
            // Labels are content: another digest.
            Self::Labelled(_) => false,
        }
    }

    /// What to do about it.
    pub(super) fn advice(&self, image: &str) -> String {
        match self {
            Self::Signed => format!("sign {image} where it is, for example with cosign sign or notation sign"),
            Self::Scanned(types) if types.is_empty() => {
                format!("attach a report to {image}: SARIF, or an in-toto attestation of vulnerabilities")
            }
            Self::Scanned(types) => format!("attach a report to {image} of type {}", types.join(" or ")),
            Self::Labelled(_) => "build the image with this label, or add the annotation, and push it again".to_owned(),
            Self::Approved => format!("look at it, and then: transship promote approve {image}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed => f.write_str("signed"),
            Self::Scanned(types) if types.is_empty() => f.write_str("scanned"),
            Self::Scanned(types) => write!(f, "scanned:{}", types.join(",")),
            Self::Approved => f.write_str("approved"),
            Self::Labelled(labels) => {
                let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "labelled:{}", pairs.join(","))
            }
        }
    }
}

/// What was found of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleVerdict {
    /// The rule, as it is typed.
    pub rule: String,
    /// Whether it is met.
    pub passed: bool,
    /// By what, or what was looked for.
    pub evidence: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl fmt::Display for RuleVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed { "met" } else { "not met" };
        write!(f, "{}: {word}: {}", self.rule, self.evidence)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_read_in_both_forms_and_shown_as_they_are_typed() {
        for text in ["signed", "scanned", "approved", "labelled:team=core", "scanned:application/spdx+json"] {
            assert_eq!(Rule::from_text(text).unwrap().to_string(), text);
            assert_eq!(Rule::from_document(&json!(text)).unwrap(), Rule::from_text(text).unwrap());
        }
        let labelled = Rule::from_document(&json!({ "labelled": { "a": "1", "b": "2" } })).unwrap();
        assert_eq!(labelled.to_string(), "labelled:a=1,b=2");
        let scanned = Rule::from_document(&json!({ "scanned": ["x/y"] })).unwrap();
        assert_eq!(scanned, Rule::Scanned(vec!["x/y".into()]));
        for bad in [json!("singed"), json!({}), json!({ "labelled": {} }), json!({ "labelled": { "a": 1 } }), json!(1)]
        {
            assert!(Rule::from_document(&bad).is_err(), "{bad}");
        }
        assert!(Rule::from_text("labelled:team").unwrap_err().contains("labelled:KEY=VALUE"));
    }
}
