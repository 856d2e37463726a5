//! docs/upstreams.md, made from the table.
//!
//! Must not know where the text goes. Invariant: every field of every profile is said, or left out because it is empty.

use std::fmt::Write as _;

use super::profile::{
    AuthFlow, DeniedTag, HeadOnRedirect, MultiRange, Profile, RateLimitHeaders, Redirects, Referrers, Standing,
    Verified,
};

const INTRODUCTION: &str = "\
# Upstreams

<!-- Made by `transship upstreams-reference`; edit crates/client/src/profiles instead. -->

What Transship knows of each registry, and how to set it up. The built-in ones need no configuration for public images:
`docker pull 127.0.0.1:5000/ghcr/<owner>/<name>`. For private ones write a repository into the configuration file; a key that
is also a built-in one replaces it:

```yaml
repos:
  ghcr:
    upstream: https://ghcr.io
    auth:
      username: my-account
      password: ${GHCR_TOKEN}
```

Transship finds the profile by the upstream's host. For a registry under a name of your own say it: `profile: harbor`. A
profile chosen that way changes how the registry is talked to, never who gets the credential: token servers on other hosts
still have to be listed in `token_hosts`.

Each profile says how sure it is: *verified* (our tests pull through the real software), *documented* (the vendor says so, or
somebody published the answers) or *unverified* (by memory or likeness). Where a profile is wrong, the generic rules of the
distribution spec still apply.
";

/// The whole document.
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n| registry | `profile` | without configuration | how sure |\n|---|---|---|---|\n");
    for profile in super::ALL {
        let standing = match profile.standing {
            Standing::BuiltIn => format!("`{}/<name>`", profile.key),
            Standing::Configured => "no".to_owned(),
        };
        line(
            &mut text,
            &format!("| {} | `{}` | {standing} | {} |", profile.title, profile.key, sure(profile.verified)),
        );
    }
    for profile in super::ALL {
        section(&mut text, profile);
    }
    text
}

fn section(text: &mut String, profile: &Profile) {
    line(text, &format!("\n## {}\n\n| | |\n|---|---|", profile.title));
    for (name, value) in facts(profile).into_iter().filter(|(_, value)| !value.is_empty()) {
        line(text, &format!("| {name} | {} |", value.replace('|', "\\|")));
    }
    if !profile.notes.is_empty() {
        text.push('\n');
    }
    for note in profile.notes {
        line(text, &format!("- {note}"));
    }
    line(text, &format!("\n```yaml\nrepos:\n  {}:", profile.key));
    for written in profile.example.lines() {
        line(text, &format!("    {written}"));
    }
    line(text, "```");
}

fn facts(profile: &Profile) -> Vec<(&'static str, String)> {
    let patterns = profile.hosts.iter().map(|host| host.as_str());
    let missing = match (profile.missing.statuses, profile.missing.denied_tag) {
        ([], _) => "404".to_owned(),
        (statuses, DeniedTag::Denied) => format!("404; also {} for what is private or unknown", listed(statuses)),
        (statuses, DeniedTag::Missing) => {
            format!("404; {} for a tag counts as 404 when the login is good", listed(statuses))
        }
    };
    vec![
        ("profile", format!("`{}`, {}", profile.key, sure(profile.verified))),
        ("hosts", code(profile.aliases.iter().copied().chain(patterns))),
        ("login", format!("{}: {}", flow(profile.token.flow), profile.token.login)),
        ("token server", profile.token.realm.to_owned()),
        ("gets the credential too", code(profile.token.hosts.iter().copied())),
        ("token lifetime", profile.token.lifetime.to_owned()),
        ("names", profile.names.form.to_owned()),
        ("blobs", blobs(profile)),
        (
            "redirects of manifests",
            match profile.redirects {
                Redirects::ToStores => String::new(),
                Redirects::ToRegistries => "to other registries that speak for this one".to_owned(),
            },
        ),
        ("several ranges in one request", ranges(profile.blobs.multi_range).to_owned()),
        ("tag lists", tags(profile)),
        ("referrers", referrers(profile.referrers).to_owned()),
        ("limits", limits(profile)),
        ("missing content", missing),
        ("source", profile.source.join("; ")),
    ]
}

fn blobs(profile: &Profile) -> String {
    let mut text = match profile.blobs.redirect {
        Some(status) => format!("redirect ({status})"),
        None => "from the registry itself, or not known".to_owned(),
    };
    if !profile.blobs.hosts.is_empty() {
        write!(text, " to {}", profile.blobs.hosts.join(", ")).expect("a String takes all");
    }
    if !profile.blobs.signed_for.is_empty() {
        write!(text, ", good for {}", profile.blobs.signed_for).expect("a String takes all");
    }
    match profile.blobs.head {
        HeadOnRedirect::Forbidden => {
            text.push_str("; HEAD there is refused, so sizes are asked for with a GET of one byte");
        }
        HeadOnRedirect::Answered => {}
    }
    text
}

fn tags(profile: &Profile) -> String {
    let page = profile.tags.max_page.map(|n| format!(", at most {n} a page")).unwrap_or_default();
    format!("scope `repository:<name>:{}`{page}", profile.tags.action)
}

fn limits(profile: &Profile) -> String {
    match (profile.limits.headers, profile.limits.text) {
        (RateLimitHeaders::None, text) => text.to_owned(),
        (RateLimitHeaders::DockerHub, text) => {
            format!("{text}. Headers: `ratelimit-limit`, `ratelimit-remaining`, `docker-ratelimit-source`")
        }
    }
}

fn sure(verified: Verified) -> &'static str {
    match verified {
        Verified::Verified => "verified",
        Verified::Documented => "documented",
        Verified::Unverified => "unverified",
    }
}

fn flow(flow: AuthFlow) -> &'static str {
    match flow {
        AuthFlow::Open => "open",
        AuthFlow::Basic => "Basic",
        AuthFlow::Bearer => "Bearer",
        AuthFlow::BasicOrBearer => "Basic or Bearer",
    }
}

fn ranges(multi: MultiRange) -> &'static str {
    match multi {
        MultiRange::BadRequest => "400; only single ranges are sent",
        MultiRange::Whole => "the whole blob; only single ranges are sent",
        MultiRange::Unknown => "",
    }
}

fn referrers(referrers: Referrers) -> &'static str {
    match referrers {
        Referrers::Native => "yes",
        Referrers::Partial => "in part",
        Referrers::Absent => "no endpoint, fallback tag only",
        Referrers::Harmful => "the endpoint is never asked, fallback tag only",
        Referrers::Unknown => "not known; found out on first use",
    }
}

fn code<'t>(words: impl Iterator<Item = &'t str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn listed(statuses: &[u16]) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn line(text: &mut String, written: &str) {
    text.push_str(written);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_in_the_repository_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/upstreams.md");
        let written = std::fs::read_to_string(path).expect("docs/upstreams.md");
        assert!(
            written == super::markdown(),
            "docs/upstreams.md is out of date: run `transship upstreams-reference > docs/upstreams.md`"
        );
    }
}
