//! The keys in use: one that seals, and former ones that still open.
//!
//! Must not know where keys are kept. Invariant: there is always exactly one current key.

use super::key::SealingKey;

/// The current key and former ones.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    current: SealingKey,
    former: Vec<SealingKey>,
}

impl SealingKeys {
    /// Seals with `current`; opens also what `former` ones sealed.
    pub fn new(current: SealingKey, former: Vec<SealingKey>) -> Self {
        Self { current, former }
    }

    /// The key that seals.
    pub fn current(&self) -> &SealingKey {
        &self.current
    }

    /// Whether keys other than the current one are here.
    pub fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    pub(super) fn find(&self, id: &str) -> Option<&SealingKey> {
        std::iter::once(&self.current).chain(&self.former).find(|key| key.id() == id)
    }
}
