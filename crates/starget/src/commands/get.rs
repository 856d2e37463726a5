//! `starget get`: files and directories, into a folder or a file.
//!
//! Must not know how content is fetched or written. Invariants: one file that was named goes to the name that was given;
//! anything else keeps its path below the folder; a file that failed is reported, not there, and decides the exit code.

mod tree;

use std::path::{Path, PathBuf};

use estargz::Trust;
use oci::Digest;

use super::cat;
use crate::error::{ExitReason, StargetError};
use crate::extract::{Preserve, Shape};
use crate::image::Target;
use crate::layers::Layers;
use crate::output::{Output, note};
use crate::report::as_text;
use crate::select::{LastLink, Selection};
use crate::session::Session;
use crate::settings::Verify;

/// Most failures that are shown one by one.
const MOST_SHOWN: usize = 20;

const EXAMPLES: &str = "\
Examples:
  starget get ghcr.io/org/app:1.2-esgz etc/passwd
  starget get ghcr.io/org/app:1.2-esgz usr/share/zoneinfo/ ./zoneinfo
  starget get ghcr.io/org/app:1.2-esgz . ./rootfs --concurrency 8
  starget get ghcr.io/org/app:1.2-esgz bin/busybox -o - | file -

A download that was broken off goes on where it stopped when the same command is given again.";

/// What is typed after `starget get`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct GetArgs {
    /// The image
    image: String,
    /// A layer's digest to read from that layer alone, a path or pattern (`bin/`, `etc/passwd`, `**/*.so`, `.`), and where to
    #[arg(value_name = "[BLOB] PATTERN [OUT]", required = true)]
    words: Vec<String>,
    /// Where to: a file for one file, a folder for more, `-` for standard output [default: .]
    #[arg(short = 'o', long, value_name = "OUT")]
    output: Option<String>,
    /// Keep owners, set-id bits, capabilities and devices (needs the rights to)
    #[arg(short = 'p', long)]
    preserve: bool,
    /// Keep owners and groups, by number
    #[arg(long)]
    owner: bool,
    /// Keep set-user-id and set-group-id bits and capabilities
    #[arg(long)]
    set_id: bool,
    /// Make device files
    #[arg(long)]
    devices: bool,
}

impl GetArgs {
    fn preserved(&self) -> Preserve {
        Preserve {
            owner: self.owner || self.preserve,
            set_id: self.set_id || self.preserve,
            devices: self.devices || self.preserve,
        }
    }
}

/// What is downloaded, and where to.
struct Order {
    layer: Option<Digest>,
    pattern: String,
    out: String,
}

impl Order {
    fn read(args: &GetArgs) -> Result<Self, StargetError> {
        let target = Target::read(&args.words).map_err(StargetError::Usage)?;
        let usage = |what: &str| StargetError::Usage(what.to_owned());
        let (pattern, out) = match (&target.words[..], &args.output) {
            ([], _) => return Err(usage("a path or pattern is missing; `.` is everything")),
            ([pattern], None) => (pattern, "."),
            ([pattern], Some(out)) | ([pattern, out], None) => (pattern, out.as_str()),
            ([_, _], Some(_)) => return Err(usage("where to was said twice")),
            (_, _) => return Err(usage("there are too many words; quote patterns")),
        };
        Ok(Self { layer: target.layer, pattern: pattern.clone(), out: out.to_owned() })
    }
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: GetArgs) -> Result<(), StargetError> {
    let order = Order::read(&args)?;
    let wanted = (&[order.pattern.as_str()][..], LastLink::Followed);
    let layers = Layers::open_for(session, &args.image, order.layer.as_ref(), wanted).await?;
    warn_of_unproven(session, &layers);
    if order.out == "-" {
        return to_stdout(session, &layers, &args.image, &order.pattern).await;
    }
    let selection = Selection::of(&layers.tree, &args.image, &order.pattern, LastLink::Followed)?;
    let out = Path::new(&order.out);
    let (folder, shape) = match &selection {
        Selection::One(node) => {
            let (folder, name) = place_of_one(out, asked_name(&order.pattern).unwrap_or(node.name()))?;
            (folder, Shape::of_one(&layers, *node, &name))
        }
        Selection::Directory(_) | Selection::Matches(_) => {
            (out.to_owned(), Shape::of(&layers, &selection.with_content(&layers.tree)))
        }
        Selection::Everything => {
            let shape = Shape::of(&layers, &selection.with_content(&layers.tree));
            (out.to_owned(), shape.with_root(&layers))
        }
    };
    tree::download(
        session,
        layers,
        shape,
        &tree::Destination { layer: order.layer, pattern: order.pattern.clone(), folder, preserve: args.preserved() },
    )
    .await
}

/// The last part of the path as it was asked for: a link is stored under its own name.
fn asked_name(pattern: &str) -> Option<&str> {
    pattern.trim_end_matches('/').rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."))
}

/// A file goes into a folder that is there, or under a name that is not one.
fn place_of_one(out: &Path, name: &str) -> Result<(PathBuf, String), StargetError> {
    if out.is_dir() {
        return Ok((out.to_owned(), name.to_owned()));
    }
    let text = out.to_string_lossy();
    if text.ends_with('/') {
        return Ok((out.to_owned(), name.to_owned()));
    }
    let file = out.file_name().and_then(|name| name.to_str());
    let file = file.ok_or_else(|| StargetError::Usage(format!("'{text}' is no name for a file")))?;
    let folder = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((folder.to_owned(), file.to_owned()))
}

async fn to_stdout(session: &Session, layers: &Layers, image: &str, pattern: &str) -> Result<(), StargetError> {
    let jobs = cat::files(layers, image, pattern)?;
    let [job] = &jobs[..] else {
        return Err(StargetError::Usage(format!("{pattern} is {} files; standard output takes one", jobs.len())));
    };
    let mut output = Output::open();
    cat::write_file(&mut output, job, &layers.source(&job.layer)).await?;
    output.finish()?;
    session.say_stats(layers.whole);
    Ok(())
}

fn warn_of_unproven(session: &Session, layers: &Layers) {
    if session.settings.verify == Verify::Nothing {
        return;
    }
    for layer in layers.tree.layers().iter().filter(|layer| layer.trust() == Trust::Unstated) {
        let digest = layer.digest();
        note(&format!(
            "warning: the manifest states no digest for the table of contents of layer {digest}: its content is not proven"
        ));
    }
}

/// Reports failures; the exit code is that of a verification, of the only reason there is, or "some failed".
pub(super) fn conclude(failed: Vec<(String, StargetError)>, total: usize) -> Result<(), StargetError> {
    let count = failed.len();
    let mut reasons: Vec<ExitReason> = Vec::new();
    let mut first = None;
    for (at, (path, error)) in failed.into_iter().enumerate() {
        if total <= 1 && count == 1 {
            return Err(error);
        }
        reasons.push(error.reason());
        let text = format!("{path}: {}", as_text(&error));
        if at < MOST_SHOWN {
            note(&format!("failed: {text}"));
        }
        first = first.or(Some(text));
    }
    if count > MOST_SHOWN {
        note(&format!("failed: and {} more", count - MOST_SHOWN));
    }
    let Some(one) = reasons.first().copied() else { return Ok(()) };
    let reason = if reasons.contains(&ExitReason::Verification) {
        ExitReason::Verification
    } else if count == total && reasons.iter().all(|reason| *reason == one) {
        one
    } else {
        ExitReason::SomeFailed
    };
    Err(StargetError::SomeFailed { failed: count, total, reason, first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reasons: &[ExitReason], total: usize) -> ExitReason {
        let failed =
            reasons.iter().map(|reason| ("a".to_owned(), StargetError::Shared { what: "x".into(), reason: *reason }));
        conclude(failed.collect(), total).unwrap_err().reason()
    }

    #[test]
    fn what_is_wrong_with_content_decides_over_everything_else() {
        use ExitReason::{Network, Other, SomeFailed, Verification};
        assert_eq!(failed(&[Network], 1), Network);
        assert_eq!(failed(&[Network], 2), SomeFailed);
        assert_eq!(failed(&[Network, Network], 2), Network);
        assert_eq!(failed(&[Network, Other], 2), SomeFailed);
        assert_eq!(failed(&[Network, Verification], 9), Verification);
        conclude(Vec::new(), 3).unwrap();
    }

    #[test]
    fn one_file_goes_where_it_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let place = |out: &Path| place_of_one(out, "ls").unwrap();
        assert_eq!(place(folder.path()), (folder.path().to_owned(), "ls".to_owned()));
        assert_eq!(place(&folder.path().join("new")), (folder.path().to_owned(), "new".to_owned()));
        assert_eq!(place(Path::new("new/")), ("new/".into(), "ls".to_owned()));
        assert_eq!(place(Path::new("new")), (".".into(), "new".to_owned()));
        assert!(place_of_one(Path::new("not-there/.."), "ls").is_err());
    }
}
