//! All that is known of an entry: as a line like `ls -l` writes, and as JSON.
//!
//! Must not know who asked. Invariant: for a hard link these are the facts of the file that it is another name of.

use estargz::{Entry, EntryKind, Node, Timestamp};
use serde::Serialize;
use time::OffsetDateTime;

/// One entry, for JSON.
#[derive(Serialize)]
pub(crate) struct Listed {
    pub(crate) path: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) size: u64,
    /// Octal, as people write it.
    pub(crate) mode: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// The layer that it shows from.
    pub(crate) layer: String,
}

impl Listed {
    pub(crate) fn of(node: Node<'_>) -> Self {
        let entry = node.entry();
        let facts = facts(node);
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        Self {
            path: node.path().to_owned(),
            kind: entry.kind().name(),
            size: facts.size(),
            mode: format!("{:04o}", facts.mode()),
            uid: facts.uid(),
            gid: facts.gid(),
            user: named(facts.user_name()),
            group: named(facts.group_name()),
            modified: facts.modified().map(|time| format!("{}Z", time_text(time).replace(' ', "T"))),
            link: entry.link_target().map(str::to_owned),
            device: facts.device().map(|device| format!("{}:{}", device.major, device.minor)),
            digest: facts.digest().map(|digest| digest.to_string()),
            layer: node.layer().digest().to_string(),
        }
    }
}

fn facts(node: Node<'_>) -> Entry<'_> {
    node.content().map_or_else(|_| node.entry(), |(_, entry)| entry)
}

/// How wide columns are.
pub(super) struct Widths {
    owner: usize,
    group: usize,
    size: usize,
}

impl Widths {
    pub(super) fn of(nodes: &[Node<'_>]) -> Self {
        nodes.iter().fold(Self { owner: 1, group: 1, size: 1 }, |widths, node| {
            let facts = facts(*node);
            Self {
                owner: widths.owner.max(owner(facts).chars().count()),
                group: widths.group.max(group(facts).chars().count()),
                size: widths.size.max(size(facts).len()),
            }
        })
    }
}

/// One line: mode, owner, group, size, time, path, target.
pub(super) fn line(node: Node<'_>, widths: &Widths) -> String {
    let (entry, facts) = (node.entry(), facts(node));
    let time = facts.modified().map_or_else(|| "-".to_owned(), time_text);
    let target = match (entry.kind(), entry.link_target()) {
        (EntryKind::Symlink, Some(target)) => format!(" -> {target}"),
        (EntryKind::Hardlink, Some(target)) => format!(" link to {target}"),
        (_, Some(_) | None) => String::new(),
    };
    let slash = if entry.kind() == EntryKind::Directory { "/" } else { "" };
    let Widths { owner: owner_width, group: group_width, size: size_width } = widths;
    format!(
        "{} {:<owner_width$} {:<group_width$} {:>size_width$} {time:<19} {}{slash}{target}",
        mode_text(entry.kind(), facts.mode()),
        owner(facts),
        group(facts),
        size(facts),
        node.path(),
    )
}

fn owner(entry: Entry<'_>) -> String {
    if entry.user_name().is_empty() { entry.uid().to_string() } else { entry.user_name().to_owned() }
}

fn group(entry: Entry<'_>) -> String {
    if entry.group_name().is_empty() { entry.gid().to_string() } else { entry.group_name().to_owned() }
}

fn size(entry: Entry<'_>) -> String {
    entry.device().map_or_else(|| entry.size().to_string(), |device| format!("{},{}", device.major, device.minor))
}

/// `2024-05-01 12:00:00`, in UTC.
pub(crate) fn time_text(time: Timestamp) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp(time.seconds) else { return time.seconds.to_string() };
    let (date, month) = (time.date(), u8::from(time.month()));
    format!(
        "{:04}-{month:02}-{:02} {:02}:{:02}:{:02}",
        date.year(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// `drwxr-xr-x`.
pub(crate) fn mode_text(kind: EntryKind, mode: u16) -> String {
    let first = match kind {
        EntryKind::Directory => 'd',
        EntryKind::File => '-',
        EntryKind::Symlink => 'l',
        EntryKind::Hardlink => 'h',
        EntryKind::CharDevice => 'c',
        EntryKind::BlockDevice => 'b',
        EntryKind::Fifo => 'p',
    };
    let mut text = String::from(first);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (false, false) => '-',
            (true, false) => 'x',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_times_are_written_as_ls_does() {
        assert_eq!(mode_text(EntryKind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(mode_text(EntryKind::File, 0o4755), "-rwsr-xr-x");
        assert_eq!(mode_text(EntryKind::File, 0o2640), "-rw-r-S---");
        assert_eq!(mode_text(EntryKind::Symlink, 0o777), "lrwxrwxrwx");
        let at = |seconds| time_text(Timestamp { seconds, nanoseconds: 0 });
        assert_eq!(at(0), "1970-01-01 00:00:00");
        assert_eq!(at(-1), "1969-12-31 23:59:59");
        assert_eq!(at(1_714_564_800), "2024-05-01 12:00:00");
        assert_eq!(at(i64::MAX), i64::MAX.to_string());
    }
}
