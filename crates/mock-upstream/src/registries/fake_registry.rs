//! A running fake of one registry, with its token server, CDN or second registry on ports of their own.
//!
//! Must not know any registry by name. Invariant: the password is in nobody's log but that of the place it is meant for.

use crate::image::Image;
use crate::upstream::{
    Access, Account, BearerManner, BearerRules, FakeUpstream, Fault, Kind, Location, Request, Target,
};

use super::recipe::{BlobsAt, Login, ManifestsAt, Place, Recipe, TokenServer};
use super::recipes;

/// The password of every fake.
pub const PASSWORD: &str = "fake-registry-s3cr3t";
/// What a refresh token of the fakes looks like.
const REFRESH_TOKEN: &str = "fake-refresh-token";
/// The cloud's token that is exchanged for it.
const CLOUD_TOKEN: &str = "fake-cloud-token";

/// A fake registry.
#[derive(Debug)]
pub struct FakeRegistry {
    recipe: &'static Recipe,
    origin: FakeUpstream,
    token_server: Option<FakeUpstream>,
    /// A CDN or a second registry.
    beyond: Option<FakeUpstream>,
}

impl FakeRegistry {
    /// Starts the fake with this key; `None` when there is none.
    pub fn start(key: &str) -> Option<Self> {
        recipes::ALL.iter().find(|recipe| recipe.key == key).map(|recipe| Self::of(recipe, FakeUpstream::start()))
    }

    /// The fake of a recipe on an upstream that is already there.
    pub fn of(recipe: &'static Recipe, origin: FakeUpstream) -> Self {
        let mut fake = Self { recipe, origin, token_server: None, beyond: None };
        fake.log_in();
        fake.place_blobs();
        fake.place_manifests();
        for (name, value) in recipe.headers {
            let header = Fault::AddHeader((*name).to_owned(), (*value).to_owned());
            fake.origin.fault(Target::kind(Kind::Manifest), header);
        }
        if let Some(absence) = recipe.absence {
            fake.origin.set_absence(absence);
        }
        fake
    }

    fn log_in(&mut self) {
        match self.recipe.login {
            Login::Open => {}
            Login::Basic { challenge, username } => {
                self.origin.set_access(Access::BasicAfter(Account::new(username, PASSWORD), challenge));
            }
            Login::Bearer(server) => {
                let mut rules = bearer(&server);
                if server.place == Place::Elsewhere {
                    let elsewhere = FakeUpstream::start_beside(&self.origin);
                    elsewhere.set_access(Access::Bearer(rules.clone()));
                    rules.realm = Some(format!("{}{}", elsewhere.url(), server.path));
                    self.token_server = Some(elsewhere);
                }
                self.origin.set_access(Access::Bearer(rules));
            }
        }
    }

    fn place_blobs(&mut self) {
        let (status, is_get_only) = match self.recipe.blobs {
            BlobsAt::Registry => return,
            BlobsAt::OwnHost(status) => {
                let place = Location::Download(String::new());
                self.origin.fault(Target::kind(Kind::Blob).path("/blobs/"), Fault::Redirect(status, place));
                return;
            }
            BlobsAt::SignedForGet(status) => (status, true),
            BlobsAt::Signed(status) => (status, false),
        };
        let cdn = FakeUpstream::start_beside(&self.origin);
        if is_get_only {
            cdn.fault(Target::any().head(), Fault::status(403));
        }
        // The signature is good for one image, not for ever.
        cdn.fault(Target::any(), Fault::ExpireAfter(20));
        self.origin.fault(Target::kind(Kind::Blob), Fault::Redirect(status, Location::Cdn(cdn.url())));
        self.beyond = Some(cdn);
    }

    fn place_manifests(&mut self) {
        let ManifestsAt::Backend(prefix) = self.recipe.manifests else { return };
        let backend = FakeUpstream::start_beside(&self.origin);
        let manner = BearerManner { path: "/v2/token", field: Some("token"), ..BearerManner::default() };
        backend.set_access(Access::Bearer(BearerRules { service: "backend".into(), manner, ..BearerRules::default() }));
        let place = Location::Rewritten { base: backend.url(), from: "/v2/".into(), to: format!("/v2/{prefix}/") };
        for kind in [Kind::Manifest, Kind::Blob, Kind::Tags] {
            self.origin.fault(Target::kind(kind), Fault::Redirect(307, place.clone()));
        }
        self.beyond = Some(backend);
    }

    /// Puts an image where clients find it under `pull_name()`.
    pub fn add_image(&self, tag: &str, image: &Image) {
        let name = match self.recipe.manifests {
            ManifestsAt::Registry => self.recipe.repository.to_owned(),
            ManifestsAt::Backend(prefix) => format!("{prefix}/{}", self.recipe.repository),
        };
        self.origin.add_image(&name, tag, image);
        if self.recipe.asked_as != self.recipe.repository {
            let (from, to) = (format!("/v2/{}/", self.recipe.asked_as), format!("/v2/{}/", self.recipe.repository));
            let place = Location::Rewritten { base: String::new(), from: from.clone(), to };
            self.origin.fault(Target::any().path(&from), Fault::Redirect(301, place));
        }
    }

    /// The registry itself.
    pub fn origin(&self) -> &FakeUpstream {
        &self.origin
    }

    /// How it behaves.
    pub fn recipe(&self) -> &'static Recipe {
        self.recipe
    }

    /// The name to pull from.
    pub fn pull_name(&self) -> &'static str {
        self.recipe.asked_as
    }

    /// User name and password, when it wants a login.
    pub fn account(&self) -> Option<Account> {
        match self.recipe.login {
            Login::Open => None,
            Login::Basic { username, .. } => Some(Account::new(username, PASSWORD)),
            Login::Bearer(server) => Some(Account::new(server.username, PASSWORD)),
        }
    }

    /// The refresh token that is taken by POST, and the cloud's token it is given for, when there is an exchange.
    pub fn refresh(&self) -> Option<(&'static str, &'static str)> {
        match self.recipe.login {
            Login::Bearer(TokenServer { exchange: Some(_), .. }) => Some((REFRESH_TOKEN, CLOUD_TOKEN)),
            Login::Bearer(_) | Login::Open | Login::Basic { .. } => None,
        }
    }

    /// `host:port` of the token server, when it stands elsewhere: what `token_hosts` has to list.
    pub fn token_host(&self) -> Option<String> {
        self.token_server.as_ref().map(FakeUpstream::host)
    }

    /// What the CDN or second registry was asked.
    pub fn asked_beyond(&self) -> Vec<Request> {
        self.beyond.as_ref().map(FakeUpstream::requests).unwrap_or_default()
    }
}

fn bearer(server: &TokenServer) -> BearerRules {
    BearerRules {
        service: server.service.to_owned(),
        account: Some(Account::new(server.username, PASSWORD)),
        announced_seconds: server.expires_in,
        manner: BearerManner {
            path: server.path,
            challenge: server.challenge,
            ping_challenge: server.ping_challenge,
            field: server.field,
            reach: server.reach,
            tags_action: server.tags_action,
            nobody: server.nobody,
            refresh_token: server.exchange.map(|_| REFRESH_TOKEN.to_owned()),
            exchange: server.exchange.map(|path| (path, CLOUD_TOKEN.to_owned())),
        },
        ..BearerRules::default()
    }
}
