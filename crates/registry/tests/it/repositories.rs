//! Repositories at run time: routing, creation, change, removal, validation.

use serde_json::{Value, json};
use testkit::image::Image;
use transship_registry::{PullError, RepositoryError, RouteQuery};

use crate::harness::Lab;

fn query<'a>(path: &'a str, ns: Option<&'a str>, host: Option<&'a str>, local_port: Option<u16>) -> RouteQuery<'a> {
    RouteQuery { path, ns, host, local_port }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_address_a_repository_leads_there() {
    let lab = Lab::with(json!({ "hosts": ["lab.example"], "listen": ["127.0.0.1:5999"] }), 1 << 30).await;
    let host = lab.upstream.host();
    let by_host = format!("{host}/team/app");
    for (path, ns, at, port) in [
        ("lab/team/app", None, None, None),
        (by_host.as_str(), None, None, None),
        ("team/app", Some(host.as_str()), Some("proxy.example:5000"), Some(5000)),
        ("lab/team/app", Some(host.as_str()), None, None),
        ("team/app", None, Some("lab.example"), None),
        ("team/app", None, Some("LAB.example:8443"), None),
        ("team/app", None, None, Some(5999)),
        ("team/app", Some("nobody.example"), None, Some(5999)),
    ] {
        let route = lab
            .registry
            .route(&query(path, ns, at, port))
            .unwrap_or_else(|e| panic!("{path} {ns:?} {at:?} {port:?}: {e}"));
        assert_eq!((&**route.repo.key(), route.name.as_ref()), ("lab", "team/app"), "{path} {ns:?} {at:?} {port:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_hub_has_four_names_and_the_library_rule() {
    let lab = Lab::new().await;
    for (path, ns) in [
        ("dockerhub/alpine", None),
        ("docker.io/alpine", None),
        ("registry-1.docker.io/library/alpine", None),
        ("index.docker.io/alpine", None),
        ("alpine", Some("docker.io")),
        ("library/alpine", Some("docker.io")),
    ] {
        let route = lab.registry.route(&query(path, ns, None, None)).unwrap();
        assert_eq!((&**route.repo.key(), route.name.as_ref()), ("dockerhub", "library/alpine"), "{path} {ns:?}");
        assert_eq!(route.namespace.as_deref(), ns);
    }
    let quay = lab.registry.route(&query("quay/app", None, None, None)).unwrap();
    assert_eq!(quay.name.as_ref(), "app", "no library/ elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_nowhere_says_what_would() {
    let lab = Lab::new().await;
    let unknown = lab.registry.route(&query("nowhere/app", None, None, None)).unwrap_err();
    assert!(
        matches!(&unknown, PullError::NameUnknown(text) if text.contains("dockerhub") && text.contains("lab")),
        "{unknown}"
    );
    assert!(matches!(lab.registry.route(&query("lab", None, None, None)), Err(PullError::NameUnknown(_))));
    assert!(matches!(
        lab.registry.route(&query("app", Some("nobody.example"), None, None)),
        Err(PullError::NameUnknown(_))
    ));
    for bad in ["lab/UPPER", "lab/a//b", "lab/.a", "lab/a/../b", "Ünicode/app", ""] {
        assert!(matches!(lab.registry.route(&query(bad, None, None, None)), Err(PullError::NameInvalid(_))), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_repository_serves_at_once_survives_a_restart_and_can_go() {
    let lab = Lab::new().await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let document = json!({ "key": "second", "kind": "proxy", "upstream": lab.upstream.url(), "internal": true });
    lab.registry.repositories().create(&document).await.unwrap();
    assert!(matches!(lab.registry.repositories().create(&document).await, Err(RepositoryError::Exists(_))));
    let pull = async |lab: &Lab| {
        let route = lab.registry.route(&query("second/team/app", None, None, None))?;
        lab.registry.pull_manifest(&route, &"v1".parse().unwrap()).await
    };
    pull(&lab).await.unwrap();
    let lab = lab.restart().await;
    pull(&lab).await.unwrap();
    lab.registry.repositories().delete(&"second".parse().unwrap()).await.unwrap();
    assert!(matches!(pull(&lab).await, Err(PullError::NameUnknown(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_now_pulls_from_elsewhere_forgets_its_tags() {
    let lab = Lab::new().await;
    let elsewhere = testkit::upstream::FakeUpstream::start();
    let old = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let new = elsewhere.add_image("team/app", "v1", &Image::small(2, 3000));
    let document = |url: String| json!({ "key": "second", "upstream": url, "internal": true });
    lab.registry.repositories().create(&document(lab.upstream.url())).await.unwrap();
    let pull = async || {
        let route = lab.registry.route(&query("second/team/app", None, None, None)).unwrap();
        lab.registry.pull_manifest(&route, &"v1".parse().unwrap()).await.unwrap().digest
    };
    assert_eq!(pull().await, old);
    lab.registry.repositories().replace(&"second".parse().unwrap(), &document(elsewhere.url())).await.unwrap();
    assert_eq!(pull().await, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_documents_are_refused_with_every_field_named() {
    let lab = Lab::new().await;
    let ok = "https://registry.example";
    let cases: Vec<(Value, &[&str])> = vec![
        (json!([]), &[""]),
        (json!({ "upstream": ok }), &["key"]),
        (json!({ "key": "Bad Key", "upstream": ok }), &["key"]),
        (json!({ "key": "a", "upstream": ok, "upstreams": [ok] }), &["upstreams"]),
        (json!({ "key": "a", "upstreams": [] }), &["upstreams"]),
        (
            json!({ "key": "a", "upstreams": 7, "strategy": "random", "health_check": "1ms" }),
            &["health_check", "strategy", "upstreams"],
        ),
        (
            json!({ "key": "a", "upstreams": [ok, ok, "http://127.0.0.1", 1, {"auth": {"username": "u"}, "typo": 1}] }),
            &[
                "upstreams[1]",
                "upstreams[2]",
                "upstreams[3]",
                "upstreams[4].auth.password",
                "upstreams[4].typo",
                "upstreams[4].url",
            ],
        ),
        (
            json!({ "key": "a", "upstreams": [{"url": ok, "token_hosts": ["t.example"]}], "token_hosts": ["u.example"] }),
            &["upstreams[0].token_hosts"],
        ),
        (json!({ "key": "v2", "upstream": ok }), &["key"]),
        (json!({ "key": "ghcr.io", "upstream": ok }), &["key"]),
        (json!({ "key": 7, "upstream": ok }), &["key"]),
        (json!({ "key": "a" }), &["upstream"]),
        (json!({ "key": "a", "upstream": "registry.example" }), &["upstream"]),
        (json!({ "key": "a", "upstream": "ftp://registry.example" }), &["upstream"]),
        (json!({ "key": "a", "upstream": "https://user:pw@registry.example" }), &["upstream"]),
        (json!({ "key": "a", "upstream": "http://127.0.0.1:5001" }), &["upstream"]),
        (json!({ "key": "a", "upstream": "http://[::ffff:10.0.0.1]" }), &["upstream"]),
        (json!({ "key": "a", "upstream": ok, "kind": "hosted" }), &["upstream"]),
        (json!({ "key": "a", "upstream": ok, "kind": "group" }), &["members", "upstream"]),
        (json!({ "key": "a", "upstream": ok, "listen": "127.0.0.1:5000" }), &["listen"]),
        (json!({ "key": "a", "upstream": ok, "auth": { "username": "x" } }), &["auth.password"]),
        (
            json!({ "key": "a", "upstream": ok, "tag_ttl": "soon", "hosts": ["no host"], "nonsense": 1, "internal": "yes" }),
            &["hosts[0]", "internal", "nonsense", "tag_ttl"],
        ),
    ];
    for (document, fields) in cases {
        match lab.registry.repositories().create(&document).await {
            Err(RepositoryError::Invalid(problems)) => {
                let mut paths: Vec<_> = problems.iter().map(|p| p.path.as_str()).collect();
                paths.sort_unstable();
                assert_eq!(paths, fields, "{document}");
            }
            other => panic!("{document}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_and_file_repositories_are_protected_in_their_ways() {
    let lab = Lab::new().await;
    let admin = lab.registry.repositories();
    let hub = json!({ "key": "dockerhub", "upstream": lab.upstream.url(), "internal": true });
    assert!(matches!(admin.delete(&"dockerhub".parse().unwrap()).await, Err(RepositoryError::Builtin(_))));
    admin.create(&hub).await.expect("a built-in one may be overridden");
    admin.delete(&"dockerhub".parse().unwrap()).await.unwrap();
    assert_eq!(admin.get(&"dockerhub".parse().unwrap()).unwrap().source.as_str(), "builtin", "and comes back");
    assert!(matches!(admin.delete(&"lab".parse().unwrap()).await, Err(RepositoryError::FromFile(_))));
    assert!(matches!(admin.delete(&"none".parse().unwrap()).await, Err(RepositoryError::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_never_shown() {
    let lab = Lab::new().await;
    let auth = json!({ "username": "ci", "password": "canary-secret" });
    let document = json!({ "key": "a", "upstream": "https://registry.example", "auth": auth });
    let shown = lab.registry.repositories().create(&document).await.unwrap();
    assert!(!format!("{shown:?} {:?} {}", lab.registry, shown.document).contains("canary-secret"));
    let auth = json!({ "username": "mirror-reader", "password": "canary-secret" });
    let mirror = json!({ "url": "https://mirror.example", "auth": auth, "internal": true });
    let document = json!({ "key": "b", "auth": auth, "upstreams": ["https://registry.example", mirror] });
    let shown = lab.registry.repositories().create(&document).await.unwrap();
    assert!(!format!("{shown:?} {:?} {}", lab.registry, shown.document).contains("canary-secret"));
    let login = json!({ "username": "mirror-reader", "has_password": true });
    for upstream in [0, 1] {
        assert_eq!(shown.document["upstreams"][upstream]["auth"], login, "each upstream shows who logs in");
    }
    assert_eq!(shown.document["upstreams"][1]["internal"], true);
    assert_eq!(shown.document["upstreams"][0]["internal"], false, "what one upstream may, another may not");
    assert_eq!(shown.document["health_check"], "30s");
}
