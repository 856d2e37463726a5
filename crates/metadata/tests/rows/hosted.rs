//! What was pushed: links, manifests with all they need, tags with their events, lists in pages.

use std::time::SystemTime;

use metadata::{DeleteRefused, Metadata, MountFrom, Mounted, NewManifest, PushRefused};
use oci::{Digest, ManifestFacts, RepoKey, RepositoryName, Tag};

use crate::fixture::{Fixture, digest, parse};

pub(crate) struct Rows {
    fixture: Fixture,
    pub(crate) metadata: Metadata,
    pub(crate) repo: RepoKey,
    pub(crate) name: RepositoryName,
}

impl Rows {
    pub(crate) async fn new() -> Self {
        let fixture = Fixture::new();
        let metadata = fixture.open().await;
        Self { fixture, metadata, repo: parse("rel"), name: parse("app") }
    }

    pub(crate) async fn tamper(&self, statement: &'static str) {
        self.fixture.tamper(statement).await;
    }

    pub(crate) async fn blob(&self, of: &str) -> Digest {
        let digest = digest(of);
        self.metadata
            .link_hosted_blob(&self.repo, &self.name, (&digest, 5), None, SystemTime::UNIX_EPOCH)
            .await
            .unwrap();
        digest
    }

    /// Pushes an index of `children`, each of 5 bytes, under these tags.
    pub(crate) async fn index(&self, of: &str, children: &[Digest], tags: &[&str]) -> Result<Digest, PushRefused> {
        // Of a type that blobs and manifests alike may be listed as.
        let children: Vec<_> = children.iter().map(|child| (*child, "application/vnd.example.part")).collect();
        self.index_of(of, &children, tags).await
    }

    /// The same of children of these types.
    async fn index_of(&self, of: &str, children: &[(Digest, &str)], tags: &[&str]) -> Result<Digest, PushRefused> {
        let child =
            |(digest, kind): &(Digest, &str)| format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":5}}"#);
        let children: Vec<String> = children.iter().map(child).collect();
        let text = format!(
            r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
            children.join(",")
        );
        let (digest, tags) = (digest(of), tags.iter().map(|tag| parse(tag)).collect::<Vec<Tag>>());
        let manifest = NewManifest {
            repo: &self.repo,
            name: &self.name,
            digest: &digest,
            size: 5,
            facts: &ManifestFacts::parse(text.as_bytes(), None).unwrap(),
            referrer: None,
            tags: &tags,
            principal: "admin",
            leased_until: SystemTime::UNIX_EPOCH,
        };
        self.metadata.push_manifest(&manifest, &is_version).await.unwrap().map(|()| digest)
    }

    pub(crate) async fn delete(&self, digest: &Digest) -> Result<(), DeleteRefused> {
        let place = (&self.repo, &self.name);
        self.metadata.delete_hosted_manifest(place, digest, "admin", &is_version).await.unwrap()
    }
}

fn is_version(tag: &Tag) -> bool {
    tag.as_str().starts_with('v')
}

#[tokio::test]
async fn a_manifest_comes_with_everything_it_lists_or_not_at_all() {
    let rows = Rows::new().await;
    let missing = rows.index("index", &[digest("child")], &["latest"]).await;
    assert!(matches!(missing, Err(PushRefused::Missing { digest: of, .. }) if of == digest("child")), "{missing:?}");
    assert!(!rows.metadata.has_hosted_name(&rows.repo, &rows.name).await.unwrap());
    let child = rows.index("child", &[], &[]).await.unwrap();
    // A child that is listed twice, and one that is a blob.
    let blob = rows.blob("blob").await;
    rows.index("index", &[child, child, blob], &["latest"]).await.unwrap();
    let found = rows.metadata.find_hosted_tag(&rows.repo, &rows.name, &parse("latest")).await.unwrap().unwrap();
    assert_eq!(found.digest, digest("index"));
}

#[tokio::test]
async fn what_an_index_lists_as_a_manifest_can_be_pulled_as_one() {
    let rows = Rows::new().await;
    let blob = rows.blob("blob").await;
    let (image, index) = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json");
    for kind in [image, index, "application/vnd.docker.distribution.manifest.v2+json"] {
        let refused = rows.index_of("index", &[(blob, kind)], &["latest"]).await;
        assert!(matches!(refused, Err(PushRefused::Missing { digest, .. }) if digest == blob), "{kind}: {refused:?}");
    }
    let child = rows.index("child", &[], &[]).await.unwrap();
    let refused = rows.index_of("index", &[(child, image)], &["latest"]).await;
    assert!(matches!(refused, Err(PushRefused::WrongType { digest, .. }) if digest == child), "{refused:?}");
    assert!(rows.metadata.find_hosted_tag(&rows.repo, &rows.name, &parse("latest")).await.unwrap().is_none());
    rows.index_of("index", &[(child, index), (blob, "text/plain")], &["latest"]).await.unwrap();
}

#[tokio::test]
async fn an_immutable_tag_holds_what_leads_down_from_it() {
    let rows = Rows::new().await;
    let blob = rows.blob("blob").await;
    let child = rows.index("child", &[blob], &["latest"]).await.unwrap();
    let top = rows.index("top", &[child], &["v1"]).await.unwrap();
    let moved = rows.index("other", &[], &["x", "v1"]).await;
    assert!(matches!(moved, Err(PushRefused::Immutable { current, .. }) if current == top), "{moved:?}");
    assert!(rows.metadata.find_hosted_tag(&rows.repo, &rows.name, &parse("x")).await.unwrap().is_none());
    for held in [child, top] {
        assert_eq!(rows.delete(&held).await, Err(DeleteRefused::Immutable { tag: parse("v1") }));
    }
    let place = (&rows.repo, &rows.name);
    let refused = rows.metadata.delete_hosted_blob(place, &blob, &is_version).await.unwrap();
    assert_eq!(refused, Err(DeleteRefused::Immutable { tag: parse("v1") }));
    let free = rows.index("free", &[child], &["next"]).await.unwrap();
    assert_eq!(rows.delete(&free).await, Ok(()));
    assert_eq!(rows.delete(&free).await, Err(DeleteRefused::NotThere));
}

#[tokio::test]
async fn every_move_of_a_tag_is_an_event_and_a_deleted_manifest_takes_its_tags() {
    let rows = Rows::new().await;
    let one = rows.index("one", &[], &["latest"]).await.unwrap();
    rows.index("one", &[], &["latest"]).await.unwrap();
    let two = rows.index("two", &[], &["latest"]).await.unwrap();
    rows.delete(&two).await.unwrap();
    let events = rows.metadata.hosted_tag_history(&rows.repo, &rows.name, &parse("latest"), 10).await.unwrap();
    let moves: Vec<_> = events.iter().map(|event| (event.digest, event.principal.as_str())).collect();
    assert_eq!(moves, [(None, "admin"), (Some(two), "admin"), (Some(one), "admin")]);
    assert!(rows.metadata.find_hosted_manifest(&rows.repo, &rows.name, &one).await.unwrap().is_some());
}

#[tokio::test]
async fn a_blob_goes_when_nobody_has_it_and_is_mounted_only_from_who_has() {
    let rows = Rows::new().await;
    let (blob, other) = (rows.blob("blob").await, parse::<RepositoryName>("other"));
    let mount = async |from| {
        rows.metadata.mount_hosted_blob(&rows.repo, &other, &blob, from, SystemTime::UNIX_EPOCH).await.unwrap()
    };
    let stranger: RepoKey = parse("strange");
    assert_eq!(mount(MountFrom::Name(&stranger, &rows.name)).await, Mounted::NotThere);
    assert_eq!(mount(MountFrom::Anywhere(std::slice::from_ref(&stranger))).await, Mounted::NotThere);
    assert_eq!(mount(MountFrom::Anywhere(&[stranger.clone(), rows.repo.clone()])).await, Mounted::Linked);
    for name in [&rows.name, &other] {
        assert!(!rows.metadata.forget_hosted_blob(&blob).await.unwrap(), "{name} has it");
        rows.metadata.delete_hosted_blob((&rows.repo, name), &blob, &is_version).await.unwrap().unwrap();
    }
    assert_eq!(rows.metadata.unneeded_hosted_blobs().await.unwrap(), [blob]);
    assert!(rows.metadata.forget_hosted_blob(&blob).await.unwrap());
    assert!(!rows.metadata.has_hosted_blob(&blob).await.unwrap());
    assert!(!rows.metadata.has_hosted_content(&rows.repo).await.unwrap());
}

#[tokio::test]
async fn lists_come_in_the_order_of_bytes_and_in_pages() {
    let rows = Rows::new().await;
    rows.index("one", &[], &["b", "a.1", "a-1", "B", "_x", "10"]).await.unwrap();
    let page = async |after: &str| {
        let tags = rows.metadata.list_hosted_tags(&rows.repo, &rows.name, after, 4).await.unwrap();
        tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(page("").await, "10 B _x a-1");
    assert_eq!(page("a-1").await, "a.1 b");
    assert_eq!(page("zz").await, "");
    let names = rows.metadata.list_hosted_names(&rows.repo, "", 10).await.unwrap();
    assert_eq!(names, std::slice::from_ref(&rows.name));
}
