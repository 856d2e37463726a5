//! The pieces that arrived last, still in memory: readers close behind the fill take them without touching the file.
//!
//! Must not know files. Invariants: pieces are only ever those that are in the staging file too, so losing any costs a
//! read; memory stays below a limit shared by all fills.

use std::collections::VecDeque;

use bytes::Bytes;

/// Most bytes one fill keeps.
const MOST_BYTES: usize = 2 << 20;
/// Below this a fill keeps nothing: a small piece may be a corner of a large buffer that it holds on to.
const LEAST_BYTES: usize = 512 << 10;
/// Most bytes all fills keep together.
const ALL_FILLS_BYTES: usize = 24 << 20;

/// A window over the end of what has arrived in order.
#[derive(Default)]
pub(super) struct Recent {
    pieces: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Recent {
    /// Adds pieces that begin at `offset`; `fills` is how many share the memory.
    pub(super) fn push(&mut self, mut offset: u64, pieces: &[Bytes], fills: usize) {
        let limit = MOST_BYTES.min(ALL_FILLS_BYTES / fills.max(1));
        if limit < LEAST_BYTES {
            (self.pieces, self.bytes) = (VecDeque::new(), 0);
            return;
        }
        for piece in pieces {
            self.pieces.push_back((offset, piece.clone()));
            self.bytes += piece.len();
            offset += piece.len() as u64;
        }
        while self.bytes > limit {
            let Some((_, old)) = self.pieces.pop_front() else { return };
            self.bytes -= old.len();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_right_and_bounded() {
        let mut recent = Recent::default();
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
}
