//! The configuration reference (docs/configuration.md), made from the same tables that check the file.
//!
//! Must not know anything the tables do not say. Invariant: a test compares the file with what is made here.

use std::fmt::Write as _;

use super::env_vars;
use super::fields::{Change, FIELDS};

const HEAD: &str = "\
<!-- Made by `transship config reference`. Change crates/transship/src/config/, then run it again. -->
# Configuration

`transship serve` needs no configuration. What it is told comes from, in this order: flags, environment variables,
the YAML file named by `--config` (or `TRANSSHIP_CONFIG`), defaults. `transship config check FILE` says everything that is
wrong with a file, each with its line; `transship config schema` prints a JSON Schema for editors. `serve` refuses to start
on a wrong configuration (exit code 2), and ignores a wrong one on reload: the old one stays and the log says what is wrong.

Durations are written `30s`, `5m`, `12h`, `30d`, `1h 30m`; sizes `200GiB`, `10GB`, `1.5TiB` or a number of bytes. A key may stand
once. A field without a value counts as not written.

Texts may hold environment variables: `${NAME}`, or `${NAME:-default}`. They are replaced after the YAML is read, in values only, so a
variable cannot add fields. A variable that is not set and has no default is an error. `$${` writes a literal `${`.

**Reload.** On SIGHUP, and when the configuration file or a certificate file changes, the configuration is read again. Fields marked
*reload* take effect at once, without touching pulls under way; for the others the log says that they wait for a restart.
Environment variables and flags keep the values they had at start.
";

/// The reference as Markdown.
pub(crate) fn reference() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Fields\n\n| field | kind | default | change | meaning |\n|---|---|---|---|---|\n");
    for field in FIELDS {
        let change = match field.change {
            Change::Reload => "reload",
            Change::Restart => "restart",
        };
        row(&mut page, &[&format!("`{}`", field.path), &field.kind.describe(), field.default, change, field.meaning]);
    }
    page.push_str(
        "\n## Repositories\n\nEach entry of `repos` has a key: the first segment of the names it answers to. ",
    );
    page.push_str("The same fields, as JSON with a `key`, are what `/api/repos` takes, except those marked *not over the API*.\n\n");
    page.push_str("| field | kind | default | meaning |\n|---|---|---|---|\n");
    for field in registry::FIELDS {
        let default = if field.default.is_empty() { String::new() } else { format!("`{}`", field.default) };
        row(&mut page, &[&format!("`{}`", field.path), field.kind, &default, field.meaning]);
    }
    page.push_str("\n## Environment variables\n\nAn empty variable counts as unset.\n\n| variable | sets | meaning |\n|---|---|---|\n");
    for variable in env_vars::ALL {
        let field = variable.field.map(|f| format!("`{f}`")).unwrap_or_default();
        row(&mut page, &[&format!("`{}`", variable.name), &field, variable.meaning]);
    }
    page.push_str("\n## Examples of values\n\n```yaml\n");
    for field in FIELDS {
        writeln!(page, "# {}: {}", field.path, field.example).expect("writing to a string does not fail");
    }
    page.push_str("```\n\nA whole file is in [examples/transship.yaml](examples/transship.yaml).\n");
    page
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(page, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
}
