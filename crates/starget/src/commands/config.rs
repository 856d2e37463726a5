//! `starget config`: the configuration file.
//!
//! Must not know which fields exist. Invariant: what is written is checked first, as a whole; a file that would be wrong
//! is not written.

mod edit;
mod login;

use serde_json::{Map, Value, json};

use config_document::document::{Node, parse_yaml};
use config_document::problem::Problems;

use crate::args::Options;
use crate::config::{self, Config, FieldPath, Place, Why, built_in};
use crate::error::StargetError;
use crate::output::Output;

/// What `starget config` can do.
#[derive(clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print what the file says, or one value
    #[command(
        after_help = "Examples:\n  starget config get\n  starget config get concurrency\n  starget config get registries.ghcr.io.mirrors"
    )]
    Get {
        /// A field: concurrency, registries.ghcr.io.insecure
        field: Option<String>,
    },
    /// Give a field a value
    #[command(
        after_help = "Examples:\n  starget config set concurrency 8\n  starget config set registries.ghcr.io.mirrors http://127.0.0.1:5000\n\nPasswords are stored by `starget config login`."
    )]
    Set {
        /// A field: concurrency, registries.ghcr.io.insecure
        field: String,
        /// Its value; several for lists
        #[arg(required = true)]
        values: Vec<String>,
    },
    /// Take a field out of the file
    Unset {
        /// A field: concurrency, registries.ghcr.io.insecure
        field: String,
    },
    /// Open the file in $VISUAL or $EDITOR, and check it before it counts
    Edit,
    /// Print where the file is
    Path,
    /// Log in at a registry and store the password, sealed
    Login(login::LoginArgs),
    /// Forget the login of a registry
    Logout {
        /// The registry: ghcr.io, 127.0.0.1:5000
        registry: String,
    },
    /// Print the reference of all fields, as Markdown
    Reference,
}

impl ConfigCommand {
    /// Those that mend the file work with a wrong one.
    pub(super) fn uses_configuration(&self) -> bool {
        match self {
            Self::Get { .. } | Self::Login(_) => true,
            Self::Set { .. } | Self::Unset { .. } | Self::Edit | Self::Path | Self::Logout { .. } | Self::Reference => {
                false
            }
        }
    }
}

/// Runs the command.
pub(super) fn run(options: &Options, command: ConfigCommand) -> Result<(), StargetError> {
    let place = Place::find(options.config.as_deref()).ok_or_else(|| {
        StargetError::Usage("there is no home directory; name the configuration file with --config".to_owned())
    })?;
    match command {
        ConfigCommand::Get { field } => get(&place, field.as_deref(), options.json),
        ConfigCommand::Set { field, values } => set(&place, &field, &values),
        ConfigCommand::Unset { field } => unset(&place, &field),
        ConfigCommand::Edit => edit::run(&place),
        ConfigCommand::Path => path(&place, options.json),
        ConfigCommand::Login(args) => login::run(&place, options, &args),
        ConfigCommand::Logout { registry } => login::forget(&place, &registry),
        ConfigCommand::Reference => {
            let mut output = Output::open();
            output.bytes(config::reference().as_bytes())?;
            output.finish()
        }
    }
}

fn usage(message: impl Into<String>) -> StargetError {
    StargetError::Usage(message.into())
}

/// The file's text; empty when it is not there.
fn text(place: &Place) -> Result<String, StargetError> {
    match config::read(place) {
        Ok(text) => Ok(text.unwrap_or_default()),
        // A file that was named is made when something is written.
        Err(_) if !place.file().exists() => Ok(String::new()),
        Err(problems) => Err(StargetError::Config(problems)),
    }
}

fn document(place: &Place, text: &str) -> Result<Node, StargetError> {
    let whole = |problem| StargetError::Config(Problems::new(Some(place.file().to_owned()), vec![problem]));
    parse_yaml(text).map_err(whole)
}

/// Writes the text if it is a good configuration.
fn keep(place: &Place, text: &str) -> Result<(), StargetError> {
    Config::parse(text, place.file()).map_err(StargetError::Config)?;
    config::publish(place.file(), text)
}

fn get(place: &Place, field: Option<&str>, json: bool) -> Result<(), StargetError> {
    let document = document(place, &text(place)?)?;
    let mut output = Output::open();
    let Some(field) = field else {
        let shown = veiled(document.to_json());
        if json {
            output.json(&shown)?;
        } else {
            list(&shown, "", &mut output)?;
        }
        return output.finish();
    };
    let path = FieldPath::read(field).map_err(usage)?;
    let keys = path.keys(&document);
    let written = keys.iter().try_fold(&document.to_json(), |value, key| value.get(key)).cloned();
    let value = match (written.filter(|value| !value.is_null()), &path) {
        (Some(value), _) => value,
        (None, FieldPath::Default(name)) => built_in(name).map_or(Value::Null, Value::from),
        (None, FieldPath::Registry { .. }) => Value::Null,
    };
    if value.is_null() {
        return Err(StargetError::NotSet { field: path.to_string() });
    }
    let value = if path.is_secret() { Value::from(SEALED) } else { value };
    if json {
        output.json(&value)?;
    } else {
        output.line(&shown(&value))?;
    }
    output.finish()
}

/// What stands in place of a sealed secret.
const SEALED: &str = "(sealed)";

fn veiled(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("sealed:") => Value::from(SEALED),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, veiled(value))).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => value,
    }
}

fn list(value: &Value, path: &str, output: &mut Output) -> Result<(), StargetError> {
    let Value::Object(map) = value else { return output.line(&format!("{path} = {}", shown(value))) };
    map.iter().filter(|(_, value)| !value.is_null()).try_for_each(|(key, value)| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        list(value, &path, output)
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn set(place: &Place, field: &str, values: &[String]) -> Result<(), StargetError> {
    let path = FieldPath::read(field).map_err(usage)?;
    if let (true, FieldPath::Registry { host, .. }) = (path.is_secret(), &path) {
        return Err(usage(format!("secrets are not typed on the command line; use `starget config login {host}`")));
    }
    let text = text(place)?;
    let keys = path.keys(&document(place, &text)?);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let changed = config::set(&text, &keys, &path.value(values)).map_err(usage)?;
    let wrong = |problems: Problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        usage(format!("nothing was written, because the file would be wrong: {}", all.join("; ")))
    };
    Config::parse(&changed, place.file()).map_err(wrong)?;
    config::publish(place.file(), &changed)
}

fn unset(place: &Place, field: &str) -> Result<(), StargetError> {
    let path = FieldPath::read(field).map_err(usage)?;
    let text = text(place)?;
    let keys = path.keys(&document(place, &text)?);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let changed = config::remove(&text, &keys).map_err(usage)?;
    if changed == text {
        return Err(StargetError::NotSet { field: path.to_string() });
    }
    // Not checked as a whole: with less in it, it is not more wrong than it was.
    config::publish(place.file(), &changed)
}

fn path(place: &Place, json: bool) -> Result<(), StargetError> {
    let (file, exists) = (place.file(), place.file().exists());
    let why = match place.why {
        Why::Named => "named by --config or STARGET_CONFIG",
        Why::Original => "~/.stargz-get is there",
        Why::Xdg => "the user's folder of configurations",
    };
    let mut output = Output::open();
    if json {
        output.json(&json!({"file": file, "exists": exists, "why": why, "key_file": place.key_file()}))?;
    } else {
        output.line(&file.display().to_string())?;
        let there = if exists { "" } else { "; there is no such file yet" };
        crate::output::note(&format!("({why}{there})"));
    }
    output.finish()
}
