//! In which order the addresses of a name are dialled: connections spread over all of them, those that did not answer
//! lately come last.
//!
//! Nobody tells us that an address failed, but which one a connection ended up with is known: those dialled before it did
//! not answer in time. Must not know sockets. Invariant: no address is left out; where all are down, all are tried.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an address that did not answer is tried last.
const AVOIDED_FOR: Duration = Duration::from_secs(30);

/// Most names and addresses remembered; beyond, all are forgotten.
const MAX_REMEMBERED: usize = 1024;

/// What is known of the addresses of names.
#[derive(Default)]
pub(super) struct Spread {
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    avoided: HashMap<IpAddr, Instant>,
    last_order: HashMap<String, Vec<IpAddr>>,
}

impl Spread {
    /// Orders the answers for `name`: shuffled within each family, the family that the resolver put first stays first.
    pub(super) fn order(&self, name: &str, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
        fastrand::shuffle(&mut addresses);
        let now = Instant::now();
        let mut memory = self.memory();
        addresses.sort_by_key(|address| {
            let avoided = memory.avoided.get(&address.ip()).is_some_and(|until| *until > now);
            (avoided, address.is_ipv6() != first_is_v6)
        });
        if addresses.len() > 1 {
            if memory.last_order.len() >= MAX_REMEMBERED {
                memory.last_order.clear();
            }
            memory.last_order.insert(name.to_owned(), addresses.iter().map(SocketAddr::ip).collect());
        }
        addresses
    }

    /// A new connection to `name` reached `address`: what stood before it did not answer.
    pub(super) fn connected(&self, name: &str, address: IpAddr) {
        let mut memory = self.memory();
        memory.avoided.remove(&address);
        let Some(order) = memory.last_order.get(name) else { return };
        let Some(at) = order.iter().position(|dialled| *dialled == address) else { return };
        let silent: Vec<IpAddr> = order[..at].to_vec();
        if memory.avoided.len() + silent.len() > MAX_REMEMBERED {
            memory.avoided.clear();
        }
        let until = Instant::now() + AVOIDED_FOR;
        memory.avoided.extend(silent.into_iter().map(|address| (address, until)));
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn connections_spread_and_no_address_is_lost() {
        let spread = Spread::default();
        let all = addresses(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let mut first = HashSet::new();
        for _ in 0..200 {
            let order = spread.order("r.example", all.clone());
            assert_eq!(order.iter().collect::<HashSet<_>>(), all.iter().collect());
            first.insert(order[0]);
        }
        assert_eq!(first.len(), 3, "each was first at some time");
    }

    #[test]
    fn the_resolvers_first_family_stays_first() {
        let spread = Spread::default();
        for _ in 0..50 {
            let order = spread.order("r.example", addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2"]));
            assert!(order[0].is_ipv6() && order[1].is_ipv6() && order[2].is_ipv4());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_answer_comes_last_for_a_while() {
        let spread = Spread::default();
        let (dead, live) = ("10.0.0.1".parse::<IpAddr>().unwrap(), "10.0.0.2".parse::<IpAddr>().unwrap());
        let both = addresses(&["10.0.0.1", "10.0.0.2"]);
        while spread.order("r.example", both.clone())[0].ip() != dead {}
        spread.connected("r.example", live);
        for _ in 0..50 {
            assert_eq!(spread.order("r.example", both.clone())[0].ip(), live);
        }
        tokio::time::advance(AVOIDED_FOR).await;
        let again = (0..200).any(|_| spread.order("r.example", both.clone())[0].ip() == dead);
        assert!(again, "it gets its chance again");
    }
}
