//! The configuration file: logins, mirrors, changes, and what a wrong one does.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use testkit::stargz::TarEntry;
use testkit::upstream::{Access, Account, FakeUpstream};

use crate::support::*;

const FILE: &str = ".config/starget/config.yaml";
const PASSWORD: &str = "canary-s3cr3t";

fn served() -> Served {
    Served::new(vec![estargz(&[TarEntry::file("a", "a\n")])])
}

fn protected() -> Served {
    let served = served();
    served.upstream.set_access(Access::Basic(Account { username: "ci".into(), password: PASSWORD.into() }));
    served
}

fn login(starget: &Starget, host: &str, password: &str) -> Ran {
    let mut command = starget.command(&["config", "login", host, "-u", "ci", "--password-stdin", "--debug"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    Ran(child.wait_with_output().unwrap())
}

#[test]
fn a_login_is_tried_stored_sealed_used_and_forgotten() {
    let (served, starget) = (protected(), Starget::new());
    let (image, host) = (served.image(), served.upstream.host());
    login(&starget, &host, "wrong").fails(4, &["login"]);
    assert!(!starget.path(FILE).exists(), "a login that is refused is not stored");

    let said = login(&starget, &host, PASSWORD).ok().stderr();
    let file = fs::read_to_string(starget.path(FILE)).unwrap();
    assert!(file.contains("username: ci") && file.contains("password: sealed:1:"), "{file}");
    assert!(!file.contains("canary") && !said.contains("canary"), "{file}{said}");
    let key = starget.path(".config/starget/secrets.key");
    for private in [starget.path(FILE), key.clone()] {
        assert_eq!(private.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", private.display());
    }
    let ran = starget.run(&["cat", "--debug", &image, "a"]).ok();
    assert_eq!(ran.stdout(), "a\n");
    assert!(!ran.stderr().contains("canary"), "{}", ran.stderr());
    assert_eq!(
        starget.run(&["config", "get", &format!("registries.{host}.auth.password")]).ok().stdout(),
        "(sealed)\n"
    );

    // What was typed wins, and a key of somebody else opens nothing.
    starget.run(&["cat", "--credential", "ci:wrong", &image, "a"]).fails(4, &["config login"]);
    let kept = fs::read(&key).unwrap();
    fs::write(&key, "ab".repeat(32)).unwrap();
    starget.run(&["cat", "--no-cache", &image, "a"]).fails(4, &["was sealed with the key", "config login"]);
    fs::write(&key, kept).unwrap();

    starget.run(&["config", "logout", &host]).ok();
    starget.run(&["config", "logout", &host]).fails(3, &["is not set"]);
    starget.run(&["cat", "--no-cache", &image, "a"]).fails(4, &["config login"]);
}

#[test]
fn a_login_may_make_a_file_of_another_name_and_take_its_key_from_a_variable() {
    let (served, starget) = (protected(), Starget::new());
    let (image, host, key) = (served.image(), served.upstream.host(), "cd".repeat(32));
    fs::write(starget.path("password"), format!("{PASSWORD}\n")).unwrap();
    let run = |words: &[&str]| {
        let mut command = starget.command(&[&["--config", "mine/c.yaml"], words].concat());
        command.env("STARGET_SECRETS_KEY", &key).stdin(fs::File::open(starget.path("password")).unwrap());
        Ran(command.output().unwrap())
    };
    run(&["cat", &image, "a"]).fails(2, &["c.yaml", "cannot be read"]);
    run(&["config", "login", &host, "-u", "ci", "--password-stdin"]).ok();
    assert!(!starget.path("mine/secrets.key").exists(), "the key is the variable's");
    run(&["cat", &image, "a"]).ok();
    starget.run(&["--config", "mine/c.yaml", "cat", "--no-cache", &image, "a"]).fails(4, &["its key is not there"]);

    // A password in a file beside the configuration, wherever the program is started.
    fs::rename(starget.path("password"), starget.path("mine/password")).unwrap();
    let auth =
        format!("registries: {{ '{host}': {{ auth: {{ type: basic, username: ci, password_file: password }} }} }}\n");
    fs::write(starget.path("mine/c.yaml"), auth).unwrap();
    starget.run(&["--config", "mine/c.yaml", "cat", "--no-cache", &image, "a"]).ok();
}

#[test]
fn a_password_is_not_taken_from_the_command_line() {
    let (served, starget) = (protected(), Starget::new());
    let host = served.upstream.host();
    starget.run(&["config", "login", &host, "--credential", "ci:x"]).fails(2, &["-u USER"]);
    starget.run(&["config", "login", &host, "-u", "ci"]).fails(2, &["--password-stdin"]);
    starget.run(&["config", "login", &host]).fails(2, &["-u USER"]);
    starget.run(&["config", "login", "not a host", "-u", "ci"]).fails(2, &["ghcr.io"]);
    let field = format!("registries.{host}.auth.password");
    starget.run(&["config", "set", &field, PASSWORD]).fails(2, &["config login"]);
    assert!(served.upstream.requests().is_empty());
}

#[test]
fn mirrors_of_the_file_are_asked_first_and_get_no_login_of_the_registry() {
    let (served, starget) = (protected(), Starget::new());
    let mirror = FakeUpstream::start();
    mirror.add_image(REPOSITORY, "1", &image(&served.layers));
    mirror.set_access(Access::Basic(Account { username: "other".into(), password: "other".into() }));
    let host = served.upstream.host();
    login(&starget, &host, PASSWORD).ok();
    starget.run(&["config", "set", &format!("registries.{host}.mirrors"), &mirror.url()]).ok();
    starget.run(&["config", "set", &format!("registries.{host}.mirror_form"), "bare"]).ok();
    starget.run(&["cat", &served.image(), "a"]).ok();
    starget.run(&["cat", "--no-cache", "--credential", &format!("ci:{PASSWORD}"), &served.image(), "a"]).ok();
    let asked = mirror.requests();
    assert!(!asked.is_empty(), "the mirror is asked first");
    assert!(asked.iter().all(|request| request.authorization().is_none()), "{asked:?}");
}

#[test]
fn a_wrong_file_says_all_that_is_wrong_with_it() {
    let starget = Starget::new();
    fs::write(starget.path("c.yaml"), "defaults:\n  concurrencey: 1\n  stats: 3\nregistry: {}\n").unwrap();
    let words = ["--config", "c.yaml", "info", "alpine"];
    let ran = starget.run(&words).fails(2, &["3 problems", "c.yaml", "did you mean 'concurrency'?", "config edit"]);
    let lines: Vec<String> = ran.stderr().lines().map(str::to_owned).collect();
    for (line, begins) in lines[1..4].iter().zip(["  line 2: ", "  line 3: ", "  line 4: "]) {
        assert!(line.starts_with(begins), "{lines:?}");
    }
    let error = starget.run(&[&["--json"], words.as_slice()].concat()).error();
    assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some("usage"), Some(2)), "{error}");
    fs::write(starget.path("bad.yaml"), "defaults: [\n").unwrap();
    for words in [&["info", "alpine"][..], &["config", "get"], &["config", "set", "stats", "true"]] {
        starget.run(&[&["--config", "bad.yaml"], words].concat()).fails(2, &["bad.yaml", "line 1: ", "config edit"]);
    }
    starget.run(&["--config", "none.yaml", "info", "alpine"]).fails(2, &["none.yaml", "cannot be read"]);
    starget.run(&["--config", "c.yaml", "config", "unset", "stats"]).ok();
    assert_eq!(fs::read_to_string(starget.path("c.yaml")).unwrap(), "defaults:\n  concurrencey: 1\nregistry: {}\n");
}

#[test]
fn values_are_set_and_shown() {
    let starget = Starget::new();
    assert_eq!(starget.run(&["config", "get", "concurrency"]).ok().stdout(), "4\n", "built in");
    starget.run(&["config", "get", "platform"]).fails(3, &["is not set"]);
    starget.run(&["config", "set", "concurrency", "8"]).ok();
    starget.run(&["config", "set", "mirrors", "http://a.example", "http://b.example"]).ok();
    assert_eq!(starget.run(&["config", "get", "concurrency"]).ok().stdout(), "8\n");
    assert_eq!(starget.run(&["config", "get", "mirrors"]).ok().stdout(), "http://a.example,http://b.example\n");
    let served = served();
    starget.run(&["config", "set", "mirrors", "http://127.0.0.1:1"]).ok();
    starget.run(&["config", "unset", "mirrors"]).ok();
    starget.run(&["config", "set", "stats", "true"]).ok();
    starget.run(&["config", "set", "cache_size", "1MiB"]).ok();
    assert!(starget.run(&["cat", &served.image(), "a"]).ok().stderr().contains("requests"));
    let mut quiet = starget.command(&["cat", &served.image(), "a"]);
    assert_eq!(Ran(quiet.env("STARGET_STATS", "off").output().unwrap()).ok().stderr(), "", "a variable wins");
    let before = fs::read_to_string(starget.path(FILE)).unwrap();
    starget.run(&["config", "set", "concurrency", "0"]).fails(2, &["nothing was written"]);
    starget.run(&["config", "set", "concurency", "1"]).fails(2, &["did you mean 'concurrency'?"]);
    starget.run(&["config", "set", "skip_verify", "true"]).fails(2, &["no field"]);
    assert_eq!(fs::read_to_string(starget.path(FILE)).unwrap(), before);
    let path = starget.run(&["config", "path"]).ok().stdout();
    assert_eq!(path.trim(), starget.path(FILE).display().to_string());
    fs::create_dir(starget.path(".stargz-get")).unwrap();
    let path = starget.run(&["config", "path"]).ok().stdout();
    assert_eq!(path.trim(), starget.path(".stargz-get/config.yaml").display().to_string(), "the original folder wins");
}

#[test]
fn an_edit_counts_when_it_is_good_and_is_never_lost() {
    let starget = Starget::new();
    fs::write(starget.path("good.sh"), "echo 'defaults: { stats: true }' > \"$1\"\n").unwrap();
    fs::write(starget.path("bad.sh"), "echo 'defaults: { stats: maybe }' > \"$1\"\n").unwrap();
    let path = std::env::var("PATH").unwrap();
    let edit = |script: &str| {
        let mut command = starget.command(&["config", "edit"]);
        Ran(command.env("PATH", &path).env("EDITOR", format!("sh {script}")).output().unwrap())
    };
    edit("good.sh").ok();
    let good = fs::read_to_string(starget.path(FILE)).unwrap();
    assert!(good.contains("stats"), "{good}");
    edit("bad.sh").fails(2, &["stats: must be true or false", "what you wrote is in"]);
    assert_eq!(fs::read_to_string(starget.path(FILE)).unwrap(), good);
    let kept = fs::read_to_string(starget.path(".config/starget/config.edit.yaml")).unwrap();
    assert!(kept.contains("maybe"), "{kept}");
    fs::write(starget.path("mend.sh"), "sed -i s/maybe/false/ \"$1\"\n").unwrap();
    assert!(edit("mend.sh").ok().stderr().contains("going on with"));
    assert_eq!(fs::read_to_string(starget.path(FILE)).unwrap(), kept.replace("maybe", "false"));
    assert!(!starget.path(".config/starget/config.edit.yaml").exists());
}
