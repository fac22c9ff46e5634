//! The plugins that come with the binary.
//!
//! Owns the list that the build script made of `plugins/`: each as a component, by its name.
//! Nothing on the path of a request names one of them.

/// Name and component of each.
pub(crate) static FIRST_PARTY: &[(&str, &[u8])] =
    include!(concat!(env!("OUT_DIR"), "/first_party.rs"));

/// The names, for configurations that ask for one.
#[must_use]
pub fn names() -> Vec<&'static str> {
    FIRST_PARTY.iter().map(|(name, _)| *name).collect()
}
