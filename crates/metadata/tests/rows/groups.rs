//! Which member keeps a name of a group, and tags that differ between members.

use metadata::{DifferingTag, NewManifest, TagObservation, TagsOf};
use oci::{ManifestFacts, MediaType, RepoKey, RepositoryName, Tag};

use crate::fixture::{Fixture, at, digest, parse};

#[tokio::test]
async fn one_member_keeps_a_name_until_it_is_released() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (group, name): (RepoKey, RepositoryName) = (parse("all"), parse("team/app"));
    assert_eq!(metadata.find_group_name(&group, &name).await.unwrap(), None);
    metadata.keep_group_name(&group, &name, &parse("corp"), at(1)).await.unwrap();
    metadata.keep_group_name(&group, &name, &parse("corp"), at(2)).await.unwrap();
    let row = metadata.find_group_name(&group, &name).await.unwrap().unwrap();
    assert_eq!((row.member.as_str(), row.since, row.checked_at), ("corp", at(1), at(2)));
    metadata.keep_group_name(&group, &name, &parse("rel"), at(3)).await.unwrap();
    let row = metadata.find_group_name(&group, &name).await.unwrap().unwrap();
    assert_eq!((row.member.as_str(), row.since, row.checked_at), ("rel", at(3), at(3)), "it has changed hands");
    metadata.keep_group_name(&group, &parse("b"), &parse("rel"), at(3)).await.unwrap();
    metadata.keep_group_name(&parse("other"), &name, &parse("hub"), at(3)).await.unwrap();
    metadata.close().await;
    let metadata = fixture.open().await;
    let names = async |after, limit| {
        let rows = metadata.list_group_names(&group, after, limit).await.unwrap();
        rows.iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("", 10).await, ["b", "team/app"], "a restart forgets none");
    assert_eq!((names("", 1).await, names("b", 1).await), (vec!["b".to_owned()], vec!["team/app".to_owned()]));
    assert!(metadata.release_group_name(&group, &name).await.unwrap());
    assert!(!metadata.release_group_name(&group, &name).await.unwrap());
    assert_eq!(names("", 10).await, ["b"]);
    metadata.release_group_names(&group).await.unwrap();
    assert_eq!(names("", 10).await, [""; 0]);
    assert!(metadata.find_group_name(&parse("other"), &name).await.unwrap().is_some(), "another group's names stay");
}

fn never(_: &Tag) -> bool {
    false
}

#[tokio::test]
async fn tags_that_differ_are_found_between_members_of_all_kinds() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let name: RepositoryName = parse("app");
    let push = async |repo: &str, of: &str, tag: &str| {
        let facts =
            ManifestFacts::parse(br#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#, None);
        let manifest = NewManifest {
            repo: &parse(repo),
            name: &name,
            digest: &digest(of),
            size: 5,
            facts: &facts.unwrap(),
            referrer: None,
            tags: &[parse(tag)],
            principal: "admin",
            leased_until: at(0),
        };
        metadata.push_manifest(&manifest, &never).await.unwrap().unwrap();
    };
    let observe = async |repo: &str, of: &str, tag: &str| {
        let observation = TagObservation {
            repo: parse(repo),
            name: name.clone(),
            tag: parse(tag),
            digest: digest(of),
            media_type: MediaType::OCI_IMAGE_MANIFEST,
            upstream: "https://r.example".into(),
            observed_at: at(1),
            sequence: 1,
        };
        metadata.observe_tag(observation).await.unwrap();
    };
    for (of, tag) in [("one", "v1"), ("same", "v2"), ("only", "v3")] {
        push("rel", of, tag).await;
    }
    push("other", "two", "v1").await;
    for (repo, of, tag) in [("hub", "three", "v1"), ("hub", "same", "v2"), ("corp", "four", "v1"), ("corp", "x", "v9")]
    {
        observe(repo, of, tag).await;
    }
    assert!(metadata.has_hosted_manifests(&parse("rel"), &name).await.unwrap());
    assert!(!metadata.has_hosted_manifests(&parse("hub"), &name).await.unwrap());
    assert!(metadata.has_known_name(&parse("hub"), &name).await.unwrap());
    assert!(!metadata.has_known_name(&parse("rel"), &name).await.unwrap());
    let (rel, other, hub, corp) = (parse("rel"), parse("other"), parse("hub"), parse("corp"));
    let cases = [
        (TagsOf::Hosted(&rel), TagsOf::Hosted(&other), "one", "two"),
        (TagsOf::Hosted(&rel), TagsOf::Proxy(&hub), "one", "three"),
        (TagsOf::Proxy(&hub), TagsOf::Hosted(&rel), "three", "one"),
        (TagsOf::Proxy(&hub), TagsOf::Proxy(&corp), "three", "four"),
    ];
    for (first, second, one, two) in cases {
        let found = metadata.differing_tags(first, second, 10).await.unwrap();
        let expected = DifferingTag { name: name.clone(), tag: parse("v1"), first: digest(one), second: digest(two) };
        assert_eq!(found, [expected], "{first:?} {second:?}");
        assert_eq!(metadata.differing_tags(first, second, 0).await.unwrap(), []);
    }
}
