//! Which files a tar file holds, and where in it.
//!
//! Must not know what they are. Invariants: nothing is unpacked; a member whose name leads out of the archive refuses the
//! whole archive; how many there may be is bounded.

use std::fs::File;
use std::path::Path;

use super::Members;
use super::tar_walk::{Member, Walk};
use crate::error::ArchiveError;
use crate::{DOCKER_LIST, INDEX};

/// Most members: a repository of fifty thousand images has fewer.
const MAX_MEMBERS: usize = 1_000_000;
/// Most links followed from one to the next, as old archives of docker have them for layers that are the same.
const MAX_LINKS: usize = 4;

/// The regular files, with offset and size; links inside the archive count as what they lead to.
pub(super) fn members(path: &Path) -> Result<Members, ArchiveError> {
    let broken = |what: String| ArchiveError::broken(path, what);
    let file = File::open(path).map_err(ArchiveError::io(path))?;
    let mut walk = Walk::new(file).map_err(ArchiveError::io(path))?;
    let (mut members, mut links) = (Members::new(), Vec::new());
    while let Some(member) = walk.next().map_err(broken)? {
        if members.len() + links.len() >= MAX_MEMBERS {
            return Err(broken(format!("it has more than {MAX_MEMBERS} members")));
        }
        let Member { name, link, kind, offset, size } = member;
        let name = inside(&name).map_err(broken)?;
        if kind.is_dir() {
            continue;
        }
        if kind.is_symlink() || kind.is_hard_link() {
            let target = link.ok_or_else(|| broken(format!("the link {name} leads nowhere")))?;
            links.push((name.clone(), target_of(&name, &target, kind.is_symlink()).map_err(broken)?));
        } else if kind.is_file() || kind.is_contiguous() {
            if [INDEX, DOCKER_LIST].contains(&name.as_str()) && members.contains_key(&name) {
                return Err(broken(format!("it has {name} twice")));
            }
            members.insert(name, (offset, size));
        } else {
            return Err(broken(format!("{name} is neither a file nor a folder nor a link")));
        }
    }
    resolve(&mut members, links);
    Ok(members)
}

fn resolve(members: &mut Members, mut links: Vec<(String, String)>) {
    for _ in 0..MAX_LINKS {
        links.retain(|(name, target)| match members.get(target).copied() {
            Some(found) => {
                members.entry(name.clone()).or_insert(found);
                false
            }
            None => true,
        });
    }
}

/// Whether a name stays inside.
pub(super) fn is_inside(name: &str) -> bool {
    inside(name.as_bytes()).is_ok_and(|clean| clean == name)
}

/// A member's name without `./` and doubled slashes; an error when it leads out of the archive.
fn inside(name: &[u8]) -> Result<String, String> {
    let shown = || String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).take(120).collect::<String>();
    let text = std::str::from_utf8(name).map_err(|_| format!("the name {} is not UTF-8", shown()))?;
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!("the name {} leads out of the archive", shown()));
    }
    Ok(text.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/"))
}

fn target_of(name: &str, target: &[u8], is_relative: bool) -> Result<String, String> {
    if !is_relative {
        return inside(target);
    }
    let out = || format!("the link {name} leads out of the archive");
    let target = std::str::from_utf8(target).map_err(|_| out())?;
    if target.starts_with('/') {
        return Err(out());
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => parts.pop().map(|_| ()).ok_or_else(out)?,
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert_eq!(inside(b"./blobs//sha256/ab").unwrap(), "blobs/sha256/ab");
        for name in ["/etc/passwd", "../x", "a/../../x", "a/.."] {
            assert!(inside(name.as_bytes()).unwrap_err().contains("leads out"), "{name}");
        }
        assert_eq!(target_of("b/layer.tar", b"../a/layer.tar", true).unwrap(), "a/layer.tar");
        target_of("b/layer.tar", b"../../layer.tar", true).unwrap_err();
        target_of("b/layer.tar", b"/layer.tar", true).unwrap_err();
    }
}
