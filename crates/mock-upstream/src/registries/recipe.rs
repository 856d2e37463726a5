//! What makes one registry different from a plain one, as data.
//!
//! Must not know sockets. Invariant: a recipe names everything that differs, so reading it says how the fake behaves.

use crate::upstream::{Absence, Nobody, TokenReach};

/// How one registry behaves.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The same key as the profile's.
    pub key: &'static str,
    /// A repository as it is named there.
    pub repository: &'static str,
    /// How clients may name it; mostly the same.
    pub asked_as: &'static str,
    /// Who gets in.
    pub login: Login,
    /// Where manifests are.
    pub manifests: ManifestsAt,
    /// Where blobs are.
    pub blobs: BlobsAt,
    /// Headers with every manifest.
    pub headers: &'static [(&'static str, &'static str)],
    /// What is said of content that is not there, when it is no plain 404.
    pub absence: Option<Absence>,
}

/// Who gets in.
#[derive(Clone, Copy, Debug)]
pub enum Login {
    /// Everybody.
    Open,
    /// One account, by Basic.
    Basic {
        /// The challenge.
        challenge: &'static str,
        /// The user name.
        username: &'static str,
    },
    /// One account, by a token server.
    Bearer(TokenServer),
}

/// A token server.
#[derive(Clone, Copy, Debug)]
pub struct TokenServer {
    /// Its path.
    pub path: &'static str,
    /// Whether it stands on another host (here: another port).
    pub place: Place,
    /// The challenge, with `{realm}`, `{service}` and `{scope}`.
    pub challenge: &'static str,
    /// The same for `/v2/`.
    pub ping_challenge: &'static str,
    /// The `service`.
    pub service: &'static str,
    /// The user name.
    pub username: &'static str,
    /// The name of the token in the answer; both usual ones when `None`.
    pub field: Option<&'static str>,
    /// `expires_in`, when it is said.
    pub expires_in: Option<u64>,
    /// What a token is good for.
    pub reach: TokenReach,
    /// The action a tag list needs.
    pub tags_action: &'static str,
    /// What those get who do not log in.
    pub nobody: Nobody,
    /// Where a cloud's token is exchanged for a refresh token.
    pub exchange: Option<&'static str>,
}

/// Where a token server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the registry's host.
    Here,
    /// On another host.
    Elsewhere,
}

/// Where manifests are.
#[derive(Clone, Copy, Debug)]
pub enum ManifestsAt {
    /// At the registry.
    Registry,
    /// At another registry that wants tokens of its own, below this prefix of names.
    Backend(&'static str),
}

/// Where blobs are.
#[derive(Clone, Copy, Debug)]
pub enum BlobsAt {
    /// At the registry.
    Registry,
    /// At a path of the registry's own host, after a redirect with this status.
    OwnHost(u16),
    /// On another host under a signed URL that is good for GET only.
    SignedForGet(u16),
    /// On another host under a signed URL.
    Signed(u16),
}
