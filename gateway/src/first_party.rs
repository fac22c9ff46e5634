//! The plugins that come with the binary.
//!
//! Owns the list that the build script made of `plugins/`: each as a component, by its name. They are packed, and
//! unpacked by who compiles or reads one: a gateway that finds its machine code does neither.
//! Nothing on the path of a request names one of them.

use std::io::Read as _;

/// One of them.
#[derive(Debug)]
pub(crate) struct FirstParty {
    /// What configurations call it.
    pub(crate) name: &'static str,
    /// The SHA-256 of its component.
    pub(crate) sum: [u8; 32],
    /// Whose component it is packed against.
    base: Option<&'static str>,
    /// Of its component, in bytes.
    size: usize,
    packed: &'static [u8],
}

/// Each of them, by name.
pub(crate) static FIRST_PARTY: &[FirstParty] =
    include!(concat!(env!("OUT_DIR"), "/first_party.rs"));

/// The names, for configurations that ask for one.
#[must_use]
pub fn names() -> Vec<&'static str> {
    FIRST_PARTY.iter().map(|it| it.name).collect()
}

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static FirstParty> {
    FIRST_PARTY.iter().find(|it| it.name == name)
}

impl FirstParty {
    /// Its component, unpacked: some milliseconds.
    pub(crate) fn component(&self) -> Vec<u8> {
        let base = self.base.and_then(find).map(Self::component).unwrap_or_default();
        let mut component = Vec::with_capacity(self.size);
        let unpacked = zstd::Decoder::with_ref_prefix(self.packed, &base)
            .and_then(|mut decoder| decoder.read_to_end(&mut component));
        unpacked.expect("the build script packed it");
        component
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn each_is_unpacked_to_what_was_packed() {
        assert!(FIRST_PARTY.iter().any(|it| it.base.is_some()));
        for it in FIRST_PARTY {
            let component = it.component();
            assert_eq!(component.len(), it.size, "{}", it.name);
            assert_eq!(digest(&SHA256, &component).as_ref(), it.sum, "{}", it.name);
        }
    }
}
