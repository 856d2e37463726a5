//! Proxies: who is asked, who resolves, and who gets which credential.

use client::{Authorities, ClientError, Network, Proxies, ProxyServer, Reach, RegistryClient, Secret, UpstreamConfig};
use testkit::proxy::Proxy;

use crate::authority::{Authority, Flaw, tls_face};
use crate::support::*;

const PROXY_CANARY: &str = "proxy-c%nary@1";

fn through(scheme: &str, proxy: &Proxy, login: Option<&str>, except: &[&str]) -> Network {
    let login = login.map(|user| (user.to_owned(), Secret::new(PROXY_CANARY)));
    let server = ProxyServer::new(&format!("{scheme}://{}", proxy.host()), login).unwrap();
    let except = except.iter().map(|host| (*host).to_owned()).collect();
    Network { proxies: Proxies::all(&server, except), ..Network::default() }
}

async fn pull(client: &RegistryClient) -> Result<(), ClientError> {
    client.get_manifest(&name(), &tag(), None).await.map(drop)
}

fn asking_for_login(seen: &Seen) -> Reply {
    match seen.authorization() {
        Some(CANARY_BASIC) => manifest_reply(),
        _ => Reply::challenge(r#"Basic realm="r""#),
    }
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_each_credential_to_whom_it_is_for() {
    let server = Server::start(asking_for_login).await;
    let authority = Authority::new();
    let (face, _) = tls_face(authority.server(&["r.example"], Flaw::None), &server.address()).await;
    // "ci:proxy-c%nary@1"
    let login = "Basic Y2k6cHJveHktYyVuYXJ5QDE=";
    let proxy = Proxy::http(&[("r.example", face)], Some(login));
    let network = Network {
        authorities: Authorities::from_pem(authority.pem.as_bytes()).unwrap(),
        ..through("http", &proxy, Some("ci"), &[])
    };
    let config = UpstreamConfig { network, ..UpstreamConfig::new("https://r.example:8443".parse().unwrap()) };
    pull(&client(with_basic(config))).await.unwrap_or_else(|error| panic!("{error}"));
    let seen = proxy.seen();
    assert!(seen.iter().all(|passage| passage.verb == "CONNECT" && passage.target == "r.example:8443"), "{seen:?}");
    assert!(seen.iter().all(|passage| passage.login.as_deref() == Some(login)), "the proxy got its login");
    assert!(!seen.iter().any(|passage| passage.head.contains(CANARY_BASIC)), "and not the upstream's");
    assert!(server.seen().iter().all(|seen| seen.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn plain_http_is_forwarded() {
    let server = Server::start(|_| manifest_reply().then(Then::Close)).await;
    let proxy = Proxy::http(&[("r.example", server.address().parse().unwrap())], None);
    let network = through("http", &proxy, None, &[]);
    let config = UpstreamConfig { network, ..UpstreamConfig::new("http://r.example:5000".parse().unwrap()) };
    pull(&client(config)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(proxy.seen()[0].target, "r.example:5000");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn socks_resolves_where_the_scheme_says() {
    let server = Server::start(|_| manifest_reply()).await;
    let (address, port) = (server.address().parse().unwrap(), server.url.port().unwrap());
    let login = format!("ci:{PROXY_CANARY}");
    let proxy = Proxy::socks5(&[("r.example", address)], Some(&login));
    let network = through("socks5h", &proxy, Some("ci"), &[]);
    let config = UpstreamConfig { network, ..UpstreamConfig::new("http://r.example".parse().unwrap()) };
    pull(&client(config)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(proxy.seen()[0].target, "r.example:80", "the proxy resolves");
    assert_eq!(proxy.seen()[0].login, Some(login));

    let proxy = Proxy::socks5(&[], None);
    let here = format!("http://localhost:{port}").parse().unwrap();
    let network = through("socks5", &proxy, None, &[]);
    let config = UpstreamConfig { network, reach: Reach::Internal, ..UpstreamConfig::new(here) };
    pull(&client(config)).await.unwrap_or_else(|error| panic!("{error}"));
    let target = &proxy.seen()[0].target;
    assert!(["127.0.0.1", "[::1]"].iter().any(|here| *target == format!("{here}:{port}")), "resolved here: {target}");
}

#[tokio::test]
async fn exceptions_are_asked_directly() {
    let server = Server::start(|_| manifest_reply()).await;
    let proxy = Proxy::http(&[], None);
    let network = through("http", &proxy, None, &["127.0.0.0/8"]);
    pull(&client(UpstreamConfig { network, ..config(&server) })).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((proxy.seen().len(), server.seen().len()), (0, 1));
}

#[tokio::test]
async fn a_public_upstream_gets_no_private_target_through_a_proxy() {
    for target in ["http://10.0.0.1/x", "http://localhost/x", "http://169.254.169.254/x", "http://[::ffff:127.0.0.1]/x"]
    {
        let server = Server::start(move |_| Reply::redirect(target).then(Then::Close)).await;
        let proxy = Proxy::http(&[("r.example", server.address().parse().unwrap())], None);
        let network = through("http", &proxy, None, &[]);
        let config = UpstreamConfig { network, ..UpstreamConfig::new("http://r.example".parse().unwrap()) };
        let error = pull(&client(config)).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }), "{target}: {error:?}");
        assert!(proxy.seen().iter().all(|passage| passage.target == "r.example:80"), "{target}: {:?}", proxy.seen());
    }
}

#[tokio::test]
async fn a_login_that_the_proxy_refuses_is_told_without_it() {
    let proxy = Proxy::http(&[], Some("Basic b3RoZXI6bG9naW4="));
    let network = through("http", &proxy, Some("ci"), &[]);
    let url = "https://r.example".parse().unwrap();
    let config = UpstreamConfig { network, max_attempts: 1, ..UpstreamConfig::new(url) };
    let error = pull(&client(config)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("proxy auth"), "{error}");
    assert!(!format!("{error} {error:?}").contains(PROXY_CANARY));
}

const UPSTREAM_OF_CHILD: &str = "TRANSSHIP_TEST_UPSTREAM";

#[tokio::test]
#[ignore = "run by the next test, which puts proxies into its environment"]
async fn child_with_proxies_in_its_environment() {
    let url = std::env::var(UPSTREAM_OF_CHILD).unwrap().parse().unwrap();
    let config = UpstreamConfig { reach: Reach::Internal, ..UpstreamConfig::new(url) };
    pull(&client(config)).await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_picked_up() {
    let server = Server::start(|_| manifest_reply()).await;
    let proxy = Proxy::http(&[], None);
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "proxies::child_with_proxies_in_its_environment"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, format!("http://{}", proxy.host()));
    }
    let output = child.env_remove("NO_PROXY").env(UPSTREAM_OF_CHILD, server.url.as_str()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((proxy.seen().len(), server.seen().len()), (0, 1));
}
