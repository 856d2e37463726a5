//! What to do about an error, in one line, where there is something to do that the error itself does not say.
//!
//! Must not know how it is shown. Invariant: what is advised exists and is safe; nothing advises to switch verification off.

use client::ClientError;

use crate::error::{ExitReason, StargetError};

/// The advice for this error.
pub(crate) fn advice(error: &StargetError) -> Option<String> {
    match error {
        StargetError::Registry { source, .. } => of_client(source),
        StargetError::NoImage { source, .. } => Some(format!(
            "check the name and the tag; many registries answer the same for a private image: `starget config login {}`",
            source.upstream()
        )),
        StargetError::NoPlatform { .. } => Some("choose one with --platform".to_owned()),
        StargetError::NoPath { image, path, .. } => {
            let parent = path.trim_end_matches('/').rsplit_once('/').map_or(".", |(parent, _)| parent);
            let parent = if parent.is_empty() || parent.contains(['*', '?', '[', '{']) { "." } else { parent };
            Some(format!("`starget ls {image} {parent}` lists what is there"))
        }
        StargetError::Config(_) => Some("`starget config edit` opens the file and checks it".to_owned()),
        StargetError::NotSet { .. } => Some("`starget config get` lists what is set".to_owned()),
        StargetError::Sealed { host, .. } => {
            Some(format!("`starget config login {host}` stores it anew; `starget config logout {host}` forgets it"))
        }
        StargetError::NoRanges { .. } => {
            Some("read it through a mirror that can (--mirror), a Transship for example".to_owned())
        }
        StargetError::SomeFailed { reason, .. } if *reason != ExitReason::Verification => {
            Some("the same command again goes on with what is missing".to_owned())
        }
        StargetError::Layer { .. } | StargetError::WrongLayer { .. } if error.reason() == ExitReason::Verification => {
            Some(CHANGED.to_owned())
        }
        StargetError::SomeFailed { .. } => Some(CHANGED.to_owned()),
        StargetError::Usage(_)
        | StargetError::NoLayer { .. }
        | StargetError::BadManifest { .. }
        | StargetError::NotLazy { .. }
        | StargetError::Layer { .. }
        | StargetError::WrongLayer { .. }
        | StargetError::InTheWay { .. }
        | StargetError::Shared { .. }
        | StargetError::Io { .. }
        | StargetError::Stream { .. } => None,
    }
}

const CHANGED: &str = "the content was changed at the registry or on the way here, and none of it was kept; fetch it from another place, with --mirror";

fn of_client(error: &ClientError) -> Option<String> {
    let host = error.upstream();
    match error {
        ClientError::Unauthorized { .. } => {
            Some(format!("log in: `starget config login {host}`, or docker login, or --credential USER:PASSWORD"))
        }
        ClientError::Denied { .. } => {
            Some(format!("this login may not read it; `starget config login {host}` takes another one"))
        }
        ClientError::Unreachable { what, .. } => of_connection(what),
        ClientError::RateLimited { .. } => Some("wait a while; many registries allow more with a login".to_owned()),
        ClientError::Timeout { .. } | ClientError::Interrupted { .. } => {
            Some("the same command again goes on where it stopped; --max-retries tries longer".to_owned())
        }
        ClientError::CredentialUnavailable { .. } => {
            Some(format!("`starget config login {host}` stores a login of its own"))
        }
        ClientError::NotFound { .. }
        | ClientError::UpstreamStatus { .. }
        | ClientError::Protocol { .. }
        | ClientError::DigestMismatch { .. }
        | ClientError::Refused { .. }
        | ClientError::TooLarge { .. }
        | ClientError::CircuitOpen { .. }
        | ClientError::OwnLimit { .. }
        | ClientError::Setup { .. } => None,
    }
}

fn of_connection(what: &str) -> Option<String> {
    let what = what.to_ascii_lowercase();
    if what.contains("certificate") {
        Some("name the authority that signed it with --ca FILE; --insecure does without a check".to_owned())
    } else if what.contains("corrupt message") || what.contains("invalidcontenttype") {
        Some("it seems to speak plain HTTP: --plain-http".to_owned())
    } else if what.contains("dns") || what.contains("lookup") || what.contains("resolve") {
        Some(
            "check the network, and the registry's name: what stands before the first slash, or else docker.io"
                .to_owned(),
        )
    } else if what.contains("refused") {
        Some("check the port, and that the registry runs".to_owned())
    } else {
        None
    }
}
