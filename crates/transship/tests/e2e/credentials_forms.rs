//! Private images through the program with each form of credential; no secret is shown, and the API takes no form that
//! reads files or runs programs.
//!
//! Must not know: the login flows; the fakes of the registries do. Invariant: what a registry gives away without a login
//! is nothing, so an image that arrives was logged in for.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mock_upstream::registries::{FakeRegistry, PASSWORD};
use serde_json::{Value, json};
use testkit::image::Image;
use testkit::transship_process::{TransshipProcess, TransshipSetup};

use crate::http;
use crate::lab::{Lab, PROGRAM, manage};

const SECRET: &str = "canary-cloud-4f1d";
const SEALING_KEY: &str = "5ea1000000000000000000000000000000000000000000000000000000000001";

/// The services of three clouds: a login for Amazon's, a token for Google's and one for an account of Azure's.
fn cloud(account_token: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !is_complete(&request) {
                match socket.read(&mut piece) {
                    Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
                    Ok(0) | Err(_) => break,
                }
            }
            let request = String::from_utf8_lossy(&request);
            let answer = match request.split(' ').nth(1).unwrap_or_default() {
                "/" => {
                    json!({"authorizationData": [{"authorizationToken": STANDARD.encode(format!("AWS:{PASSWORD}"))}]})
                }
                "/token" => json!({"access_token": PASSWORD, "expires_in": 3600}),
                // Roles: of a container or machine, of a service account, and the way to the machine's.
                "/v1/role" | "/latest/meta-data/iam/security-credentials/ecr-puller" => {
                    json!({"AccessKeyId": "AKID", "SecretAccessKey": SECRET, "Token": SECRET})
                }
                "/latest/api/token" => json!("session"),
                "/latest/meta-data/iam/security-credentials/" => json!("ecr-puller"),
                "/sts" => json!(format!(
                    "<AccessKeyId>AKID</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{SECRET}</SessionToken>"
                )),
                _ => json!({ "access_token": account_token }),
            };
            let answer = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
            // Whoever asked may be gone.
            drop(socket.write_all([head, answer].concat().as_bytes()));
        }
    });
    url
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A program that prints this and writes its environment down.
fn script(folder: &Path, name: &str, prints: &Value) -> String {
    let path = folder.join(name);
    let path = path.to_str().unwrap();
    let text = format!("#!/bin/sh\nenv >{path}.environment\ncat >/dev/null\necho '{prints}'\n");
    // Written by another process: while this one has it open for writing it cannot be run.
    let write = format!("cat >{path} <<'EOF'\n{text}EOF\nchmod +x {path}");
    assert!(Command::new("/bin/sh").args(["-c", &write]).status().unwrap().success());
    path.to_owned()
}

/// Each form: its key, the fake that wants it, and `auth`.
fn forms(folder: &Path, fakes: &[FakeRegistry]) -> Vec<Value> {
    let file = |name: &str, content: String| {
        fs::write(folder.join(name), content).unwrap();
        folder.join(name)
    };
    let account = |at: usize| fakes[at].account().unwrap();
    let (refresh, account_token) = fakes[5].refresh().unwrap();
    let entry = json!({ "auth": STANDARD.encode(format!("{}:{PASSWORD}", account(0).username)) });
    let config = json!({ "auths": { fakes[0].origin().host(): entry } });
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = json!({ "client_email": "puller@project.example", "private_key": key });
    let cloud = cloud(account_token);
    vec![
        json!({ "docker_config": file("config.json", config.to_string()) }),
        json!({ "helper": script(folder, "helper", &json!({"Username": account(1).username, "Secret": PASSWORD})) }),
        json!({ "exec": { "command": [
            script(folder, "program", &json!({"username": account(2).username, "password": PASSWORD}))
        ] } }),
        json!({ "ecr": { "access_key_id": "AKID", "secret_access_key": SECRET, "region": "eu-west-1", "endpoint": cloud } }),
        json!({ "google": { "key_file": file("key.json", key.to_string()), "endpoint": format!("{cloud}/token") } }),
        json!({ "azure": { "tenant": "contoso", "client_id": "app", "client_secret": SECRET, "endpoint": cloud } }),
        json!({ "identity_token": refresh }),
        json!({ "username": account(7).username, "password_file": file("password", format!("{PASSWORD}\n")) }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_comes_with_each_form_and_no_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let registries = ["distribution", "nexus", "ghcr", "ecr", "gar", "acr", "acr", "harbor"];
    let fakes: Vec<_> = registries.iter().map(|key| FakeRegistry::start(key).unwrap()).collect();
    let auths = forms(folder.path(), &fakes);
    let repos = fakes.iter().zip(&auths).enumerate().map(|(at, (fake, auth))| {
        (format!("form{at}"), json!({ "upstream": fake.origin().url(), "internal": true, "auth": auth }))
    });
    let config = json!({ "repos": repos.collect::<serde_json::Map<_, _>>() }).to_string();
    let args = ["--log-level", "trace"].map(str::to_owned).to_vec();
    let env = vec![("TRANSSHIP_SECRETS_KEY".to_owned(), SEALING_KEY.to_owned())];
    let setup = TransshipSetup { config: Some(config), args, env, ..TransshipSetup::default() };
    let transship = TransshipProcess::start(PROGRAM, setup);
    let client = http::client();
    let mut shown = String::new();
    for (at, fake) in fakes.iter().enumerate() {
        let image = Image::small(at as u64, 20_000);
        fake.add_image("1.0", &image);
        let name = format!("{}/v2/form{at}/{}", transship.url(), fake.pull_name());
        let manifest = http::send(&client, "GET", &format!("{name}/manifests/1.0"), &[], Vec::new()).await;
        let found = (manifest.status, manifest.body == image.manifest.bytes);
        assert_eq!(found, (200, true), "{}: {}\n{}", auths[at], manifest.text(), transship.log_text());
        let layer = &image.layers()[0];
        let blob = http::send(&client, "GET", &format!("{name}/blobs/{}", layer.digest), &[], Vec::new()).await;
        assert_eq!((blob.status, blob.body == layer.bytes), (200, true), "{at}");
        let heads = format!("{:?} {:?}", manifest.headers, blob.headers);
        shown.push_str(&heads);
        shown += &manage(&client, &transship, "GET", &format!("/api/repos/form{at}"), None).await.text();
        let basic = fake.account().unwrap().basic();
        let leaked = fake.asked_beyond().iter().any(|seen| {
            let seen = format!("{seen:?}");
            seen.contains(&basic) || seen.contains(PASSWORD) || seen.contains("fake-refresh-token")
        });
        assert!(!leaked, "{at}: a login went to the CDN");
    }
    for program in ["helper", "program"] {
        let environment = fs::read_to_string(folder.path().join(format!("{program}.environment"))).unwrap();
        let told = environment.contains(SEALING_KEY) || environment.contains(PASSWORD);
        assert!(!told && environment.contains("PATH="), "{program}");
    }
    shown += &http::send(&client, "GET", &format!("{}/metrics", transship.url()), &[], Vec::new()).await.text();
    shown += &manage(&client, &transship, "GET", "/api/repos", None).await.text();
    shown += &fs::read_to_string(format!("/proc/{}/cmdline", transship.pid())).unwrap();
    shown += &transship.log_text();
    let basics = fakes.iter().filter_map(FakeRegistry::account).map(|account| account.basic()[6..].to_owned());
    let secrets = [PASSWORD, SECRET, SEALING_KEY, "fake-refresh-token", "fake-cloud-token", "BEGIN PRIVATE KEY"];
    assert!(shown.contains("transship::upstream"), "there is something to search");
    for secret in secrets.into_iter().map(str::to_owned).chain(basics) {
        let place = shown.find(&secret).map(|at| shown[at.saturating_sub(300)..at].to_owned());
        assert_eq!(place, None, "{secret} is shown after this");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_what_reads_files_runs_programs_or_uses_this_machines_identity() {
    let lab = Lab::start();
    for (auth, field) in [
        (json!({"docker_config": "/etc/passwd"}), "auth.docker_config"),
        (json!({"username": "u", "password_file": "/etc/passwd"}), "auth.password_file"),
        (json!({"token_file": "/etc/passwd"}), "auth.token_file"),
        (json!({"helper": "/bin/true"}), "auth.helper"),
        (json!({"exec": {"command": ["/bin/true"]}}), "auth.exec.command"),
        (json!({"ecr": {}}), "auth.ecr.access_key_id"),
        (json!({"google": {"key_file": "/etc/passwd"}}), "auth.google.key_file"),
        (json!({"google": {"metadata": true}}), "auth.google.metadata"),
        (json!({"google": {"access_token": SECRET, "endpoint": "https://e.example"}}), "auth.google.endpoint"),
        (json!({"azure": {"managed_identity": true}}), "auth.azure.managed_identity"),
    ] {
        let document = json!({ "key": "new", "upstream": "https://registry.example", "auth": auth });
        let answer = lab.api("POST", "/api/repos", Some(document)).await;
        let text = answer.text();
        assert_eq!(answer.status, 400, "{field}: {text}");
        assert!(text.contains(field) && !text.contains(SECRET), "{field}: {text}");
    }
    assert_eq!(lab.api("GET", "/api/repos/new", None).await.status, 404);
    assert!(!lab.transship.log_text().contains(SECRET));
}

/// Pulls an image of an ECR with `auth: {ecr: {}}` by a program with these variables; the status, and all that was said.
async fn pulled_with(variables: &[(&str, &str)]) -> (u16, String) {
    let fake = FakeRegistry::start("ecr").unwrap();
    fake.add_image("1.0", &Image::small(1, 20_000));
    let auth = json!({ "ecr": { "region": "eu-west-1", "endpoint": cloud(SECRET) } });
    let repo = json!({ "upstream": fake.origin().url(), "internal": true, "auth": auth });
    let config = json!({ "repos": { "form": repo } }).to_string();
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let args = ["--log-level", "trace"].map(str::to_owned).to_vec();
    let transship = TransshipProcess::start(
        PROGRAM,
        TransshipSetup { config: Some(config), args, env, ..TransshipSetup::default() },
    );
    let url = format!("{}/v2/form/{}/manifests/1.0", transship.url(), fake.pull_name());
    let answer = http::send(&http::client(), "GET", &url, &[], Vec::new()).await;
    (answer.status, answer.text() + &transship.log_text())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_says_whose_role_logs_in_at_amazons_registries() {
    let services = cloud(SECRET);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, SECRET).unwrap();
    let (role, sts) = (format!("{services}/v1/role"), format!("{services}/sts"));
    let container =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", SECRET)];
    let service_account = [
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/puller"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", sts.as_str()),
    ];
    let machine = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", services.as_str())];
    for variables in [&container[..], &service_account, &machine] {
        let (status, said) = pulled_with(variables).await;
        assert_eq!(status, 200, "{variables:?}: {said}");
        assert!(!said.contains(SECRET) && !said.contains(PASSWORD), "{variables:?}: a secret is shown");
    }
    let (status, said) = pulled_with(&[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    assert!(status >= 500 && said.contains("there is no access key"), "{status}: {said}");
}
