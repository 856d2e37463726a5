//! `transship push`, `pull`, `copy`, `export` and `import`: images between registries and files.
//!
//! Must not know how a server stores; all goes over its registry API, as for any other registry. `image` is the order in which
//! an image is moved, `source` and `sink` are its two ends. Invariants: manifests are never changed; every byte is verified.

mod address;
pub(crate) mod args;
mod blob;
mod connect;
mod copy;
mod cosign;
mod credentials;
mod error;
mod export;
mod files;
mod image;
mod import;
mod place;
mod platform;
mod pull;
mod push;
mod report;
mod sink;
mod source;
mod tally;
mod verified;

use std::process::ExitCode;

use client::{RegistryClient, UploadRule};

use address::{Address, Place};
use args::{CopyArgs, ExportArgs, ImportArgs, Moving, PullArgs, PushArgs, Reaching, Serving};
use connect::Connector;
use credentials::{LOGIN, Login, PasswordIn, SRC_LOGIN};
use error::{Reason, TransferError};
use report::{Form, Outcome};
use sink::{Elsewhere, Sink};
use source::Source;
use tally::{Progress, Tally};

use crate::config::Environment;

/// What all of these commands have.
struct Command<'a> {
    /// To where images are put.
    target: Connector<'a>,
    /// To where they are taken from.
    source: Connector<'a>,
    tally: Tally,
    parallel: usize,
    rule: UploadRule,
}

impl Command<'_> {
    async fn connect(&self, place: &Place) -> Result<RegistryClient, TransferError> {
        self.target.connect(place).await
    }

    async fn sink(&self, address: &Address) -> Result<Sink, TransferError> {
        let client = self.connect(&address.place).await?;
        Ok(Sink::Registry { client, name: address.name.clone(), rule: self.rule, elsewhere: Elsewhere::default() })
    }

    async fn source(&self, address: &Address) -> Result<Source, TransferError> {
        let client = self.source.connect(&address.place).await?;
        Ok(Source::Registry { client, name: address.name.clone() })
    }
}

/// Which command, with what was typed.
enum Typed<'a> {
    Push(&'a PushArgs),
    Pull(&'a PullArgs),
    Copy(&'a CopyArgs),
    Export(&'a ExportArgs),
    Import(&'a ImportArgs),
}

/// Runs `transship push`.
pub(crate) fn push(args: &PushArgs) -> ExitCode {
    run(&Typed::Push(args), &args.reaching, &args.serving, &args.moving)
}

/// Runs `transship pull`.
pub(crate) fn pull(args: &PullArgs) -> ExitCode {
    run(&Typed::Pull(args), &args.reaching, &args.serving, &args.moving)
}

/// Runs `transship copy`.
pub(crate) fn copy(args: &CopyArgs) -> ExitCode {
    run(&Typed::Copy(args), &args.reaching, &args.serving, &args.moving)
}

/// Runs `transship export`.
pub(crate) fn export(args: &ExportArgs) -> ExitCode {
    run(&Typed::Export(args), &args.reaching, &args.serving, &args.moving)
}

/// Runs `transship import`.
pub(crate) fn import(args: &ImportArgs) -> ExitCode {
    run(&Typed::Import(args), &args.reaching, &args.serving, &args.moving)
}

impl Typed<'_> {
    /// What is said of an image that is done.
    fn verb(&self) -> &'static str {
        match self {
            Self::Push(_) => "pushed",
            Self::Pull(_) => "pulled",
            Self::Copy(_) => "copied",
            Self::Export(_) => "exported",
            Self::Import(_) => "imported",
        }
    }

    async fn run(&self, command: &Command<'_>) -> Result<Outcome, TransferError> {
        match self {
            Self::Push(args) => push::run(args, command).await,
            Self::Pull(args) => pull::run(args, command).await,
            Self::Copy(args) => copy::run(args, command).await,
            Self::Export(args) => export::run(args, command).await,
            Self::Import(args) => import::run(args, command).await,
        }
    }

    /// What cannot be known of a single flag.
    fn check(&self, reaching: &Reaching) -> Result<(), TransferError> {
        match self {
            Self::Push(args) => push::check(args, reaching),
            Self::Pull(_) | Self::Copy(_) | Self::Export(_) | Self::Import(_) => Ok(()),
        }
    }

    /// How the source is reached where that is another place than the target.
    fn source(&self, reaching: &Reaching) -> Reaching {
        let (plain_http, insecure, ca) = match self {
            Self::Copy(args) => (args.src_plain_http, args.src_insecure, args.src_ca.clone()),
            Self::Push(_) | Self::Pull(_) | Self::Export(_) | Self::Import(_) => {
                (reaching.plain_http, reaching.insecure, reaching.ca.clone())
            }
        };
        Reaching { plain_http, insecure, ca, username: None, password_stdin: false, retries: reaching.retries }
    }

    fn source_login(&self, login: Option<&Login>, environment: &Environment) -> Result<Option<Login>, TransferError> {
        match self {
            Self::Copy(args) => {
                Login::given(args.src_username.as_deref(), PasswordIn::Variable, SRC_LOGIN, environment)
            }
            Self::Push(_) | Self::Pull(_) | Self::Export(_) | Self::Import(_) => Ok(login.cloned()),
        }
    }
}

fn run(typed: &Typed<'_>, reaching: &Reaching, serving: &Serving, moving: &Moving) -> ExitCode {
    let progress = if moving.quiet || moving.json { Progress::Unwanted } else { Progress::Wanted };
    let form = if moving.json { Form::Json } else { Form::Text };
    let tally = Tally::new(progress);
    let outcome = start(typed, reaching, serving, moving, &tally);
    report::tell(outcome, typed.verb(), form, &tally)
}

fn start(
    typed: &Typed<'_>,
    reaching: &Reaching,
    serving: &Serving,
    moving: &Moving,
    tally: &Tally,
) -> Result<Outcome, TransferError> {
    let environment = &Environment::of_process();
    typed.check(reaching)?;
    let password = if reaching.password_stdin { PasswordIn::Stdin } else { PasswordIn::Variable };
    let login = Login::given(reaching.username.as_deref(), password, LOGIN, environment)?;
    let source_login = typed.source_login(login.as_ref(), environment)?;
    let source = typed.source(reaching);
    let attempts = reaching.retries;
    let connector = |reaching, login| Connector { reaching, serving, environment, login, attempts };
    let command = Command {
        target: connector(reaching, login),
        source: connector(&source, source_login),
        tally: tally.clone(),
        parallel: usize::from(moving.parallel),
        rule: UploadRule { chunk: moving.chunk_size },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| TransferError::new(Reason::Other, format!("cannot start: {error}")))?;
    // On a worker, so that files may be written where it is waited for bytes.
    runtime.block_on(async { typed.run(&command).await })
}
