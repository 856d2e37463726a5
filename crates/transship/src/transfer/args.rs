//! What is typed after `transship push`, `pull`, `copy`, `export` and `import`.
//!
//! Must not know how anything is moved. Invariant: no flag takes a secret.

use std::path::PathBuf;

use oci::Platform;

use super::files::is_stdin;

const CODES: &str = "
Exit codes: 0 done, 1 anything else, 2 the command line is wrong, 3 no such image or file, 4 a login is missing or refused,
5 content is not what its digest says, 6 some images failed and the others are done, 8 the registry cannot be reached.";

pub(crate) fn push_help() -> String {
    let examples = "Examples:
  transship push --oci-layout build/image releases/team/app:v1.4
  transship push --oci-layout build/image:amd64 registry.example/team/app:v1.4
  docker save app | transship push --docker-archive - releases/team/app:v1.4
  printf %s \"$TOKEN\" | transship push --username ci --password-stdin --oci-layout image registry.example/app:1
";
    format!("{examples}{CODES}")
}

pub(crate) fn pull_help() -> String {
    let examples = "Examples:
  transship pull releases/team/app:v1.4 --oci-layout image
  transship pull registry.example/team/app:v1.4 --docker-archive app.tar --platform linux/arm64 && docker load -i app.tar
  transship pull releases/team/app:v1.4 --oci-layout app.tar --referrers
";
    format!("{examples}{CODES}")
}

pub(crate) fn copy_help() -> String {
    let examples = "Examples:
  transship copy registry.example/team/app:1.4 releases/team/app:v1.4
  transship copy registry.example/team/app releases/team/app --all-tags --referrers
  transship copy releases/team/app:v1.4 other.example/app:v1.4 --platform linux/amd64
";
    format!("{examples}{CODES}")
}

pub(crate) fn export_help() -> String {
    let examples = "Examples:
  transship export releases --to /media/disk/releases
  transship export releases/team/app --to app.tar
  transship import app.tar releases

An export or import that was stopped, by whatever, goes on where it was when the same command is run again.
";
    format!("{examples}{CODES}")
}

/// How registries are reached.
#[derive(clap::Args)]
pub(crate) struct Reaching {
    /// Speak plain HTTP with the registry; loopback addresses are tried so by themselves
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Do not check the registry's certificate
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Authorities to trust besides the system's, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Log in with this user name; default: what `docker login` left [env: TRANSSHIP_USERNAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Read the password from standard input [env: TRANSSHIP_PASSWORD holds it otherwise]
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// How often in a row something may fail without any progress before it is given up
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) retries: u32,
}

/// How the own server is reached: the one that KEY/NAME without a host means.
#[derive(clap::Args)]
pub(crate) struct Serving {
    /// The Transship server that names without a host are on [env: TRANSSHIP_SERVER] [default: http://127.0.0.1:5000]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// File with its admin token [env: TRANSSHIP_ADMIN_TOKEN_FILE] [default: admin.token in the cache directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<String>,
    /// The server's configuration file, which says where the token is [env: TRANSSHIP_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// How content is moved and told of.
#[derive(clap::Args)]
pub(crate) struct Moving {
    /// Blobs moved side by side
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) parallel: u8,
    /// Most bytes of a blob in one request, like 50MiB, for proxies that bound requests [default: a blob is one request]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) chunk_size: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Of what begins with a dash, standard input alone is no flag.
fn archive(text: &str) -> Result<String, String> {
    match text {
        flag if flag.starts_with('-') && !is_stdin(flag) => {
            Err("it is a flag, and no file; write ./ before a name".to_owned())
        }
        file => Ok(file.to_owned()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    registry::parse_size(text).map(|size| size.max(1))
}

/// `transship push`.
#[derive(clap::Args)]
#[group(id = "what", required = true, multiple = false, args = ["oci_layout", "docker_archive"])]
pub(crate) struct PushArgs {
    /// Push from this OCI image layout, a folder or a tar file; behind a colon the image's name in it
    #[arg(long, value_name = "DIR[:REF]")]
    pub(crate) oci_layout: Option<String>,
    /// Push from this archive of `docker save`; - is standard input, -:REF an image of it
    #[arg(long, value_name = "FILE[:REF]", allow_hyphen_values = true, value_parser = archive)]
    pub(crate) docker_archive: Option<String>,
    /// Where to: KEY/NAME:TAG on the server, or HOST/NAME:TAG
    pub(crate) image: String,
    /// Push what refers to the image too: signatures, SBOMs
    #[arg(long)]
    pub(crate) referrers: bool,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) serving: Serving,
    #[command(flatten)]
    pub(crate) moving: Moving,
}

/// `transship pull`.
#[derive(clap::Args)]
#[group(id = "what", required = true, multiple = false, args = ["oci_layout", "docker_archive"])]
pub(crate) struct PullArgs {
    /// What: KEY/NAME:TAG on the server, or HOST/NAME:TAG, or with @DIGEST
    pub(crate) image: String,
    /// Add it to this OCI image layout, a folder, or a tar file when it ends in .tar; behind a colon its name in there
    #[arg(long, value_name = "DIR[:REF]")]
    pub(crate) oci_layout: Option<String>,
    /// Write it as an archive that `docker load` reads
    #[arg(long, value_name = "FILE")]
    pub(crate) docker_archive: Option<PathBuf>,
    /// Only the image for this platform, like linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// What refers to the image too: signatures, SBOMs
    #[arg(long)]
    pub(crate) referrers: bool,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) serving: Serving,
    #[command(flatten)]
    pub(crate) moving: Moving,
}

/// `transship copy`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
pub(crate) struct CopyArgs {
    /// What: KEY/NAME:TAG on the server, or HOST/NAME:TAG, or with @DIGEST
    pub(crate) source: String,
    /// Where to, in the same words
    pub(crate) target: String,
    /// All tags; source and target are then written without one
    #[arg(long)]
    pub(crate) all_tags: bool,
    /// What refers to the images too: signatures, SBOMs
    #[arg(long)]
    pub(crate) referrers: bool,
    /// Only the image for this platform, like linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Speak plain HTTP with the source; the other flags without src- are for the target
    #[arg(long)]
    pub(crate) src_plain_http: bool,
    /// Do not check the source's certificate
    #[arg(long)]
    pub(crate) src_insecure: bool,
    /// Authorities to trust for the source besides the system's, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) src_ca: Option<PathBuf>,
    /// Log in at the source with this user name; TRANSSHIP_SRC_PASSWORD holds the password [env: TRANSSHIP_SRC_USERNAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) src_username: Option<String>,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) serving: Serving,
    #[command(flatten)]
    pub(crate) moving: Moving,
}

/// `transship export`.
#[derive(clap::Args)]
pub(crate) struct ExportArgs {
    /// A hosted repository of the server, or one name of it: KEY, KEY/NAME or KEY/NAME:TAG
    pub(crate) what: String,
    /// The OCI image layout to write: a folder, or a tar file when it ends in .tar
    #[arg(long, value_name = "DIR|FILE.tar")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) serving: Serving,
    #[command(flatten)]
    pub(crate) moving: Moving,
}

/// `transship import`.
#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    /// The OCI image layout, or the archive of `docker save`: a folder or a tar file
    pub(crate) from: PathBuf,
    /// The hosted repository of the server that takes the images
    pub(crate) key: String,
    /// The name for images whose name in the layout is only a tag
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) serving: Serving,
    #[command(flatten)]
    pub(crate) moving: Moving,
}
