//! The pieces that arrived last, still in memory: readers close behind the fill take them without touching the file.
//!
//! Must not know files. Invariants: pieces are only ever those that are in the staging file too, so losing any costs a
//! read; memory stays below a limit that all windows share, whether their fills go on or only have readers left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Most bytes one fill keeps.
const MOST_BYTES: usize = 2 << 20;
/// Below this a fill keeps nothing: a small piece may be a corner of a large buffer that it holds on to.
const LEAST_BYTES: usize = 512 << 10;
/// Most bytes all fills keep together.
const ALL_FILLS_BYTES: usize = 24 << 20;

/// What all windows of a process hold together. Clones count as one.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentBytes(Arc<AtomicUsize>);

impl RecentBytes {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.0.load(Ordering::Relaxed) + bytes <= ALL_FILLS_BYTES
    }
}

/// A window over the end of what has arrived in order.
#[derive(Debug)]
pub(super) struct Recent {
    pieces: VecDeque<(u64, Bytes)>,
    bytes: usize,
    all: RecentBytes,
}

impl Recent {
    /// An empty window that shares the memory of all that `all` counts.
    pub(super) fn new(all: RecentBytes) -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, all }
    }

    /// Adds pieces that begin at `offset`; `fills` is how many share the memory.
    pub(super) fn push(&mut self, mut offset: u64, pieces: &[Bytes], fills: usize) {
        let limit = MOST_BYTES.min(ALL_FILLS_BYTES / fills.max(1));
        let more = pieces.iter().map(Bytes::len).sum();
        if limit < LEAST_BYTES || !self.all.has_room_for(more) {
            return self.clear();
        }
        for piece in pieces {
            self.pieces.push_back((offset, piece.clone()));
            offset += piece.len() as u64;
        }
        self.bytes += more;
        self.all.0.fetch_add(more, Ordering::Relaxed);
        while self.bytes > limit {
            let Some((_, old)) = self.pieces.pop_front() else { return };
            self.bytes -= old.len();
            self.all.0.fetch_sub(old.len(), Ordering::Relaxed);
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
        (self.pieces, self.bytes) = (VecDeque::new(), 0);
    }

    /// The bytes from `at`, up to the end of their piece.
    pub(super) fn get(&self, at: u64, most: usize) -> Option<Bytes> {
        // Pieces of the main flow come in order; those of lanes may stand between, so the nearest is not always it.
        let piece =
            self.pieces.iter().rev().find(|(offset, piece)| (*offset..*offset + piece.len() as u64).contains(&at));
        piece.map(|(offset, piece)| {
            let from = (at - offset) as usize;
            piece.slice(from..piece.len().min(from + most))
        })
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_right_and_bounded() {
        let mut recent = Recent::new(RecentBytes::default());
        let all: Vec<u8> = (0..6_000_000_u32).map(|i| (i % 251) as u8).collect();
        let all = Bytes::from(all);
        for start in (0..all.len()).step_by(60_000) {
            recent.push(
                start as u64,
                &[all.slice(start..start + 30_000), all.slice(start + 30_000..start + 60_000)],
                1,
            );
        }
        assert!(recent.bytes <= MOST_BYTES);
        assert_eq!(recent.get(0, 10), None, "long gone");
        for at in [4_500_000_usize, 5_000_001, 5_999_999] {
            let got = recent.get(at as u64, 1000).unwrap();
            assert_eq!(got, all.slice(at..at + got.len()));
        }
        assert_eq!(recent.get(6_000_000, 10), None, "not here yet");
        recent.push(6_000_000, &[Bytes::from_static(b"x")], 1_000_000);
        assert!(recent.bytes <= ALL_FILLS_BYTES / 1_000_000, "many fills share the memory");
    }

    #[test]
    fn windows_of_fills_that_have_ended_count_too() {
        let all = RecentBytes::default();
        let piece = Bytes::from(vec![7; 256 << 10]);
        // Each believes to be alone, as fills do that end one after the other while their readers stay.
        let mut windows: Vec<Recent> = (0..100).map(|_| Recent::new(all.clone())).collect();
        for window in &mut windows {
            (0..16).for_each(|number| window.push(number << 18, std::slice::from_ref(&piece), 1));
        }
        let held = |windows: &[Recent]| windows.iter().map(|window| window.bytes).sum::<usize>();
        assert!(held(&windows) <= ALL_FILLS_BYTES && held(&windows) > 0, "{}", held(&windows));
        assert_eq!(all.0.load(Ordering::Relaxed), held(&windows));
        windows[0].clear();
        assert_eq!(windows[0].get(15 << 18, 10), None);
        assert_eq!(all.0.load(Ordering::Relaxed), held(&windows));
        drop(windows);
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
    }
}
