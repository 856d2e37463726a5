//! The reference of the configuration file (docs/starget-configuration.md), made from the tables that check it.
//!
//! Must not know anything the tables do not say. Invariant: a test compares the page with what is made here.

use std::fmt::Write as _;

use clap::{ArgAction, CommandFactory};

use super::defaults::{NAMES, argument};
use super::field_path::built_in;
use super::registries::FIELDS;
use super::sealing::KEY_VARIABLE;
use crate::args::Args;

const HEAD: &str = "\
<!-- Made by `starget config reference`. Change crates/starget/src/config/ or args.rs, then run it again. -->
# starget: the configuration file

`starget` needs no configuration. What it is told comes from, in this order: flags, environment variables, the file, built-in
values. `starget config path` says which file that is:

1. the one named by `--config` or `STARGET_CONFIG`;
2. `~/.stargz-get/config.yaml`, when the folder `~/.stargz-get` is there (the folder of the original tool wins);
3. `$XDG_CONFIG_HOME/starget/config.yaml`, usually `~/.config/starget/config.yaml`.

Paths may begin with `~/`; relative ones are relative to the file's folder. A wrong file stops every command with exit code 2; all that is wrong with it is said at once, with lines and hints. `starget config set`,
`unset`, `login` and `logout` change one value and leave the rest of the file, its comments too, as it is.
";

const SECRETS: &str = "\
## Stored passwords

`starget config login <host>` asks for a password, tries it at the registry, and stores it sealed (AES-256-GCM, bound to registry and
field). The key is in `secrets.key` beside the file, made at the first login and readable by its owner only, or in the variable
";

/// The reference as Markdown.
pub(crate) fn reference() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## `defaults`\n\nThe names are those of the flags, with `_` for `-`.\n\n");
    page.push_str("| field | value | built in | variable | meaning |\n|---|---|---|---|---|\n");
    let command = Args::command();
    for name in NAMES {
        let argument = argument(&command, name);
        let value = match (argument.get_action(), argument.get_value_names()) {
            (ArgAction::SetTrue, _) => "true or false".to_owned(),
            (ArgAction::Append, Some(names)) => format!("{0} or list of {0}s", names[0]),
            (_, names) => names.map(|names| names[0].to_string()).unwrap_or_default(),
        };
        let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        row(&mut page, &[&format!("`{name}`"), &value, &built_in(name).unwrap_or_default(), &variable, &meaning]);
    }
    page.push_str(
        "\nA switch that is on in the file is off for one run with its variable: `STARGET_NO_PROGRESS=false`.\n",
    );
    page.push_str("\n## `registries`\n\nEach key is the `host[:port]` of a registry or of a mirror. What is said of a registry, its login above ");
    page.push_str("all, is not used for its mirrors: they have entries of their own.\n\n");
    page.push_str("| field | value | meaning |\n|---|---|---|\n");
    for field in FIELDS {
        row(&mut page, &[&format!("`{}`", field.path), &field.kind.describe(), field.meaning]);
    }
    page.push('\n');
    page.push_str(SECRETS);
    writeln!(
        page,
        "`{KEY_VARIABLE}` (64 hexadecimal digits). A copy of the configuration without the key gives no password away."
    )
    .expect("writing to a string does not fail");
    page.push_str(EXAMPLE);
    page
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    writeln!(page, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
}

/// Read by a test.
pub(super) const EXAMPLE: &str = "
## Example

```yaml
defaults:
  concurrency: 8
  no_progress: true
registries:
  ghcr.io:
    mirrors: [http://127.0.0.1:5000]
  lab.example:5000:
    plain_http: true
    auth: { type: none }
  registry.corp.example:
    auth: { type: basic, username: ci, password_file: /run/secrets/registry }
```
";
