//! What the user typed.
//!
//! Must not know what it means: values are checked together with those of the environment and the file. Invariant:
//! a flag that was not given leaves no trace, so that lower sources show through.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use oci::RegistryHost;
use url::Url;

use crate::channel::ChannelCommand;
use crate::check::args::{self as check, CheckArgs, UpstreamCheckArgs};
use crate::client_config::{ContainerClient, Fallback, WELL_KNOWN, Wanted};
use crate::config::{Environment, FlagValue, Sources, env_vars};
use crate::explain::{self, ExplainArgs};
use crate::gc::{self, GcArgs};
use crate::group::{self, GroupCommand};
use crate::promote::{self, PromoteArgs, PromotionsCommand};
use crate::retention::RetentionCommand;
use crate::tag::TagCommand;
use crate::transfer::args::{self as transfer, CopyArgs, ExportArgs, ImportArgs, PullArgs, PushArgs};

const EXAMPLES: &str = "\
Examples:
  transship serve
      serves on 127.0.0.1:5000 and caches in your data directory; then try
      docker pull 127.0.0.1:5000/dockerhub/library/alpine
  transship serve --config /etc/transship/transship.yaml
  transship serve --listen 0.0.0.0:5000 --cache-dir /srv/transship --max-size 200GiB
  transship config check /etc/transship/transship.yaml
  transship config schema > transship.schema.json

Flags win over environment variables (TRANSSHIP_…), those over the configuration file.
Exit codes: 0 as asked, 1 something failed while running, 2 the command line or the configuration is wrong.";

const CLIENT_CONFIG_EXAMPLES: &str = "\
Examples:
  transship client-config --for containerd
  transship client-config --for podman --server https://mirror.corp.example --ca /etc/ssl/corp.pem
  transship client-config --for k3s --server http://10.0.0.5:5000 --registry docker.io --registry ghcr.io --no-fallback
  transship client-config --for docker --hub-mirror http://127.0.0.1:5001
  transship client-config --for containerd --output /

Exit codes: 0 printed or written, 1 a file could not be written, 2 the command line is wrong.";

const ROTATE_EXAMPLES: &str = "\
Examples:
  transship secrets rotate
  transship secrets rotate --config /etc/transship/transship.yaml

The new key stands in the key file (secrets/sealing.keys in the cache directory, or secrets.key_file) before anything is sealed
with it; the former one leaves the file when nothing needs it any more. Keep a copy of the key file.
Exit codes: 0 done, 1 not done (both keys are kept, run it again), 2 the command line or the configuration is wrong.";

/// A pull-through OCI registry: caches what container clients pull, and answers when upstream cannot.
#[derive(Parser)]
#[command(name = "transship", version, after_help = EXAMPLES, max_term_width = 120)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve until told to stop (SIGTERM or SIGINT; SIGHUP reloads the configuration).
    #[command(after_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Check a configuration, or print its schema or reference.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the files that make docker, containerd, podman, k3s and others pull through a server.
    #[command(after_help = CLIENT_CONFIG_EXAMPLES)]
    ClientConfig(ClientConfigArgs),
    /// Look after the credentials that repositories made over the API have brought along.
    Secrets {
        #[command(subcommand)]
        command: SecretsCommand,
    },
    /// Check a registry by what clients and caches ask: whether it can be cached, ranged, put behind a CDN.
    #[command(after_help = check::EXAMPLES)]
    Check(Box<CheckArgs>),
    /// Say what a pull of an image would do now, and why, without asking any upstream.
    #[command(after_help = explain::EXAMPLES)]
    Explain(Box<ExplainArgs>),
    /// Give an image of one hosted repository a name in another, if the rules are met. No bytes move.
    #[command(after_help = promote::EXAMPLES)]
    Promote(Box<PromoteArgs>),
    /// See what a tag pointed to over time, and put it back.
    Tag {
        #[command(subcommand)]
        command: TagCommand,
    },
    /// See where channels point, and set them.
    Channel {
        #[command(subcommand)]
        command: ChannelCommand,
    },
    /// See which tags retention would delete, and have it done.
    Retention {
        #[command(subcommand)]
        command: RetentionCommand,
    },
    /// Look at promotions, and take them back.
    Promotions {
        #[command(subcommand)]
        command: PromotionsCommand,
    },
    /// Have the running server collect what nothing in its hosted repositories needs any more.
    #[command(after_help = gc::EXAMPLES)]
    Gc(Box<GcArgs>),
    /// Look at a group of the running server: who keeps which name, and what members do not agree on.
    #[command(after_help = group::EXAMPLES)]
    Group {
        #[command(subcommand)]
        command: GroupCommand,
    },
    /// Look at the registries that are pulled from.
    Upstream {
        #[command(subcommand)]
        command: UpstreamCommand,
    },
    /// Push an image of an OCI layout or an archive of `docker save` to this server or any registry.
    #[command(after_help = transfer::push_help())]
    Push(Box<PushArgs>),
    /// Pull an image of this server or any registry into an OCI layout or an archive for `docker load`.
    #[command(after_help = transfer::pull_help())]
    Pull(Box<PullArgs>),
    /// Copy images between registries, with their children and what refers to them; digests stay.
    #[command(after_help = transfer::copy_help())]
    Copy(Box<CopyArgs>),
    /// Write a hosted repository into an OCI layout, to carry it elsewhere.
    #[command(after_help = transfer::export_help())]
    Export(Box<ExportArgs>),
    /// Bring the images of an OCI layout or an archive into a hosted repository.
    #[command(after_help = transfer::export_help())]
    Import(Box<ImportArgs>),
    /// Serve made-up images with scripted faults, to try a set-up against an upstream that misbehaves.
    MockUpstream(MockUpstreamArgs),
    /// Print the reference of all metrics (docs/metrics.md).
    MetricsReference,
    /// Print what is known of each registry and how to set it up (docs/upstreams.md).
    UpstreamsReference,
    /// Print the version.
    Version,
}

#[derive(Subcommand)]
pub(crate) enum UpstreamCommand {
    /// Check an upstream: of a repository of the running server (by its key), or of any registry (by its URL).
    #[command(after_help = check::EXAMPLES)]
    Check(Box<UpstreamCheckArgs>),
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say everything that is wrong with a configuration file, each with its line.
    Check {
        /// The file; by default the one named by TRANSSHIP_CONFIG.
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Print the configuration reference (docs/configuration.md).
    Reference,
}

#[derive(clap::Args)]
pub(crate) struct ClientConfigArgs {
    /// The client to set up
    #[arg(long = "for", value_name = "CLIENT")]
    pub(crate) client: ContainerClient,
    /// The server's address, as the client reaches it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    server: Url,
    /// The address of a listener that serves Docker Hub alone, for docker's `registry-mirrors`
    #[arg(long, value_name = "URL")]
    hub_mirror: Option<Url>,
    /// A registry to pull through the server, as in image names; may be given several times [default: the well-known ones]
    #[arg(long = "registry", value_name = "HOST")]
    registries: Vec<RegistryHost>,
    /// Never go past the server, also when it does not answer
    #[arg(long)]
    no_fallback: bool,
    /// The authority that signed the server's certificate, PEM, as the client's machine names it
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Write the files below this folder (`/` for their real places) instead of printing them
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
}

impl ClientConfigArgs {
    /// What is wanted, or what is wrong with it.
    pub(crate) fn wanted(self) -> Result<Wanted, String> {
        for (flag, url) in [("--server", Some(&self.server)), ("--hub-mirror", self.hub_mirror.as_ref())] {
            let Some(url) = url else { continue };
            let is_address = matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/";
            if !is_address || url.query().is_some() || !url.username().is_empty() {
                return Err(format!("{flag} must be an address without a path, like http://10.0.0.5:5000"));
            }
        }
        let registries = match self.registries.as_slice() {
            [] => WELL_KNOWN.map(str::to_owned).to_vec(),
            named => named.iter().map(ToString::to_string).collect(),
        };
        let fallback = if self.no_fallback { Fallback::None } else { Fallback::Registry };
        Ok(Wanted { server: self.server, hub_mirror: self.hub_mirror, registries, fallback, ca: self.ca })
    }
}

#[derive(Subcommand)]
pub(crate) enum SecretsCommand {
    /// Seal the stored credentials with a new key; works while the server runs and while it does not.
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(PlaceArgs),
}

/// Which server's files are meant.
#[derive(clap::Args)]
pub(crate) struct PlaceArgs {
    /// The configuration file the server uses [env: TRANSSHIP_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's cache directory [env: TRANSSHIP_CACHE_DIR] [default: transship in your data directory]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<String>,
}

impl PlaceArgs {
    /// Where the configuration comes from, these flags included.
    pub(crate) fn sources(self, environment: Environment) -> Sources {
        let file = self.config.or_else(|| environment.get(env_vars::CONFIG).map(PathBuf::from));
        let cache_dir =
            self.cache_dir.map(|dir| FlagValue { field: "cache_dir", flag: "--cache-dir", values: vec![dir] });
        Sources { file, flags: cache_dir.into_iter().collect(), environment }
    }
}

#[derive(clap::Args)]
pub(crate) struct MockUpstreamArgs {
    /// The script, YAML; without one, a correct registry with one sample image
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5001")]
    pub(crate) listen: std::net::SocketAddr,
    /// One JSON object a request on standard output, instead of a line for people
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a commented script and end
    #[arg(long)]
    pub(crate) example: bool,
}

#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// Configuration file, YAML [env: TRANSSHIP_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder that holds everything [env: TRANSSHIP_CACHE_DIR] [default: transship in your data directory]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<String>,
    /// Address to listen on; may be given several times [env: TRANSSHIP_LISTEN] [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// The cache's budget, like 200GiB [env: TRANSSHIP_CACHE_MAX_SIZE] [default: 50GiB or half of the file system]
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,
    /// error, warn, info, debug, trace, off, or by target: info,transship_client=debug [env: TRANSSHIP_LOG_LEVEL] [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// human or json [env: TRANSSHIP_LOG_FORMAT] [default: human on a terminal, json otherwise]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log the headers of upstream exchanges, redacted [env: TRANSSHIP_TRACE_UPSTREAM]
    #[arg(long)]
    trace_upstream: bool,
    /// OpenTelemetry collector for traces, OTLP over HTTP [env: TRANSSHIP_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Certificate chain, PEM; turns TLS on [env: TRANSSHIP_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Private key of the certificate, PEM [env: TRANSSHIP_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// File with the keys for stored credentials [env: TRANSSHIP_SECRETS_KEY_FILE] [default: secrets/sealing.keys in the cache directory]
    #[arg(long, value_name = "FILE")]
    secrets_key_file: Option<String>,
    /// File with the admin token [env: TRANSSHIP_ADMIN_TOKEN_FILE] [default: admin.token in the cache directory]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<String>,
    /// Where clients reach this server, when TLS ends in front of it [env: TRANSSHIP_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// How long a stop waits for pulls under way [env: TRANSSHIP_SHUTDOWN_TIMEOUT] [default: 30s]
    #[arg(long, value_name = "TIME")]
    shutdown_timeout: Option<String>,
}

impl ServeArgs {
    /// Where the configuration comes from, these flags included.
    pub(crate) fn sources(self, environment: Environment) -> Sources {
        let file = self.config.or_else(|| environment.get(env_vars::CONFIG).map(PathBuf::from));
        let one = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
        let flags = [
            ("listen", "--listen", self.listen),
            ("cache_dir", "--cache-dir", one(self.cache_dir)),
            ("cache.max_size", "--max-size", one(self.max_size)),
            ("log.level", "--log-level", one(self.log_level)),
            ("log.format", "--log-format", one(self.log_format)),
            ("log.trace_upstream", "--trace-upstream", one(self.trace_upstream.then(|| "true".to_owned()))),
            ("tracing.otlp_endpoint", "--otlp-endpoint", one(self.otlp_endpoint)),
            ("tls.cert", "--tls-cert", one(self.tls_cert)),
            ("tls.key", "--tls-key", one(self.tls_key)),
            ("admin.token_file", "--admin-token-file", one(self.admin_token_file)),
            ("secrets.key_file", "--secrets-key-file", one(self.secrets_key_file)),
            ("public_url", "--public-url", one(self.public_url)),
            ("shutdown_timeout", "--shutdown-timeout", one(self.shutdown_timeout)),
        ];
        let flags = flags
            .into_iter()
            .filter(|(_, _, values)| !values.is_empty())
            .map(|(field, flag, values)| FlagValue { field, flag, values })
            .collect();
        Sources { file, flags, environment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn sources(arguments: &[&str], environment: Environment) -> Sources {
        let arguments = ["transship", "serve"].iter().chain(arguments);
        match Args::try_parse_from(arguments).unwrap().command {
            Command::Serve(serve) => serve.sources(environment),
            Command::Config { .. }
            | Command::Secrets { .. }
            | Command::ClientConfig(_)
            | Command::Check(_)
            | Command::Upstream { .. }
            | Command::Explain(_)
            | Command::Promote(_)
            | Command::Promotions { .. }
            | Command::Tag { .. }
            | Command::Channel { .. }
            | Command::Retention { .. }
            | Command::Gc(_)
            | Command::Group { .. }
            | Command::Push(_)
            | Command::Pull(_)
            | Command::Copy(_)
            | Command::Export(_)
            | Command::Import(_)
            | Command::MockUpstream(_)
            | Command::MetricsReference
            | Command::UpstreamsReference
            | Command::Version => panic!("not serve"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed_and_every_flag_has_its_variable_named_right() {
        Args::command().debug_assert();
        let mut help = Args::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        help.retain(|c| c != '\n');
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let secrets = [env_vars::ADMIN_TOKEN, env_vars::SECRETS_KEY];
        let of_others = [
            env_vars::SERVER,
            env_vars::CHECK_USERNAME,
            env_vars::CHECK_PASSWORD,
            env_vars::USERNAME,
            env_vars::PASSWORD,
            env_vars::SRC_USERNAME,
            env_vars::SRC_PASSWORD,
        ];
        for variable in env_vars::ALL.iter().filter(|v| !secrets.contains(&v.name) && !of_others.contains(&v.name)) {
            assert!(help.contains(&format!("[env: {}]", variable.name)), "{} in {help}", variable.name);
        }
    }

    #[test]
    fn only_what_was_typed_is_passed_on() {
        let given = sources(&["--listen", "a", "--listen", "b", "--max-size", "1GiB"], Environment::from_pairs([]));
        let flags: Vec<_> = given.flags.iter().map(|f| (f.field, f.flag, f.values.join(","))).collect();
        assert_eq!(
            flags,
            [("listen", "--listen", "a,b".to_owned()), ("cache.max_size", "--max-size", "1GiB".to_owned())]
        );
        assert!(given.file.is_none());
    }

    #[test]
    fn the_flag_names_the_file_before_the_variable_does() {
        let environment = || Environment::from_pairs([(env_vars::CONFIG, "/env.yaml")]);
        assert_eq!(sources(&[], environment()).file, Some("/env.yaml".into()));
        assert_eq!(sources(&["--config", "/flag.yaml"], environment()).file, Some("/flag.yaml".into()));
    }
}
