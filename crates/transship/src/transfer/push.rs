//! `transship push`: an image of a layout or an archive to a registry.
//!
//! Must not know file formats. Invariant: the digest at the registry is the one in the file.

use std::sync::Mutex;

use oci::Reference;

use super::args::{PushArgs, Reaching};
use super::error::TransferError;
use super::files::{self, Opened};
use super::image::{Referrers, Transfer, Wanted};
use super::report::{Line, Outcome};
use super::source::{Source, Unreadable};
use super::{Address, Command};

/// Pushes.
pub(super) async fn run(args: &PushArgs, command: &Command<'_>) -> Result<Outcome, TransferError> {
    let target = Address::read(&args.image)?;
    let Some(from) = args.oci_layout.as_deref().or(args.docker_archive.as_deref()) else {
        return Err(TransferError::usage("nothing to push: give --oci-layout or --docker-archive"));
    };
    let Opened { files, name, spool } = tokio::task::block_in_place(|| files::open(from))?;
    let entry = files::choose(&files, name.as_deref())?;
    let owner = entry.name().and_then(owner);
    let (digest, media_type) = (entry.descriptor.digest, entry.descriptor.media_type.clone());
    let tag = match target.reference_or_latest()? {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(wanted) if wanted == digest => None,
        Reference::Digest(wanted) => {
            return Err(TransferError::usage(format!("the image in {from} is {digest}, not {wanted}")));
        }
    };
    let sink = command.sink(&target).await?;
    command.tally.begin(&target.to_string());
    let transfer = Transfer {
        source: &Source::of_files(files, Unreadable::Fails),
        sink: &sink,
        tally: &command.tally,
        parallel: command.parallel,
        referrers: if args.referrers { Referrers::Along } else { Referrers::Left },
        platform: None,
        owner: owner.as_deref(),
        done: Mutex::default(),
    };
    let moved = transfer.run(Wanted { reference: digest.into(), media_type: Some(media_type), tag }).await?;
    drop(spool);
    let lines = moved.into_iter().map(|moved| Line {
        image: target.with(moved.tag.map_or(moved.digest.into(), Into::into)).to_string(),
        digest: moved.digest,
    });
    Ok(Outcome { images: lines.collect(), failed: Vec::new() })
}

/// Standard input is either the archive or the password.
pub(super) fn check(args: &PushArgs, reaching: &Reaching) -> Result<(), TransferError> {
    let from = args.oci_layout.as_deref().or(args.docker_archive.as_deref());
    if reaching.password_stdin && from.is_some_and(files::is_stdin) {
        let what =
            "standard input cannot be both the archive and the password; give the password in TRANSSHIP_PASSWORD";
        return Err(TransferError::usage(what));
    }
    Ok(())
}

/// The name before the tag or digest, where an image of a layout is called by both.
fn owner(called: &str) -> Option<String> {
    let name = called.split_once('@').map(|(name, _)| name);
    let tagged = called.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map(|(name, _)| name);
    name.or(tagged).map(str::to_owned)
}
