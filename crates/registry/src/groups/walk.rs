//! Asking members one after the other.
//!
//! Pure but for what `ask` does. Must not know what is asked. Invariant: a member is passed over only when it has said
//! itself that it does not have it; whoever fails ends the walk.

use futures_util::future::BoxFuture;

/// What a member says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said<T, E> {
    /// It has it.
    Has(T),
    /// It does not have it, but the name is its own.
    KeepsName,
    /// It does not have it.
    Absent,
    /// It could not be asked, or would not tell.
    Failed(E),
}

/// How a walk ended; members are indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Walked<T, E> {
    /// This one has it.
    Found(usize, T),
    /// This one does not have it, and nobody behind it may be asked.
    Kept(usize),
    /// This one failed.
    Stopped(usize, E),
    /// All said that they do not have it.
    Nobody,
}

/// Asks in order until one member's word is the last.
pub(super) async fn walk<'a, T, E>(
    members: &[usize],
    ask: impl Fn(usize) -> BoxFuture<'a, Said<T, E>>,
) -> Walked<T, E> {
    for member in members {
        match ask(*member).await {
            Said::Has(found) => return Walked::Found(*member, found),
            Said::KeepsName => return Walked::Kept(*member),
            Said::Failed(error) => return Walked::Stopped(*member, error),
            Said::Absent => {}
        }
    }
    Walked::Nobody
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Walks over members 0, 1, … that say these things; who was asked comes along.
    async fn over(said: &[Said<&'static str, &'static str>]) -> (Walked<&'static str, &'static str>, Vec<usize>) {
        let asked = RefCell::new(Vec::new());
        let members: Vec<usize> = (0..said.len()).collect();
        let walked = walk(&members, |member| {
            asked.borrow_mut().push(member);
            let said = said[member].clone();
            Box::pin(async move { said })
        });
        (walked.await, asked.into_inner())
    }

    #[tokio::test]
    async fn only_a_members_own_no_leads_to_the_next_one() {
        use Said::{Absent, Failed, Has, KeepsName};
        assert_eq!(over(&[Has("a"), Has("b")]).await, (Walked::Found(0, "a"), vec![0]));
        assert_eq!(over(&[Absent, Has("b"), Has("c")]).await, (Walked::Found(1, "b"), vec![0, 1]));
        assert_eq!(over(&[Failed("down"), Has("b")]).await, (Walked::Stopped(0, "down"), vec![0]));
        assert_eq!(over(&[Absent, KeepsName, Has("c")]).await, (Walked::Kept(1), vec![0, 1]));
        assert_eq!(over(&[Absent, Failed("down"), Has("c")]).await, (Walked::Stopped(1, "down"), vec![0, 1]));
        assert_eq!(over(&[Absent, Absent]).await, (Walked::Nobody, vec![0, 1]));
        assert_eq!(over(&[]).await, (Walked::Nobody, vec![]));
    }
}
