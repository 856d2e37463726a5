//! In which order sources are asked for a digest: a pure function of what is known of them.
//!
//! Must not know clients or clocks. Invariants: every source is in the order once; one that lied about the digest, or
//! fails or rests now, comes after all that did not; the order of the document decides between equals.

use crate::repositories::Strategy;

/// What is known of one source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// How often bytes that it had a part in did not hash to the digest.
    pub(super) lies: u32,
    /// Whether it would be asked now.
    pub(super) usable: bool,
    /// Whether its rate limit is nearly used up: what is left is for what only it has.
    pub(super) low: bool,
    /// Expected seconds to a good answer; 0 when nothing has been measured, so that it is tried.
    pub(super) cost: f64,
}

/// The indices of `candidates`, best first.
pub(super) fn order(strategy: Strategy, candidates: &[Candidate], rng: &mut fastrand::Rng) -> Vec<usize> {
    let rank = |index: &usize| {
        let Candidate { lies, usable, low, .. } = candidates[*index];
        // The operator's order is kept whatever is left; who goes by measure spares who has little.
        (lies, !usable, strategy == Strategy::Fastest && low)
    };
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(rank);
    let suspected = candidates.iter().any(|candidate| candidate.lies > 0);
    match strategy {
        // Whoever has to find out who lies goes by the order of trust, not of speed.
        Strategy::Fastest if !suspected => {
            let best = order.first().map(rank);
            let equals = order.iter().take_while(|index| Some(rank(index)) == best).count();
            by_two_choices(&mut order[..equals], candidates, rng);
        }
        Strategy::Fastest | Strategy::Ordered => {}
    }
    order
}

/// The better of two that were drawn goes first: the best is asked most, yet never by all at once, and none starves.
fn by_two_choices(order: &mut [usize], candidates: &[Candidate], rng: &mut fastrand::Rng) {
    if order.len() < 2 {
        return;
    }
    let first = rng.usize(..order.len());
    let other = (first + rng.usize(1..order.len())) % order.len();
    let cost = |place: usize| candidates[order[place]].cost;
    let better = if cost(first).total_cmp(&cost(other)).then(first.cmp(&other)).is_le() { first } else { other };
    order.swap(0, better);
    order[1..].sort_by(|a, b| candidates[*a].cost.total_cmp(&candidates[*b].cost).then(a.cmp(b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Candidate = Candidate { lies: 0, usable: true, low: false, cost: 0.1 };

    fn order_of(strategy: Strategy, candidates: &[Candidate]) -> Vec<usize> {
        order(strategy, candidates, &mut fastrand::Rng::with_seed(7))
    }

    #[test]
    fn as_written_but_for_those_that_fail_or_lied() {
        let down = Candidate { usable: false, ..FINE };
        let lied = Candidate { lies: 1, ..FINE };
        assert_eq!(order_of(Strategy::Ordered, &[FINE, FINE, FINE]), [0, 1, 2]);
        assert_eq!(order_of(Strategy::Ordered, &[down, FINE, FINE]), [1, 2, 0]);
        assert_eq!(order_of(Strategy::Ordered, &[lied, down, FINE]), [2, 1, 0]);
        assert_eq!(order_of(Strategy::Ordered, &[lied, Candidate { lies: 2, ..FINE }]), [0, 1], "the lesser liar");
        assert_eq!(order_of(Strategy::Ordered, &[down, down]), [0, 1], "nobody is left out");
    }

    #[test]
    fn of_two_the_cheaper_and_of_many_never_the_dearest_first() {
        let slow = Candidate { cost: 2.0, ..FINE };
        let quick = Candidate { cost: 0.01, ..FINE };
        let unknown = Candidate { cost: 0.0, ..FINE };
        assert_eq!(order_of(Strategy::Fastest, &[slow, quick]), [1, 0]);
        assert_eq!(order_of(Strategy::Fastest, &[quick, unknown]), [1, 0], "what is not measured is tried");
        assert_eq!(order_of(Strategy::Fastest, &[FINE, FINE]), [0, 1], "equals as written");
        let low = Candidate { low: true, ..quick };
        assert_eq!(order_of(Strategy::Fastest, &[low, slow]), [1, 0], "what is left is kept");
        assert_eq!(order_of(Strategy::Fastest, &[low, Candidate { usable: false, ..slow }]), [0, 1]);
        assert_eq!(order_of(Strategy::Ordered, &[low, slow]), [0, 1], "as written");
        let mut rng = fastrand::Rng::with_seed(7);
        let firsts: Vec<usize> =
            (0..200).map(|_| order(Strategy::Fastest, &[slow, FINE, quick], &mut rng)[0]).collect();
        assert!(!firsts.contains(&0) && firsts.contains(&1) && firsts.contains(&2), "two choices spread the load");
        let lied = Candidate { lies: 1, ..quick };
        assert_eq!(order_of(Strategy::Fastest, &[slow, lied]), [0, 1], "speed does not make up for a lie");
    }
}
