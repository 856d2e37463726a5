//! What is typed after `transship check` and `transship upstream check`.
//!
//! Must not know how a check is made. Invariant: no flag takes a secret; a password comes from standard input or the
//! environment, where other users of the machine do not see it.

use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship check https://registry.example library/alpine:3
  transship check http://127.0.0.1:5000/dockerhub library/alpine:3
      Transship itself, as its clients see it
  transship upstream check dockerhub
      by the running server, with its credentials, for an image it has cached
  transship upstream check corp team/app:1.2 --json

Exit codes: 0 nothing fails, 1 something fails (with --strict: or is degraded), 2 the check could not be made.";

/// How the result is shown.
#[derive(clap::Args)]
pub(crate) struct Showing {
    /// Print the whole report as JSON, every exchange included
    #[arg(long)]
    pub(crate) json: bool,
    /// End with 1 when something is degraded, too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Say nothing on standard error while checking
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// How a registry is reached that is given by its URL.
#[derive(clap::Args)]
pub(crate) struct Reaching {
    /// Log in with this user name; the password is read from standard input or the environment [env: TRANSSHIP_CHECK_USERNAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Read the password from standard input [env: TRANSSHIP_CHECK_PASSWORD holds it otherwise]
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Host of the token server, when it is not the registry's own; may be given several times
    #[arg(long, value_name = "HOST")]
    pub(crate) token_host: Vec<String>,
    /// Authorities to trust besides the system's, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The registry is inside: private addresses may be dialled. Implied for loopback addresses
    #[arg(long)]
    pub(crate) internal: bool,
}

/// How the running server is reached.
#[derive(clap::Args)]
pub(crate) struct Managing {
    /// The running server, for a check by the key of a repository [env: TRANSSHIP_SERVER] [default: http://127.0.0.1:5000]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// File with the admin token [env: TRANSSHIP_ADMIN_TOKEN_FILE] [default: admin.token in the cache directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<String>,
    /// The server's configuration file, which says where the token is [env: TRANSSHIP_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `transship check`.
#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// The registry: scheme, host, port, and the path images are below
    pub(crate) url: String,
    /// An image there: NAME, NAME:TAG or NAME@DIGEST
    pub(crate) image: Option<String>,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) showing: Showing,
}

/// `transship upstream check`.
#[derive(clap::Args)]
pub(crate) struct UpstreamCheckArgs {
    /// The key of a repository of the running server, or the URL of a registry
    pub(crate) target: String,
    /// An image there: NAME, NAME:TAG or NAME@DIGEST
    pub(crate) image: Option<String>,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) managing: Managing,
    #[command(flatten)]
    pub(crate) showing: Showing,
}
