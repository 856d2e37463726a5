//! From records in the order of the list to the table: sorted, without duplicates, with every parent, and with the end of every
//! member known.
//!
//! Must not know how entries were written. Invariant: of several entries with one path the last is kept, as when a tar is
//! extracted, and nothing lies below what is not a directory.

use crate::entry::EntryKind;
use crate::error::{Error, quoted};
use crate::fault::EntryFault;
use crate::format::Compression;
use crate::toc::{Assembler, Record, Text, Toc, compare_paths, is_below};

/// A member may be this many bytes longer than its payload, and an eighth: what no encoder needs, even for random bytes flushed
/// every hundred bytes. More than that is not fetched for one chunk, whatever comes after it.
const MEMBER_SLACK: u64 = 4096;

/// How many bytes one compressed byte can become at most: in deflate a match of 258 bytes takes two bits, in zstd a block of
/// 128 KiB of one byte takes four bytes.
fn most_expansion(compression: Compression) -> u64 {
    match compression {
        Compression::Gzip => 1032,
        Compression::Zstd => 32 * 1024,
        Compression::Stored => 1,
    }
}

impl Assembler {
    /// The finished table.
    pub(crate) fn finish(mut self) -> Result<Toc, Error> {
        self.close_file()?;
        self.set_member_ends();
        self.sort_and_replace();
        self.add_parents()?;
        self.check_payloads()?;
        let mut toc = self.toc;
        toc.records.shrink_to_fit();
        toc.texts.shrink_to_fit();
        toc.digests.shrink_to_fit();
        toc.chunks.shrink_to_fit();
        Ok(toc)
    }

    /// A member ends where the next one begins at the latest.
    fn set_member_ends(&mut self) {
        self.starts.sort_unstable();
        self.starts.dedup();
        for chunk in self.toc.chunks.iter_mut().filter(|chunk| !chunk.is_hole) {
            let next = self.starts.partition_point(|start| *start <= chunk.offset);
            let next = self.starts.get(next).copied().unwrap_or(self.data_end);
            let payload = chunk.inner_offset.saturating_add(chunk.size);
            let longest = payload.saturating_add(payload / 8).saturating_add(MEMBER_SLACK);
            chunk.end = chunk.end.min(next).min(chunk.offset.saturating_add(longest));
        }
    }

    /// A payload that its member cannot hold, whatever is in it, is a lie about the size: nobody is to make room for it.
    fn check_payloads(&self) -> Result<(), Error> {
        let most = most_expansion(self.compression);
        for record in &self.toc.records {
            for chunk in self.toc.chunks(record).iter().filter(|chunk| !chunk.is_hole) {
                let room = (chunk.end - chunk.offset).saturating_mul(most);
                if chunk.inner_offset.saturating_add(chunk.size) > room {
                    let fault = EntryFault::PayloadTooLarge { size: chunk.size, member: chunk.end - chunk.offset };
                    return Err(Error::Entry { index: None, name: quoted(self.toc.text(record.path)), fault });
                }
            }
        }
        Ok(())
    }

    /// Sorts by path; of equal ones, keeps the one that was listed last.
    fn sort_and_replace(&mut self) {
        let Toc { records, texts, .. } = &mut self.toc;
        let path = |record: &Record| &texts[record.path.range()];
        // Text is appended, so of two equal paths the one that was listed later is the one that stands later. (A stable sort would
        // need half of the records again in memory.)
        let order = |left: &Record, right: &Record| {
            compare_paths(path(left), path(right)).then(left.path.start.cmp(&right.path.start))
        };
        records.sort_unstable_by(order);
        // `dedup_by` keeps the first of equals, so the later one takes its place.
        records.dedup_by(|later, kept| {
            let same = path(later) == path(kept);
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
    }

    /// Adds directories that are not listed but have something in them, the root among them.
    fn add_parents(&mut self) -> Result<(), Error> {
        let mut missing: Vec<Text> = Vec::new();
        let mut open: Vec<(Text, EntryKind)> = Vec::new();
        if self.toc.records.first().is_none_or(|record| record.path.len > 0) {
            missing.push(Text::default());
        }
        for index in 0..self.toc.records.len() {
            let (path, kind) = (self.toc.records[index].path, self.toc.records[index].kind);
            let text = &self.toc.texts[path.range()];
            while open.last().is_some_and(|(top, _)| !is_below(text, &self.toc.texts[top.range()])) {
                open.pop();
            }
            if let Some((parent, _)) = open.last().filter(|(_, kind)| *kind != EntryKind::Directory) {
                let parent = quoted(&self.toc.texts[parent.range()]);
                let fault = EntryFault::BelowNonDirectory { parent };
                return Err(Error::Entry { index: None, name: quoted(text), fault });
            }
            let covered = open.last().map_or(0, |(top, _)| top.len as usize);
            let before = missing.len();
            for (end, _) in text.match_indices('/').filter(|(end, _)| *end > covered) {
                // The parent's path is the beginning of its child's.
                let parent = Text { start: path.start, len: end as u32 };
                missing.push(parent);
                open.push((parent, EntryKind::Directory));
            }
            open.push((path, kind));
            self.spend((missing.len() - before) * size_of::<Record>() * 2)?;
        }
        if !missing.is_empty() {
            self.toc.records.extend(missing.into_iter().map(Record::implied_directory));
            self.sort_and_replace();
        }
        Ok(())
    }
}
