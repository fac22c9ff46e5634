//! Sets of methods that are compared with one instruction.
//!
//! Owns the numbering of the standard methods. An extension method has no number of its own: one
//! bit says that a set names some, and the names are with the route's predicates.

use http::Method;

/// Which methods a candidate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MethodSet(u16);

const STANDARD: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

impl MethodSet {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ANY: Self = Self(u16::MAX);
    pub(super) const EXTENSION: Self = Self(1 << 15);
    pub(super) const GET: Self = Self(1);
    pub(super) const HEAD: Self = Self(1 << 1);

    /// The set of one method.
    pub(super) fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::GET,
            Method::HEAD => Self::HEAD,
            Method::POST => Self(1 << 2),
            Method::PUT => Self(1 << 3),
            Method::PATCH => Self(1 << 4),
            Method::DELETE => Self(1 << 5),
            Method::OPTIONS => Self(1 << 6),
            Method::CONNECT => Self(1 << 7),
            Method::TRACE => Self(1 << 8),
            _ => Self::EXTENSION,
        }
    }

    /// The set of these methods; of every method if there are none, as in a route.
    pub(super) fn of_route(methods: &[Method]) -> Self {
        if methods.is_empty() {
            return Self::ANY;
        }
        methods.iter().fold(Self::NONE, |set, method| set.union(Self::of(method)))
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The standard methods in the set.
    pub(super) fn standard(self) -> impl Iterator<Item = Method> {
        STANDARD.into_iter().filter(move |method| self.meets(Self::of(method)))
    }
}

/// The methods of a set and some extension methods, each once, as `Allow` lists them.
pub(super) fn allow_list(set: MethodSet, mut extension: Vec<Method>) -> Vec<Method> {
    extension.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    extension.dedup();
    set.standard().chain(extension).collect()
}

/// Whether this is none of the methods that have their own bit.
pub(super) fn is_extension(method: &Method) -> bool {
    MethodSet::of(method) == MethodSet::EXTENSION
}

/// Whether a route with these methods takes `HEAD` only because it takes `GET`
/// (RFC 9110 section 9.3.2).
pub(super) fn implies_head(methods: &[Method]) -> bool {
    methods.contains(&Method::GET) && !methods.contains(&Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_standard_method_a_bit_of_its_own() {
        let all = MethodSet::of_route(&STANDARD);
        assert!(all.standard().eq(STANDARD));
        for method in STANDARD {
            assert!(MethodSet::of(&method).standard().eq([method]));
        }
        assert!(!all.meets(MethodSet::EXTENSION));
    }

    #[test]
    fn takes_every_method_when_a_route_names_none() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        assert!(MethodSet::of_route(&[]).meets(MethodSet::of(&purge)));
        assert!(!MethodSet::of_route(&[Method::GET]).meets(MethodSet::of(&purge)));
    }
}
