//! `Link` headers and token scopes.

use oci::{Action, InvalidLink, Link, Scope};
use proptest::prelude::*;

#[test]
fn pages_are_found_among_links() {
    let links = Link::parse_all(r#"</v2/a/tags/list?n=2&last=b>; rel="next"; title="a;b,c", <x>; rel=prev"#).unwrap();
    assert_eq!(links.len(), 2);
    assert!(links[0].is_next() && !links[1].is_next());
    assert_eq!(links[0].target(), "/v2/a/tags/list?n=2&last=b");
    for next in ["<a>;rel=next", "<a> ; REL=\"start Next\"", "<a>;;rel=next;rel=prev", "<a>;x;rel=next"] {
        assert!(Link::parse_all(next).expect(next)[0].is_next(), "{next}");
    }
    for other in ["<a>", "<a>;rel", "<a>;rel=prev;rel=next", "<a>;title=\"rel=next\""] {
        assert!(!Link::parse_all(other).expect(other)[0].is_next(), "{other}");
    }
    assert_eq!(Link::parse_all(" , ").unwrap(), []);
}

#[test]
fn links_that_are_not() {
    for text in ["next", "<a", "<a b>", "<a\r\nb>", "<é>", "<a>x", "<a>;rel=\"next", "<a> <b>", "<<a>>"] {
        let result = Link::parse_all(text);
        assert!(matches!(result, Err(InvalidLink::Malformed { .. })), "{text}: {result:?}");
    }
    assert_eq!(Link::parse_all(&"<a>,".repeat(33)), Err(InvalidLink::TooMany));
    assert_eq!(Link::parse_all(&format!("<{}>", "a".repeat(9000))), Err(InvalidLink::TooLong));
    for target in ["", "a b", "a>b", "a\nb", "é"] {
        assert_eq!(Link::next_page(target), None, "{target}");
    }
}

#[test]
fn scopes() {
    let scope = Scope::pull("library/debian".parse().unwrap());
    assert_eq!(scope.to_string(), "repository:library/debian:pull");
    assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
    let both: Scope = "repository:a:push,pull,push".parse().unwrap();
    assert_eq!(
        (both.to_string().as_str(), both.actions()),
        ("repository:a:pull,push", &[Action::Pull, Action::Push][..])
    );
    for text in [
        "",
        "repository",
        "repository:a",
        "repository:a:",
        "repository::pull",
        "repository:*:*",
        "repository:a:Pull",
        "repository:A:pull",
        "repository:a:pull,",
        "registry:catalog:*",
        "repository(plugin):a:pull",
        " repository:a:pull",
        &format!("repository:a:{}", "pull,".repeat(2000)),
    ] {
        assert!(text.parse::<Scope>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn link_round_trip(target in "[!-;=?-~]{1,60}") {
        let link = Link::next_page(&target).unwrap();
        prop_assert_eq!(Link::parse_all(&link.to_string()).unwrap(), vec![link]);
    }

    #[test]
    fn any_header_is_answered(header in any::<String>(), dense in "[<a>;=,\" \\\\rel]{0,40}") {
        for text in [header, dense] {
            for link in Link::parse_all(&text).unwrap_or_default() {
                prop_assert!(link.target().is_ascii());
            }
        }
    }

    #[test]
    fn any_scope_is_answered(text in "(repository:)?[a-z:,/*]{0,20}(:pull)?") {
        if let Ok(scope) = text.parse::<Scope>() {
            prop_assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
        }
    }
}
