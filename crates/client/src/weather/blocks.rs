//! Who must not ask a host before when, and why.
//!
//! Pure: time comes in as an argument. Must not know clients. Invariants: a block never becomes shorter by another
//! answer; no block lasts longer than an hour; memory is bounded.

use std::collections::HashMap;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::abuse::Silence;
use crate::basic::CredentialId;
use crate::exchange::ExchangeKind;

/// Most accounts remembered of one host; those whose block has passed make room first.
const MOST_ACCOUNTS: usize = 4096;

/// The first pause of an account's manifest GETs after a pull limit without `Retry-After`; it doubles.
const FIRST_PAUSE: Duration = Duration::from_mins(1);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// What a request would use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// A GET of a manifest: counts for a pull limit.
    Pull,
    /// Anything else: counts for an abuse limit only.
    Free,
}

impl Cost {
    /// What a request with this method for that kind of thing uses up.
    pub(crate) fn of(method: &Method, kind: ExchangeKind) -> Self {
        match (method, kind) {
            (&Method::GET, ExchangeKind::Manifest) => Self::Pull,
            _ => Self::Free,
        }
    }
}

/// Why a request must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) until: Instant,
    /// 429 or 503.
    pub(super) status: StatusCode,
}

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// `Retry-After`: this account should not ask anything for so long.
    StayAway(Duration),
    /// A 429 that speaks of a pull limit and names no wait: no pulls by this account.
    NoPulls,
    /// A bare 429: nobody should ask anything.
    Silence,
}

#[derive(Debug, Default)]
pub(super) struct Blocks {
    everybody: Option<Block>,
    silence: Silence,
    accounts: HashMap<CredentialId, Block>,
    pulls: HashMap<CredentialId, (Block, Duration)>,
}

impl Blocks {
    pub(super) fn note(&mut self, account: CredentialId, wish: Wish, status: StatusCode, now: Instant) {
        self.make_room(now);
        match wish {
            Wish::StayAway(wait) => {
                let block = Block { until: now + wait, status };
                let there = self.accounts.entry(account).or_insert(block);
                if there.until < block.until {
                    *there = block;
                }
            }
            Wish::NoPulls => {
                let pause = match self.pulls.get(&account) {
                    Some((block, _)) if now < block.until => return,
                    Some((block, pause)) if now < block.until + *pause => (*pause * 2).min(LONGEST_PAUSE),
                    Some(_) | None => FIRST_PAUSE,
                };
                self.pulls.insert(account, (Block { until: now + pause, status }, pause));
            }
            Wish::Silence => self.everybody = Some(Block { until: self.silence.after_another(now), status }),
        }
    }

    /// The block that lasts longest of those that a request meets.
    pub(super) fn find(&self, account: CredentialId, cost: Cost, now: Instant) -> Option<Block> {
        let met = [self.of_everybody(now), self.own(account, cost, now)];
        met.into_iter().flatten().max_by_key(|block| block.until)
    }

    /// The same of those that are the account's own.
    pub(super) fn own(&self, account: CredentialId, cost: Cost, now: Instant) -> Option<Block> {
        let pulls = self.pulls.get(&account).filter(|_| cost == Cost::Pull).map(|(block, _)| *block);
        let met = [self.accounts.get(&account).copied(), pulls];
        met.into_iter().flatten().filter(|block| now < block.until).max_by_key(|block| block.until)
    }

    /// The block that everybody meets.
    pub(super) fn of_everybody(&self, now: Instant) -> Option<Block> {
        self.everybody.filter(|block| now < block.until)
    }

    /// Who is blocked now by a block of its own.
    pub(super) fn accounts(&self, now: Instant) -> impl Iterator<Item = CredentialId> {
        let pulls = self.pulls.iter().map(|(account, (block, _))| (account, block));
        let all = self.accounts.iter().chain(pulls);
        all.filter(move |(_, block)| now < block.until).map(|(account, _)| *account)
    }

    pub(super) fn is_any(&self, now: Instant) -> bool {
        let pulls = self.pulls.values().map(|(block, _)| block);
        self.everybody.iter().chain(self.accounts.values()).chain(pulls).any(|block| now < block.until)
    }

    fn make_room(&mut self, now: Instant) {
        if self.accounts.len() >= MOST_ACCOUNTS {
            self.accounts.retain(|_, block| now < block.until);
        }
        if self.accounts.len() >= MOST_ACCOUNTS {
            self.accounts.clear();
        }
        if self.pulls.len() >= MOST_ACCOUNTS {
            self.pulls.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use oci::Digest;

    use super::*;

    const LIMITED: StatusCode = StatusCode::TOO_MANY_REQUESTS;
    const NOBODY: CredentialId = CredentialId::Anonymous;

    fn somebody() -> CredentialId {
        CredentialId::Known(Digest::sha256_of(b"somebody"))
    }

    #[test]
    fn a_wait_is_for_one_account_and_never_becomes_shorter() {
        let now = Instant::now();
        let mut blocks = Blocks::default();
        blocks.note(NOBODY, Wish::StayAway(Duration::from_mins(1)), LIMITED, now);
        blocks.note(NOBODY, Wish::StayAway(Duration::from_secs(5)), LIMITED, now);
        let found = blocks.find(NOBODY, Cost::Free, now + Duration::from_secs(59)).unwrap();
        assert_eq!(found.until, now + Duration::from_mins(1));
        assert_eq!(blocks.find(NOBODY, Cost::Free, now + Duration::from_mins(1)), None);
        assert_eq!(blocks.find(somebody(), Cost::Pull, now), None);
    }

    #[test]
    fn a_pull_limit_stops_pulls_only_and_an_abuse_limit_everything() {
        let now = Instant::now();
        let mut blocks = Blocks::default();
        blocks.note(NOBODY, Wish::NoPulls, LIMITED, now);
        assert!(blocks.find(NOBODY, Cost::Pull, now).is_some());
        assert!(blocks.find(NOBODY, Cost::Free, now).is_none());
        assert!(blocks.find(somebody(), Cost::Pull, now).is_none());
        blocks.note(NOBODY, Wish::Silence, LIMITED, now);
        assert!(blocks.find(somebody(), Cost::Free, now).is_some());
    }

    #[test]
    fn pauses_of_pulls_double() {
        let mut now = Instant::now();
        let mut blocks = Blocks::default();
        for minutes in [1, 2, 4, 8, 15, 15] {
            blocks.note(NOBODY, Wish::NoPulls, LIMITED, now);
            blocks.note(NOBODY, Wish::NoPulls, LIMITED, now);
            let until = blocks.find(NOBODY, Cost::Pull, now).unwrap().until;
            assert_eq!(until - now, Duration::from_mins(minutes));
            now = until;
        }
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut blocks = Blocks::default();
        for number in 0..=MOST_ACCOUNTS {
            let account = CredentialId::Known(Digest::sha256_of(&number.to_le_bytes()));
            blocks.note(account, Wish::StayAway(Duration::from_mins(1)), LIMITED, now);
            blocks.note(account, Wish::NoPulls, LIMITED, now);
        }
        assert!(blocks.accounts.len() <= MOST_ACCOUNTS && blocks.pulls.len() <= MOST_ACCOUNTS);
    }
}
