//! The addresses of a name.
//!
//! Owns the order in which they are tried, and that the last ones which were found serve while the name cannot be looked
//! up. Looks nothing up.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use super::error::ConnectError;

/// What a look-up came to.
pub(super) type Found = Result<Rc<[SocketAddr]>, ConnectError>;

/// What was found last, for the connections of one worker to one target.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    known: RefCell<Option<Rc<[SocketAddr]>>>,
    is_lost: Cell<bool>,
}

impl Addresses {
    /// Those that were found last.
    pub(super) fn known(&self) -> Option<Rc<[SocketAddr]>> {
        self.known.borrow().clone()
    }

    /// What is found, or what was found last if nothing is. One line in the log for each change.
    pub(super) fn or_known(&self, host: &str, found: Found) -> Found {
        match found {
            Ok(addresses) => {
                if self.is_lost.replace(false) {
                    tracing::info!(host, "the name has addresses again");
                }
                self.known.replace(Some(Rc::clone(&addresses)));
                Ok(addresses)
            }
            Err(cause) => match self.known() {
                Some(addresses) => {
                    if !self.is_lost.replace(true) {
                        tracing::warn!(host, %cause, "the last addresses of the name are used");
                    }
                    Ok(addresses)
                }
                None => Err(cause),
            },
        }
    }
}

/// The order of RFC 8305 section 4: that of the system, whose first address says which family is first, with both
/// families in turns, so that one that leads nowhere costs one attempt and not all of its addresses.
pub(super) fn in_turns(addresses: impl Iterator<Item = SocketAddr>) -> Rc<[SocketAddr]> {
    let mut seen = Vec::new();
    addresses.for_each(|address| {
        if !seen.contains(&address) {
            seen.push(address);
        }
    });
    let is_first = |address: &SocketAddr| {
        seen.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4())
    };
    let (first, second): (Vec<_>, Vec<_>) = seen.iter().copied().partition(is_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(seen.len());
    while ordered.len() < seen.len() {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered.into()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    fn addresses(list: &[&str]) -> Rc<[SocketAddr]> {
        in_turns(list.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn families_have_turns_in_the_order_of_the_system() {
        let mixed = ["[::1]:80", "[::2]:80", "[::3]:80", "10.0.0.1:80", "10.0.0.2:80", "[::1]:80"];
        let expected = ["[::1]:80", "10.0.0.1:80", "[::2]:80", "10.0.0.2:80", "[::3]:80"];
        let shown: Vec<_> = addresses(&mixed).iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
        let old = ["10.0.0.1:80", "[::1]:80", "[::2]:80"];
        let shown: Vec<_> = addresses(&old).iter().map(ToString::to_string).collect();
        assert_eq!(shown, old);
        assert!(addresses(&[]).is_empty());
    }

    #[test]
    fn what_was_found_last_serves_while_nothing_is_found() {
        let failed = || {
            let cause = Arc::new(io::Error::other("the name server is away"));
            Err(ConnectError::Dns { host: "orders".into(), cause })
        };
        let kept = Addresses::default();
        assert!(kept.or_known("orders", failed()).is_err() && kept.known().is_none());
        let (old, new) = (addresses(&["10.0.0.1:80"]), addresses(&["10.0.0.2:80"]));
        assert_eq!(kept.or_known("orders", Ok(Rc::clone(&old))).unwrap(), old);
        assert_eq!(kept.or_known("orders", failed()).unwrap(), old);
        assert_eq!(kept.or_known("orders", Ok(Rc::clone(&new))).unwrap(), new);
        assert_eq!(kept.or_known("orders", failed()).unwrap(), new);
    }
}
