//! Roles for Amazon's registries: of a machine, of a container, of a service account; and what none of them gives away.

use client::{
    AwsIdentity, ContainerAuthorization, ContainerRole, CredentialSource, EcrLogin, RegistryClient, Secret, WebIdentity,
};
use serde_json::json;

use crate::ecr::{SECRET_KEY, SESSION, endpoint, registry};
use crate::entries::*;
use crate::support::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
const WEB_TOKEN: &str = "header.payload.canary-s3cr3t";

fn document() -> Reply {
    Reply::json(&json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": SECRET_KEY, "Token": SESSION,
        "LastUpdated": "2030-01-01T00:00:00Z", "Expiration": "2030-01-01T06:00:00Z",
    }))
}

fn client_of(server: &Server, login: &Server, identity: AwsIdentity) -> RegistryClient {
    let login = EcrLogin { identity, region: Some("eu-west-1".into()), endpoint: Some(login.url.clone()) };
    with_source(server, CredentialSource::Ecr(Box::new(login)))
}

/// A machine's metadata service of the second version: without a session it says nothing.
async fn machine() -> Server {
    Server::start(|seen| match (seen.method.as_str(), seen.path()) {
        ("PUT", "/latest/api/token") if seen.header("x-aws-ec2-metadata-token-ttl-seconds").is_some() => {
            Reply::ok("session-of-the-machine")
        }
        ("GET", _) if seen.header("x-aws-ec2-metadata-token") != Some("session-of-the-machine") => {
            Reply::new(401, &[], "")
        }
        ("GET", ROLE) => Reply::ok("ecr-puller\n"),
        ("GET", path) if path.strip_prefix(ROLE) == Some("ecr-puller") => document(),
        _ => Reply::new(404, &[], ""),
    })
    .await
}

#[tokio::test]
async fn a_machines_role_signs_the_request_for_a_login() {
    let (machine, login, server) = (machine().await, endpoint().await, registry().await);
    let identity = AwsIdentity::Machine { endpoint: Some(machine.url.clone()) };
    let client = client_of(&server, &login, identity);
    pull(&client).await.unwrap();
    pull(&client).await.unwrap();
    let asked: Vec<_> = machine.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path())).collect();
    let document = format!("GET {ROLE}ecr-puller");
    assert_eq!(asked, ["PUT /latest/api/token", &format!("GET {ROLE}"), &document], "once, and nothing else");
    assert_eq!(login.seen().len(), 1);
    let sent = format!("{:?}{:?}", server.seen(), login.seen());
    assert!(!sent.contains("session-of-the-machine") && !sent.contains(SECRET_KEY), "{sent}");
}

#[tokio::test]
async fn the_first_version_is_not_fallen_back_to_and_a_role_leads_nowhere_else() {
    let (login, server) = (endpoint().await, registry().await);
    // Old services answer without a session; nobody asks them so.
    let old = Server::start(|seen| match seen.path() {
        "/latest/api/token" => Reply::new(404, &[], ""),
        ROLE => Reply::ok("ecr-puller"),
        _ => document(),
    })
    .await;
    let why =
        pull_without_credential(&client_of(&server, &login, AwsIdentity::Machine { endpoint: Some(old.url.clone()) }))
            .await;
    assert_eq!(old.seen().len(), 1, "{why}");
    for role in ["../../user-data", "<html>", ""] {
        let odd = Server::start(move |seen| match seen.path() {
            "/latest/api/token" => Reply::ok("t"),
            ROLE => Reply::ok(role),
            _ => document(),
        })
        .await;
        let identity = AwsIdentity::Machine { endpoint: Some(odd.url.clone()) };
        let why = pull_without_credential(&client_of(&server, &login, identity)).await;
        assert!(why.contains("the machine has no role"), "{why}");
        assert_eq!(odd.seen().len(), 2);
    }
    assert!(login.seen().is_empty());
    server.assert_no_credential();
}

#[tokio::test]
async fn a_containers_role_comes_from_the_agent_that_is_shown_its_authorization() {
    let (login, server) = (endpoint().await, registry().await);
    let agent = Server::start(|seen| match (seen.path(), seen.authorization()) {
        ("/v1/credentials", Some("pod-canary-s3cr3t")) => document(),
        _ => Reply::new(403, &[], format!("{seen:?}")),
    })
    .await;
    let role = |value: &'static str| {
        let authorization = Some(ContainerAuthorization::Value(Secret::new(value)));
        AwsIdentity::Container(ContainerRole { url: agent.at("/v1/credentials").parse().unwrap(), authorization })
    };
    pull(&client_of(&server, &login, role("pod-canary-s3cr3t"))).await.unwrap();
    let why = pull_without_credential(&client_of(&server, &login, role("wrong-canary-s3cr3t"))).await;
    assert!(!why.contains("canary"), "{why}");
    let far = ContainerRole { url: "http://agent.example/role".parse().unwrap(), authorization: None };
    let why = pull_without_credential(&client_of(&server, &login, AwsIdentity::Container(far))).await;
    assert!(why.contains("it is not asked"), "{why}");
}

#[tokio::test]
async fn a_service_accounts_token_is_exchanged_and_read_anew_each_time() {
    let (login, server) = (endpoint().await, registry().await);
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, format!("{WEB_TOKEN}\n")).unwrap();
    let exchange = Server::start(|seen| {
        let has = |pair: &str| seen.body.split('&').any(|there| there == pair);
        let role = has("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpuller") && has("Action=AssumeRoleWithWebIdentity");
        if !role || !has(&format!("WebIdentityToken={WEB_TOKEN}")) || !has("RoleSessionName=transship") {
            return Reply::new(400, &[("content-type", "text/xml")], format!("<Error>{}</Error>", seen.body));
        }
        let keys = format!(
            "<Credentials><AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>\
             <SessionToken>{SESSION}</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>"
        );
        Reply::new(200, &[("content-type", "text/xml")], keys)
    })
    .await;
    let identity = |token_file| {
        AwsIdentity::WebIdentity(WebIdentity {
            role_arn: "arn:aws:iam::1:role/puller".into(),
            token_file,
            session_name: "transship".into(),
            endpoint: Some(exchange.url.clone()),
        })
    };
    pull(&client_of(&server, &login, identity(token_file.clone()))).await.unwrap();
    std::fs::write(&token_file, "other-canary-s3cr3t").unwrap();
    let why = pull_without_credential(&client_of(&server, &login, identity(token_file))).await;
    assert!(!why.contains("canary"), "{why}");
    let why = pull_without_credential(&client_of(&server, &login, identity(folder.path().join("none")))).await;
    assert!(why.contains("cannot read"), "{why}");
    let sent = format!("{:?}{:?}", server.seen(), login.seen());
    assert!(!sent.contains(WEB_TOKEN) && !sent.contains(SECRET_KEY), "{sent}");
}
