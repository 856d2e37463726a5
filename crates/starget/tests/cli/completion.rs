//! Completion in real shells: what a person sees after the tabulator, and what the completed line does.

use testkit::stargz::TarEntry;
use testkit::upstream::{Access, Account, Fault, Gate, Kind, Target};

use crate::support::*;
use crate::terminal::Terminal;

fn served() -> Served {
    Served::new(vec![estargz(&[
        TarEntry::directory("etc/"),
        TarEntry::file("etc/os-release", "NAME=Lazy\n"),
        TarEntry::file("etc/passwd", "root\n"),
        TarEntry::directory("usr/"),
        TarEntry::directory("usr/share/"),
        TarEntry::file("usr/share/two words", "both\n"),
    ])])
}

/// In each shell: a tag of the registry, an image of an earlier run, a path inside it, and one with a blank.
fn completes(shell: &str, setup: &[&str]) {
    let (served, starget) = (served(), Starget::new());
    let (image, host) = (served.image(), served.upstream.host());
    let terminal = Terminal::start(&starget, shell);
    for line in setup {
        terminal.line(line);
    }

    // Nothing was asked for yet: the tag is the registry's own.
    terminal.typed(&format!("starget ls {host}/{REPOSITORY}:"));
    terminal.completes_to(&format!("starget ls {image}"));
    terminal.key("Enter");
    terminal.wait_for("\nusr/share/two words");

    // Now paths are known, and nobody is asked for them.
    served.upstream.clear_log();
    terminal.typed(&format!("starget cat {image} etc/os"));
    terminal.completes_to(&format!("starget cat {image} etc/os-release"));
    assert!(served.upstream.requests().is_empty(), "paths come from the cache");
    terminal.key("Enter");
    terminal.wait_for("\nNAME=Lazy");

    // The image itself, from the run before, directory after directory, and a name that has to be quoted.
    terminal.typed(&format!("starget cat {}", &image[..image.len() - 5]));
    terminal.completes_to(&format!("starget cat {image} "));
    terminal.typed("us");
    terminal.completes_to(&format!("{image} usr/"));
    terminal.typed("sh");
    terminal.completes_to(&format!("{image} usr/share/"));
    terminal.typed("tw");
    terminal.completes_to(&format!("{image} usr/share/two\\ words"));
    terminal.key("Enter");
    terminal.wait_for("\nboth");

    terminal.typed("starget ls --no-pro");
    terminal.completes_to("--no-progress");
}

#[test]
fn bash_completes_images_tags_and_paths() {
    completes("bash --norc --noprofile", &["source <(starget completion bash)"]);
}

#[test]
fn zsh_completes_images_tags_and_paths() {
    let setup = ["autoload -U compinit && compinit -u -D", "source <(starget completion zsh)"];
    completes("zsh -f", &setup);
}

#[test]
fn fish_completes_images_tags_and_paths() {
    completes("fish --no-config", &["starget completion fish | source"]);
}

#[test]
fn a_registry_that_does_not_answer_is_not_waited_for() {
    let (served, starget) = (served(), Starget::new());
    let gate = Gate::new();
    served.upstream.fault(Target::kind(Kind::Tags), Fault::Hold(gate.clone()));
    let terminal = Terminal::start(&starget, "bash --norc --noprofile");
    terminal.line("source <(starget completion bash)");
    terminal.typed(&format!("starget ls {}/{REPOSITORY}:", served.upstream.host()));
    terminal.key("Tab");
    terminal.typed("1");
    terminal.key("Enter");
    terminal.wait_for("\netc/os-release");
    gate.release();
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let (served, starget) = (served(), Starget::new());
    let account = Account { username: "ci".into(), password: "canary-s3cr3t".into() };
    served.upstream.set_access(Access::Basic(account));
    let terminal = Terminal::start(&starget, "bash --norc --noprofile");
    terminal.line(&format!("starget config login {}", served.upstream.host()));
    terminal.wait_for("User name:");
    terminal.line("ci");
    terminal.wait_for("(not shown):");
    terminal.line("canary-s3cr3t");
    terminal.wait_for("logged in at");
    assert!(!terminal.shown().contains("canary"), "{}", terminal.shown());
    starget.run(&["cat", &served.image(), "etc/passwd"]).ok();
}
