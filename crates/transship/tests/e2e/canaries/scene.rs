//! The upstreams, clouds, proxy, CDN and collector of the scan, and the program before them with a secret for each.
//!
//! Must not know: what is done with the program. Invariant: every secret is a text that stands nowhere else; a host is
//! listed with the secrets that it may see.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use testkit::image::Image;
use testkit::proxy::Proxy;
use testkit::transship_process::{TransshipProcess, TransshipSetup};
use testkit::upstream::{
    Access, Account, Accounts, BearerManner, BearerRules, FakeUpstream, Fault, Kind, Location, Login, Nobody, Target,
};

use super::places::Shown;
use crate::http::{self, Answer};
use crate::lab::{NAME, PROGRAM, comes_true, manage};
use crate::traces::collector;

/// The value of presigned queries.
pub(crate) const SIGNATURE: &str = "canary-signature-0c11";
const BASIC: &str = "canary-basic-1a01";
const BEARER: &str = "canary-bearer-2b02";
const TOKEN_HOST: &str = "canary-tokenhost-3c03";
const STATIC: &str = "canary-static-4d04";
const IDENTITY: &str = "canary-identity-5e05";
const FILE: &str = "canary-file-6f06";
const CONFIG_FILE: &str = "canary-dockerconfig-7a07";
const HELPER: &str = "canary-helper-8b08";
const PROGRAM_SECRET: &str = "canary-exec-9c09";
const AWS_KEY: &str = "canary-awssecret-ad10";
const AWS_PASSWORD: &str = "canary-awslogin-be11";
const GOOGLE: &str = "canary-google-cf12";
const AZURE_SECRET: &str = "canary-azuresecret-da13";
const AZURE_TOKEN: &str = "canary-azuretoken-eb14";
const AZURE_REFRESH: &str = "canary-azurerefresh-fc15";
const PROXY: &str = "canary-proxy-ab16";
const NAMED: &str = "canary-named-bc17";
const MIRROR: &str = "canary-mirror-cd18";
const CALLER: &str = "canary-caller-de19";
const API: &str = "canary-api-ef20";
const WRONG: &str = "canary-wrong-fa21";
const FOREIGN_REALM: &str = "canary-realm-ac22";
const MISTAKE: &str = "canary-mistake-bd23";
const SEALING_KEY: &str = "5ea1000000000000000000000000000000000000000000000000000000000002";
/// What the tokens of the fakes begin with.
const TOKENS: &str = "fake-token-";

/// A host that remembers what it was asked.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) fake: FakeUpstream,
    /// What it may see.
    pub(crate) may: Vec<&'static str>,
}

/// All of it.
pub(crate) struct Scene {
    hosts: Vec<Host>,
    proxy: Proxy,
    folder: TempDir,
    config: Value,
    spans: Arc<Mutex<Vec<u8>>>,
    client: reqwest::Client,
    pub(crate) transship: TransshipProcess,
}

/// A secret as it may stand somewhere: in the clear, and as the password of the users of this scene.
pub(crate) fn encodings(secret: &str) -> Vec<String> {
    let users = ["ci", "AWS", "oauth2accesstoken", "00000000-0000-0000-0000-000000000000"];
    let basics = users.iter().map(|user| STANDARD.encode(format!("{user}:{secret}")));
    basics.chain([secret.to_owned(), STANDARD.encode(secret)]).collect()
}

fn basic(password: &str) -> Access {
    Access::Basic(Account::new("ci", password))
}

fn bearer(password: &str, realm: Option<String>) -> Access {
    Access::Bearer(BearerRules { account: Some(Account::new("ci", password)), realm, ..BearerRules::default() })
}

/// A service that answers everything with this document.
fn service(document: &Value) -> FakeUpstream {
    let fake = FakeUpstream::start();
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    fake.fault(Target::any(), Fault::Reply(200, headers, document.to_string().into()));
    fake
}

fn with_access(access: Access) -> FakeUpstream {
    let fake = FakeUpstream::start();
    fake.set_access(access);
    fake
}

/// A program that prints this.
fn script(folder: &Path, name: &str, prints: &Value) -> PathBuf {
    let path = folder.join(name);
    let text = format!("#!/bin/sh\ncat >/dev/null\necho '{prints}'\n");
    // Written by another process: while this one has it open for writing it cannot be run.
    let write = format!("cat >{0} <<'EOF'\n{text}EOF\nchmod +x {0}", path.display());
    assert!(Command::new("/bin/sh").args(["-c", &write]).status().unwrap().success());
    path
}

/// An upstream may see its own credential, even where it has a token server for it: it may ask for Basic.
fn hosts() -> Vec<Host> {
    let host = |name, fake, may: &[&'static str]| Host { name, fake, may: may.to_vec() };
    let token_server = with_access(bearer(TOKEN_HOST, None));
    let (elsewhere, stranger) = (FakeUpstream::start_beside(&token_server), FakeUpstream::start());
    let tokens_elsewhere = with_access(bearer(FOREIGN_REALM, Some(format!("{}/token", stranger.url()))));
    elsewhere.set_access(bearer(TOKEN_HOST, Some(format!("{}/token", token_server.url()))));
    let basics = with_access(basic(BASIC));
    let cdn = FakeUpstream::start_beside(&basics);
    let own = with_access(Access::Open);
    let challenge = format!("Bearer realm=\"{}/token\",service=\"x\"", own.url());
    let challenge = vec![("Www-Authenticate".to_owned(), challenge)];
    own.fault(Target::any().path("/v2/").first(1), Fault::Reply(401, challenge, "".into()));
    let refresh = |secret: &str, exchange| {
        let manner = BearerManner {
            refresh_token: Some(secret.to_owned()),
            path: "/oauth2/token",
            nobody: Nobody::Refused,
            exchange,
            ..BearerManner::default()
        };
        let account = Some(Account::new("nobody", "canary-of-nobody"));
        with_access(Access::Bearer(BearerRules { manner, account, ..BearerRules::default() }))
    };
    let rights = vec![(Account::new("ci", CALLER), vec![NAME.to_owned()])];
    let passing = Access::Accounts(Accounts { login: Login::Basic(401), rights, public: Vec::new() });
    let login = STANDARD.encode(format!("AWS:{AWS_PASSWORD}"));
    vec![
        host("basic", basics, &[BASIC]),
        host("cdn", cdn, &[SIGNATURE]),
        host("bearer", with_access(bearer(BEARER, None)), &[BEARER, TOKENS]),
        host("tokenhost", elsewhere, &[TOKEN_HOST, TOKENS]),
        host("token server", token_server, &[TOKEN_HOST]),
        host("realm", tokens_elsewhere, &[]),
        host("stranger", stranger, &[SIGNATURE]),
        host("static", own, &[STATIC]),
        host("identity", refresh(IDENTITY, None), &[IDENTITY, TOKENS]),
        host("file", with_access(basic(FILE)), &[FILE]),
        host("dockerconfig", with_access(basic(CONFIG_FILE)), &[CONFIG_FILE]),
        host("helper", with_access(basic(HELPER)), &[HELPER]),
        host("exec", with_access(bearer(PROGRAM_SECRET, None)), &[PROGRAM_SECRET, TOKENS]),
        host("ecr", with_access(Access::Basic(Account::new("AWS", AWS_PASSWORD))), &[AWS_PASSWORD]),
        host("amazon", service(&json!({"authorizationData": [{"authorizationToken": login}]})), &[]),
        host("gar", with_access(Access::Basic(Account::new("oauth2accesstoken", GOOGLE))), &[GOOGLE]),
        host("google", service(&json!({"access_token": GOOGLE, "expires_in": 3600})), &[]),
        host(
            "acr",
            refresh(AZURE_REFRESH, Some(("/oauth2/exchange", AZURE_TOKEN.to_owned()))),
            &[AZURE_TOKEN, AZURE_REFRESH, TOKENS],
        ),
        host("azure", service(&json!({"access_token": AZURE_TOKEN})), &[AZURE_SECRET]),
        host("proxied", FakeUpstream::start(), &[]),
        host("named", with_access(basic(NAMED)), &[NAMED]),
        host("mirror", with_access(basic(MIRROR)), &[MIRROR]),
        host("passing", with_access(passing), &[CALLER, WRONG]),
        host("made", with_access(basic(API)), &[API]),
        host("wrong", with_access(basic("canary-right-ce24")), &[WRONG]),
    ]
}

/// The repositories of the configuration file.
fn repositories(hosts: &[Host], proxy: &Proxy, folder: &Path) -> Map<String, Value> {
    let fake = |name: &str| &hosts.iter().find(|host| host.name == name).unwrap().fake;
    let url = |name: &str| fake(name).url();
    let password = |secret: &str| json!({ "username": "ci", "password": secret });
    let file = |name: &str, content: String| {
        fs::write(folder.join(name), content).unwrap();
        folder.join(name)
    };
    let entry = json!({ "auth": STANDARD.encode(format!("ci:{CONFIG_FILE}")) });
    let docker_config = file("config.json", json!({ "auths": { fake("dockerconfig").host(): entry } }).to_string());
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = json!({ "client_email": "puller@project.example", "private_key": key }).to_string();
    let helper = script(folder, "helper", &json!({ "Username": "ci", "Secret": HELPER }));
    let exec = script(folder, "program", &json!({ "username": "ci", "password": PROGRAM_SECRET }));
    let ecr = json!({
        "access_key_id": "AKID", "secret_access_key": AWS_KEY, "region": "eu-west-1", "endpoint": url("amazon"),
    });
    let google = json!({ "key_file": file("key.json", key), "endpoint": format!("{}/token", url("google")) });
    let azure =
        json!({ "tenant": "contoso", "client_id": "app", "client_secret": AZURE_SECRET, "endpoint": url("azure") });
    let proxied = json!({
        "proxy": format!("http://{}", proxy.host()), "proxy_username": "ci", "proxy_password": PROXY,
    });
    let repositories = [
        ("basic", json!({ "auth": password(BASIC) })),
        ("bearer", json!({ "auth": password(BEARER) })),
        ("tokenhost", json!({ "auth": password(TOKEN_HOST), "token_hosts": [fake("token server").host()] })),
        ("realm", json!({ "auth": password(FOREIGN_REALM) })),
        ("static", json!({ "auth": { "token": STATIC } })),
        ("identity", json!({ "auth": { "identity_token": IDENTITY } })),
        ("file", json!({ "auth": { "username": "ci", "password_file": file("password", format!("{FILE}\n")) } })),
        ("dockerconfig", json!({ "auth": { "docker_config": docker_config } })),
        ("helper", json!({ "auth": { "helper": helper } })),
        ("exec", json!({ "auth": { "exec": { "command": [exec] } } })),
        ("ecr", json!({ "auth": { "ecr": ecr } })),
        ("gar", json!({ "auth": { "google": google } })),
        ("acr", json!({ "auth": { "azure": azure } })),
        ("proxied", json!({ "network": proxied })),
        ("passing", json!({ "auth": "passthrough" })),
        ("wrong", json!({ "auth": password(WRONG) })),
    ];
    let mut all = Map::new();
    for (key, more) in repositories {
        let mut document = json!({ "upstream": url(key), "internal": true, "tag_ttl": "0s" });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all.insert(key.to_owned(), document);
    }
    let upstreams = json!([
        { "url": url("named"), "auth": password(NAMED) }, { "url": url("mirror"), "auth": password(MIRROR) },
    ]);
    all.insert("mirrored".to_owned(), json!({ "upstreams": upstreams, "internal": true, "tag_ttl": "0s" }));
    all
}

impl Scene {
    /// Starts everything and makes one more repository through the API.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hosts = hosts();
        let login = format!("Basic {}", STANDARD.encode(format!("ci:{PROXY}")));
        let proxy = Proxy::http(&[], Some(&login));
        let (collector, spans) = collector();
        let config = json!({ "repos": repositories(&hosts, &proxy, folder.path()) });
        let args = ["--log-level", "trace", "--trace-upstream", "--otlp-endpoint", &collector].map(str::to_owned);
        let env = vec![("TRANSSHIP_SECRETS_KEY".to_owned(), SEALING_KEY.to_owned())];
        let setup = TransshipSetup { config: Some(config.to_string()), args: args.to_vec(), env, cache_dir: None };
        let transship = TransshipProcess::start(PROGRAM, setup);
        let scene = Self { hosts, proxy, folder, config, spans, client: http::client(), transship };
        let document = json!({
            "key": "made", "upstream": scene.fake("made").url(), "internal": true,
            "auth": { "username": "ci", "password": API },
        });
        let made = manage(&scene.client, &scene.transship, "POST", "/api/repos", Some(document)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        scene
    }

    /// The hosts.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host that nobody has listed.
    pub(crate) fn stranger(&self) -> &FakeUpstream {
        self.fake("stranger")
    }

    fn fake(&self, name: &str) -> &FakeUpstream {
        &self.hosts.iter().find(|host| host.name == name).unwrap().fake
    }

    /// Puts the image everywhere; the blobs of one upstream are behind presigned addresses of a CDN.
    pub(crate) fn add(&self, image: &Image) {
        for host in &self.hosts {
            host.fake.add_image(NAME, "1", image);
        }
        for blob in &image.blobs {
            let signed = format!("{}/cdn/{}?X-Amz-Signature={SIGNATURE}", self.fake("cdn").url(), blob.digest);
            self.fake("basic").fault(Target::blob(&blob.digest), Fault::Redirect(307, Location::Fixed(signed)));
        }
        // The proxy takes one request a connection.
        self.fake("proxied").fault(Target::any(), Fault::CloseDelimited);
        // The named upstream of the mirrored repository fails: the mirror stands in.
        self.fake("named").fault(Target::kind(Kind::Manifest), Fault::status(503));
        self.fake("named").fault(Target::kind(Kind::Blob), Fault::status(503));
        self.fake("named").fault(Target::kind(Kind::Tags), Fault::status(503));
    }

    /// Repositories whose pulls succeed.
    pub(crate) fn good() -> Vec<&'static str> {
        vec![
            "basic",
            "bearer",
            "tokenhost",
            "static",
            "identity",
            "file",
            "dockerconfig",
            "helper",
            "exec",
            "ecr",
            "gar",
            "acr",
            "proxied",
            "mirrored",
            "made",
        ]
    }

    /// Repositories whose pulls fail, and how.
    pub(crate) fn bad() -> Vec<(&'static str, u16)> {
        vec![("realm", 502), ("wrong", 403), ("passing", 401)]
    }

    /// GETs a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        http::send(&self.client, "GET", &format!("{}{path}", self.transship.url()), &[], Vec::new()).await
    }

    /// A caller pulls with the account it has at the upstream, with a wrong one, and where none is wanted.
    pub(crate) async fn pull_with_own_account(&self, shown: &mut Shown, image: &Image) {
        for (key, password, status) in
            [("passing", CALLER, 200), ("passing", WRONG, 401), ("proxied", CALLER, 200), ("bearer", WRONG, 200)]
        {
            let url = format!("{}/v2/{key}/{NAME}/manifests/{}", self.transship.url(), image.digest());
            let basic = Account::new("ci", password).basic();
            let answer = http::send(&self.client, "GET", &url, &[("Authorization", &basic)], Vec::new()).await;
            assert_eq!(answer.status, status, "{key}: {}", answer.text());
            shown.answer("passing", &answer);
        }
    }

    /// Reloads files that are wrong in ways that hold a secret, then the right one again.
    pub(crate) async fn reload_with_mistakes(&self) {
        let mistakes = [
            format!("repos: {{ x: {{ upstream: \"https://ci:{MISTAKE}@registry.example\" }} }}"),
            format!("repos: {{ x: {{ upstream: \"https://registry.example\", auth: {{ password: [{MISTAKE}] }} }} }}"),
            format!("repos: [ {MISTAKE}: \""),
        ];
        let refusals = || self.transship.log_text().matches("the old one stays in use").count();
        for (number, mistake) in mistakes.iter().enumerate() {
            fs::write(self.transship.config_file(), mistake).unwrap();
            self.transship.reload();
            assert!(comes_true(|| refusals() > number).await, "{}", self.transship.log_text());
        }
        fs::write(self.transship.config_file(), self.config.to_string()).unwrap();
        self.transship.reload();
    }

    /// Asks the running program for all it tells, as people and machines do.
    pub(crate) async fn look_everywhere(&self, shown: &mut Shown, keys: &[&str]) {
        let pid = self.transship.pid();
        shown.bytes("process list", &fs::read(format!("/proc/{pid}/cmdline")).unwrap());
        shown.bytes("metrics", &self.get("/metrics").await.body);
        let mut paths = vec!["/api/repos".to_owned(), "/api/upstreams".to_owned()];
        for key in keys {
            paths.push(format!("/api/repos/{key}"));
            paths.push(format!("/api/repos/{key}/exchanges"));
            paths.push(format!("/api/explain?image={key}/{NAME}:1"));
        }
        for path in paths {
            let told = manage(&self.client, &self.transship, "GET", &path, None).await;
            assert_eq!(told.status, 200, "{path}: {}", told.text());
            shown.bytes(&path, &told.body);
        }
        for key in ["basic", "wrong", "realm"] {
            let path = format!("/api/repos/{key}/check");
            let told = manage(&self.client, &self.transship, "POST", &path, Some(json!({}))).await;
            shown.bytes(&path, &told.body);
        }
        let token = self.transship.cache_dir().join("admin.token");
        for key in ["basic", "mirrored", "realm"] {
            let mut explain = Command::new(PROGRAM);
            explain.env_clear().env("HOME", self.folder.path()).args(["explain", &format!("{key}/{NAME}:1")]);
            explain.args(["--server", &self.transship.url(), "--admin-token-file", token.to_str().unwrap()]);
            let output = explain.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            shown.bytes("transship explain", &[output.stdout, output.stderr].concat());
        }
    }

    /// Log, spans and files of the program that has ended.
    pub(crate) fn read_what_is_left(&self, shown: &mut Shown) {
        shown.bytes("log", self.transship.log_text().as_bytes());
        shown.bytes("spans", &self.spans.lock().unwrap());
        // What is meant to hold secrets is left out: the admin token, the keys, and the blobs, which are the image.
        for place in ["", "staging"] {
            for file in fs::read_dir(self.transship.cache_dir().join(place)).unwrap() {
                let path = file.unwrap().path();
                if path.is_file() && path.file_name().is_some_and(|name| name != "admin.token") {
                    shown.bytes(&format!("file {}", path.display()), &fs::read(&path).unwrap());
                }
            }
        }
        assert!(shown.holds("log", "transship::upstream") && shown.holds("log", "X-Amz-Signature"));
        assert!(shown.size_of("spans") > 10_000 && shown.holds("spans", "upstream fetch"), "spans came");
        assert!(shown.holds("/api/repos/basic/exchanges", "manifests/1"), "exchanges were kept");
        assert!(shown.size_of("file ") > 50_000, "the database was read");
    }

    /// Every secret of the scene.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let listed = self.hosts.iter().flat_map(|host| host.may.iter().map(|secret| (*secret).to_owned()));
        let others = [AWS_KEY, PROXY, FOREIGN_REALM, MISTAKE, SEALING_KEY, "BEGIN PRIVATE KEY"].map(str::to_owned);
        listed.chain(others).chain([self.transship.admin_token()]).collect()
    }

    /// Which secret must be found at which host.
    pub(crate) fn must_have_arrived(&self) -> Vec<(&'static str, &'static str)> {
        let listed = self.hosts.iter().flat_map(|host| host.may.iter().map(|secret| (*secret, host.name)));
        listed.chain([(PROXY, "proxy")]).collect()
    }

    /// All that a host was sent.
    pub(crate) fn seen_at(&self, name: &str) -> String {
        if name == "proxy" {
            return self.proxy.seen().iter().map(|passage| passage.head.clone()).collect();
        }
        let asked = self.fake(name).requests().into_iter().map(|request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            format!("{} {}?{} {:?} {body}\n", request.method, request.path, request.query, request.headers)
        });
        asked.collect()
    }

    /// All that the hosts were sent that may not have this secret.
    pub(crate) fn seen_where_it_does_not_belong(&self, secret: &str) -> Vec<(&'static str, String)> {
        let hosts = self.hosts.iter().filter(|host| !host.may.contains(&secret));
        // A redirect of the upstream behind it goes through the proxy too, with its address.
        let proxy = (![PROXY, SIGNATURE].contains(&secret)).then_some("proxy");
        hosts.map(|host| host.name).chain(proxy).map(|name| (name, self.seen_at(name))).collect()
    }
}
