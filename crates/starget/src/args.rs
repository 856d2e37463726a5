//! What the user typed.
//!
//! Must not know what it means; `settings` checks what holds for all commands. Invariant: a secret given here is in a
//! type that does not print.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use client::Secret;
use url::Url;

use crate::commands::AnyCommand;
use crate::config::Registries;
use crate::error::ExitReason;
use crate::settings::MirrorForm;
use crate::typed_values::{bytes, some_bytes, switch};
use oci::Platform;

const EXAMPLES: &str = "\
Examples:
  starget info ghcr.io/org/app:1.2-esgz
  starget ls -l ghcr.io/org/app:1.2-esgz usr/bin/
  starget cat ghcr.io/org/app:1.2-esgz etc/os-release
  starget get ghcr.io/org/app:1.2-esgz usr/share/zoneinfo/ ./zoneinfo
  starget config login ghcr.io
  source <(starget completion bash)";

/// Examples, and what the exit codes mean.
fn after_help() -> String {
    let codes = ExitReason::ALL.map(|reason| format!("  {}  {}\n", reason.code(), reason.meaning()));
    format!("{EXAMPLES}\n\nExit codes:\n  0  done as asked\n{}", codes.concat())
}

/// Lists and fetches single files of eStargz images with range requests, verified.
#[derive(Parser)]
#[command(name = "starget", version, after_help = after_help(), max_term_width = 120)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: AnyCommand,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What holds for all commands.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Options {
    /// Log in with this user name and password; with --password-stdin the user name alone
    #[arg(long, global = true, value_name = "USER:PASSWORD", env = "STARGET_CREDENTIAL", hide_env_values = true,
          value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Secret::new(text)), help_heading = "Registry")]
    pub(crate) credential: Option<Secret>,
    /// Read the password from standard input
    #[arg(long, global = true, help_heading = "Registry")]
    pub(crate) password_stdin: bool,
    /// Speak plain HTTP with the registry (loopback addresses need no flag)
    #[arg(long, global = true, env = "STARGET_PLAIN_HTTP", value_parser = switch, help_heading = "Registry")]
    pub(crate) plain_http: bool,
    /// Do not check the registry's certificate
    #[arg(short = 'k', long, global = true, env = "STARGET_INSECURE", value_parser = switch, help_heading = "Registry")]
    pub(crate) insecure: bool,
    /// Certificates of authorities to accept besides the system's, PEM
    #[arg(long, global = true, value_name = "FILE", env = "STARGET_CA", help_heading = "Registry")]
    pub(crate) ca: Option<PathBuf>,
    /// Ask this mirror first (a Transship, for example); may be given several times
    #[arg(
        long = "mirror",
        global = true,
        value_name = "URL",
        env = "STARGET_MIRROR",
        value_delimiter = ',',
        help_heading = "Registry"
    )]
    pub(crate) mirrors: Vec<Url>,
    /// How the mirror is asked for images of other registries
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FORM",
        env = "STARGET_MIRROR_FORM",
        default_value = "path",
        help_heading = "Registry"
    )]
    pub(crate) mirror_form: MirrorForm,
    /// The platform to choose from an index [default: this machine's]
    #[arg(long, global = true, value_name = "OS/ARCH[/VARIANT]", env = "STARGET_PLATFORM", help_heading = "Registry")]
    pub(crate) platform: Option<Platform>,
    /// How often a request that failed is tried again
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "STARGET_MAX_RETRIES",
        default_value_t = 3,
        help_heading = "Transfer"
    )]
    pub(crate) max_retries: u32,
    /// The first pause before trying again, in milliseconds; doubles with every further one
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "MS",
        env = "STARGET_RETRY_BASE_MS",
        default_value_t = 100,
        help_heading = "Transfer"
    )]
    pub(crate) retry_base_ms: u64,
    /// The longest pause, in milliseconds
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "MS",
        env = "STARGET_RETRY_MAX_MS",
        default_value_t = 2000,
        help_heading = "Transfer"
    )]
    pub(crate) retry_max_ms: u64,
    /// Requests for content at a time
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "STARGET_CONCURRENCY",
        default_value = "4",
        help_heading = "Transfer"
    )]
    pub(crate) concurrency: NonZeroUsize,
    /// Most requests a second at one host
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "N",
        env = "STARGET_REQUESTS_PER_SECOND",
        help_heading = "Transfer"
    )]
    pub(crate) requests_per_second: Option<NonZeroU32>,
    /// Most bytes a second from one host
    #[arg(long, global = true, hide_short_help = true, value_name = "SIZE", env = "STARGET_BYTES_PER_SECOND", value_parser = some_bytes, help_heading = "Transfer")]
    pub(crate) bytes_per_second: Option<NonZeroU64>,
    /// Bytes of a layer's end to ask for at first; more may save a request and cost bytes
    #[arg(
        long,
        global = true, hide_short_help = true,
        value_name = "SIZE",
        env = "STARGET_TAIL",
        default_value = "51",
        value_parser = bytes,
        help_heading = "Transfer"
    )]
    pub(crate) tail: u64,
    /// Take content without comparing it with its digests
    #[arg(long, global = true, help_heading = "Transfer")]
    pub(crate) skip_verify: bool,
    /// Read layers whole that cannot be read in parts
    #[arg(long, global = true, env = "STARGET_ALLOW_FULL_LAYERS", value_parser = switch, help_heading = "Transfer")]
    pub(crate) allow_full_layers: bool,
    /// Show no progress
    #[arg(long, global = true, env = "STARGET_NO_PROGRESS", value_parser = switch, help_heading = "Output")]
    pub(crate) no_progress: bool,
    /// Print results and errors as JSON
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Say at the end how many requests and bytes it took
    #[arg(long, global = true, env = "STARGET_STATS", value_parser = switch, help_heading = "Output")]
    pub(crate) stats: bool,
    /// Log what is done
    #[arg(short = 'v', long, global = true, help_heading = "Output")]
    pub(crate) verbose: bool,
    /// Log every request and answer with their headers, secrets left out
    #[arg(short = 'd', long, global = true, help_heading = "Output")]
    pub(crate) debug: bool,
    /// Where tables of contents and manifests are kept
    #[arg(long, global = true, value_name = "DIR", env = "STARGET_CACHE_DIR", help_heading = "Folders")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Most bytes kept there
    #[arg(long, global = true, hide_short_help = true, value_name = "SIZE", env = "STARGET_CACHE_SIZE", default_value = "256MiB", value_parser = bytes,
          help_heading = "Folders")]
    pub(crate) cache_size: u64,
    /// Keep nothing and use nothing that was kept
    #[arg(long, global = true, env = "STARGET_NO_CACHE", value_parser = switch, help_heading = "Folders")]
    pub(crate) no_cache: bool,
    /// Where downloads that were broken off are remembered
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "DIR",
        env = "STARGET_STATE_DIR",
        help_heading = "Folders"
    )]
    pub(crate) state_dir: Option<PathBuf>,
    /// The configuration file [default: ~/.stargz-get/config.yaml where that folder is, else starget/config.yaml in the
    /// user's folder of configurations]
    #[arg(long, global = true, value_name = "FILE", env = "STARGET_CONFIG", help_heading = "Folders")]
    pub(crate) config: Option<PathBuf>,
    /// What that file says of registries.
    #[arg(skip)]
    pub(crate) registries: Arc<Registries>,
}
