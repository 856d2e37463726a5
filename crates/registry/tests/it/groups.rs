//! Groups without HTTP: what is remembered, what is asked again, and what a hit costs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metadata::Metadata;
use oci::Reference;
use serde_json::{Value, json};
use testkit::image::Image;
use testkit::upstream::{FakeUpstream, Fault, Kind, Target};
use transship_registry::{
    Action, AnsweredBy, Builtins, ConfiguredRepository, GcSettings, Metrics, Place, Provenance, PullError, PullOutcome,
    Registry, RegistryConfig, RouteQuery, Stores, UpstreamDefaults, Want,
};

use crate::harness::{eventually_some, keys, uploads};

/// A registry with the caches `corp` and `hub`, and the group `all` over them.
struct House {
    registry: Registry,
    corp: FakeUpstream,
    hub: FakeUpstream,
    folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        Self::after(async |_| {}).await
    }

    /// After something was done to the rows.
    async fn after(earlier: impl AsyncFnOnce(&Metadata)) -> Self {
        let (corp, hub, folder) = (FakeUpstream::start(), FakeUpstream::start(), tempfile::tempdir().unwrap());
        let metadata = Metadata::open(&folder.path().join("transship.db"), keys()).await.unwrap();
        earlier(&metadata).await;
        metadata.close().await;
        let registry = start(folder.path(), &corp, &hub).await;
        Self { registry, corp, hub, folder }
    }

    async fn restart(self) -> Self {
        let Self { registry, corp, hub, folder } = self;
        registry.shutdown(Duration::from_secs(5)).await;
        drop(registry);
        let registry = start(folder.path(), &corp, &hub).await;
        Self { registry, corp, hub, folder }
    }

    fn place(&self, name: &str) -> Place {
        let path = format!("all/{name}");
        self.registry.locate(&RouteQuery { path: &path, ns: None, host: None, local_port: None }).unwrap()
    }

    async fn pull(&self, name: &str, reference: &str) -> Result<PullOutcome, PullError> {
        let reference: Reference = reference.parse().unwrap();
        self.registry.pull_manifest(&self.place(name), &reference).await.map(|answer| answer.outcome)
    }

    /// The member that a pull of a tag goes to, and why.
    async fn member(&self, name: &str, tag: &str) -> (String, AnsweredBy) {
        let Place::Group(route) = self.place(name) else { panic!("not a group") };
        let action = Action::Manifest(tag.parse().unwrap());
        let resolved = self.registry.resolve(&route, &action, Want::Content).await.unwrap();
        (resolved.place.repo_key().to_string(), resolved.by)
    }

    async fn keeper(&self, name: &str) -> Option<String> {
        let names = self.registry.group_names(&"all".parse().unwrap(), None, None).await.unwrap().unwrap().names;
        names.into_iter().find(|one| one.name == name).map(|one| one.member)
    }
}

async fn start(folder: &Path, corp: &FakeUpstream, hub: &FakeUpstream) -> Registry {
    let spec = |key: &str, document: Value| {
        ConfiguredRepository::from_document(key.parse().unwrap(), &document, Provenance::File).unwrap()
    };
    let proxy = |upstream: &FakeUpstream| json!({ "upstream": upstream.url(), "internal": true });
    let all = json!({ "kind": "group", "members": ["corp", "hub"] });
    let config = RegistryConfig {
        cache_max_bytes: 1 << 30,
        builtins: Builtins::Excluded,
        repositories: vec![spec("corp", proxy(corp)), spec("hub", proxy(hub)), spec("all", all)],
        upstream: UpstreamDefaults { max_attempts: 1, ..UpstreamDefaults::default() },
        gc: GcSettings::default(),
        main_ports: vec![5000],
    };
    let stores = Stores {
        blobs: Arc::new(blob_store::LocalStore::open(folder).unwrap()),
        staging: blob_store::Staging::open(&folder.join("staging")).unwrap(),
        uploads: uploads(folder),
        metadata: Metadata::open(&folder.join("transship.db"), keys()).await.unwrap(),
    };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    Registry::start(config, stores, metrics).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_is_found_once_and_a_hit_asks_nobody() {
    let house = House::new().await;
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    assert_eq!(house.pull("team/app", "v1").await.unwrap(), PullOutcome::Miss);
    for upstream in [&house.corp, &house.hub] {
        upstream.clear_log();
    }
    assert_eq!(house.pull("team/app", "v1").await.unwrap(), PullOutcome::Hit);
    assert_eq!(house.member("team/app", "v1").await, ("hub".to_owned(), AnsweredBy::Keeper));
    let query = RouteQuery { path: "all/team/app", ns: None, host: None, local_port: None };
    let at_hand = async || {
        house.pull("team/app", "v1").await.unwrap();
        house.registry.pull_at_hand(&query, "v1", std::time::Instant::now(), SystemTime::now())
    };
    let at_hand = eventually_some("the answer is at hand", at_hand).await;
    assert_eq!(at_hand.through.unwrap().0.as_ref(), "all");
    let house = house.restart().await;
    house.corp.add_image("team/app", "v1", &Image::small(2, 3000));
    assert_eq!(house.pull("team/app", "v1").await.unwrap(), PullOutcome::Hit);
    assert!(house.corp.requests().is_empty() && house.hub.requests().is_empty(), "a restart forgets nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pulls_of_a_new_name_agree_on_its_keeper() {
    let house = House::new().await;
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    let pulls = (0..50).map(|_| house.pull("team/app", "v1"));
    let outcomes = futures_util::future::join_all(pulls).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(house.keeper("team/app").await.as_deref(), Some("hub"));
    let gets = house.hub.requests().iter().filter(|request| request.kind() == Kind::Manifest).count();
    assert!(gets <= 2, "{gets} questions for one manifest");
    let lists = house.corp.requests().iter().filter(|request| request.kind() == Kind::Tags).count();
    assert!(lists <= 2, "{lists} questions for one name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_appears_at_an_earlier_cache_is_noticed_beside_a_pull() {
    let long_ago = UNIX_EPOCH + Duration::from_secs(1);
    let house = House::after(async |metadata| {
        let (all, name) = ("all".parse().unwrap(), "team/app".parse().unwrap());
        metadata.keep_group_name(&all, &name, &"hub".parse().unwrap(), long_ago).await.unwrap();
    });
    let house = house.await;
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    house.corp.add_image("team/app", "v1", &Image::small(2, 3000));
    // What cannot be asked changes nothing.
    house.corp.fault(Target::any().first(1), Fault::status(403));
    assert_eq!(house.member("team/app", "v1").await, ("hub".to_owned(), AnsweredBy::Keeper), "nobody waits for it");
    eventually_some("the earlier one was asked", async || house.corp.requests().first().cloned()).await;
    assert_eq!(house.keeper("team/app").await.as_deref(), Some("hub"));
    // The next look is a minute away, or after a restart.
    let house = house.restart().await;
    house.pull("team/app", "v1").await.unwrap();
    let taken = async || house.keeper("team/app").await.filter(|member| member == "corp");
    eventually_some("the earlier one has the name", taken).await;
    let member = async || Some(house.member("team/app", "v1").await).filter(|(member, _)| member == "corp");
    eventually_some("the earlier one answers", member).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_has_no_lists_of_tags_is_taken_by_its_word_about_the_tag() {
    for status in [404, 405, 501] {
        let house = House::new().await;
        house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
        house.corp.fault(Target::kind(Kind::Tags), Fault::status(status));
        assert_eq!(house.pull("team/app", "v1").await.unwrap(), PullOutcome::Miss, "{status}");
        assert_eq!(house.keeper("team/app").await.as_deref(), Some("hub"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_refuses_to_list_tags_lets_nobody_in() {
    for status in [400, 401, 403, 410, 503] {
        let house = House::new().await;
        house.hub.add_image("team/app", "v2", &Image::small(1, 3000));
        house.corp.fault(Target::kind(Kind::Tags), Fault::status(status));
        let error = house.pull("team/app", "v2").await.expect_err("whether it has the name is not known");
        assert!(error.to_string().contains("member 'corp' of group 'all' failed"), "{status}: {error}");
        assert_eq!(house.keeper("team/app").await, None, "{status}");
        assert!(house.hub.requests().is_empty(), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_last_member_says_to_lists_makes_no_failure_of_its_no() {
    let house = House::new().await;
    house.hub.fault(Target::kind(Kind::Tags), Fault::status(403));
    let error = house.pull("team/app", "v2").await.expect_err("nobody has it");
    assert!(error.to_string().contains("corp, hub do not have it"), "{error}");
    // And that is no word about the name, where somebody else would believe it.
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    house.hub.clear_faults();
    assert_eq!(house.pull("team/app", "v1").await.unwrap(), PullOutcome::Miss);
}
