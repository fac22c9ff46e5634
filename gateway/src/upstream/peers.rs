//! The addresses that connections of a target go to.
//!
//! Owns which connections are to an address that is none of the target's any more. They take no further request, and end
//! with those that they have.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Peers(RefCell<Vec<(IpAddr, IsGone)>>);

/// Whether the address that a connection goes to is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct IsGone(Rc<Cell<bool>>);

impl IsGone {
    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.get()
    }
}

impl Peers {
    /// For a new connection to this address.
    pub(super) fn of(&self, address: IpAddr) -> IsGone {
        let mut all = self.0.borrow_mut();
        if let Some((_, known)) = all.iter().find(|(known, _)| *known == address) {
            return known.clone();
        }
        let new = IsGone::default();
        all.push((address, new.clone()));
        new
    }

    /// Those that do not stay are gone.
    pub(super) fn retire(&self, stays: impl Fn(IpAddr) -> bool) {
        self.0.borrow_mut().retain(|(address, is_gone)| {
            let stays = stays(*address);
            is_gone.0.set(!stays);
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_an_address_that_is_gone_know_it_and_new_ones_do_not() {
        let peers = Peers::default();
        let [one, other]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|it| it.parse().unwrap());
        let (old, kept) = (peers.of(one), peers.of(other));
        peers.retire(|address| address == other);
        assert_eq!((old.get(), kept.get()), (true, false));
        assert!(!peers.of(one).get(), "it is back");
    }
}
