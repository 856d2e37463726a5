//! What is offered for words as a shell would send them, with a history and a cache as a run leaves them.

use super::*;

fn offered(shell: Shell, words: &[&str]) -> Vec<String> {
    let words = words.iter().map(OsString::from).collect();
    candidates(shell, words).lines().map(str::to_owned).collect()
}

#[test]
fn commands_and_flags_are_the_engines() {
    let commands = offered(Shell::Zsh, &["starget", "c"]);
    assert!(commands.contains(&"cat\tWrite the content of files to standard output".to_owned()), "{commands:?}");
    assert!(commands.iter().any(|line| line.starts_with("config\t")), "{commands:?}");
    assert_eq!(offered(Shell::Bash, &["starget", "ls", "--no-pro"]), ["--no-progress"]);
    assert_eq!(offered(Shell::Bash, &["starget", "completion", ""]), ["bash", "zsh", "fish"]);
    assert!(offered(Shell::Bash, &["starget", "config", "se"]).contains(&"set".to_owned()));
    assert!(offered(Shell::Bash, &["starget", "config", "set", "max"]).contains(&"max_retries".to_owned()));
}

#[test]
fn images_come_from_earlier_runs() {
    let cache = tempfile::tempdir().unwrap();
    let digest = oci::Digest::sha256_of(b"");
    for image in ["alpine:3", "ghcr.io/org/app:1.2", "127.0.0.1:1/app:new"] {
        crate::history::remember(cache.path(), image, &digest);
    }
    let folder = format!("--cache-dir={}", cache.path().display());
    let offered = |current: &str| offered(Shell::Fish, &["starget", &folder, "ls", current]);
    assert_eq!(offered("al"), ["alpine:3"]);
    assert_eq!(offered("gh"), ["ghcr.io/org/app:1.2", "ghcr.io/"]);
    assert_eq!(offered("127.0.0.1:1/app:n"), ["127.0.0.1:1/app:new"], "a registry that is not there says nothing");
    assert_eq!(offered("nothing"), [""; 0]);
}

#[test]
fn words_that_make_no_sense_offer_nothing() {
    for words in [
        &["starget", "ls", "--config=/there/is/none", "x/", "y"][..],
        &["starget", "nothing", "x"],
        &["starget", "cat", "Not an image", "us"],
        &["starget", "ls", "--concurrency", "many", "alpine", "us"],
    ] {
        assert_eq!(offered(Shell::Bash, words), [""; 0], "{words:?}");
    }
}
