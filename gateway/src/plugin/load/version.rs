//! Which versions of `gateway:plugin` components may be built for.
//!
//! Owns the table of them and the rule of `wit/README.md`: what was built for a release is served by
//! each later release that is compatible with it. An incompatible version that is to be served beside
//! the newest one gets a line in the table, and shims over the newest in `host`. Must not look at a
//! component.

use crate::plugin::bindings::VERSION;

/// The newest release of each series that is served, newest first.
const SERVED: [&str; 1] = [VERSION];

/// Whether a component that was built for this version is served.
pub(super) fn is_served(version: &str) -> bool {
    SERVED.iter().any(|served| serves(served, version))
}

/// What is served, for messages: `0.1.0`.
pub(super) fn served() -> String {
    SERVED.join(", ")
}

/// Whether a gateway that speaks one version serves a component that was built for another: an equal
/// or earlier one of its series. A version that is no release is only equal to itself.
fn serves(spoken: &str, built_for: &str) -> bool {
    match (release(spoken), release(built_for)) {
        (Some(spoken), Some(built_for)) => {
            series(spoken) == series(built_for) && built_for <= spoken
        }
        _ => spoken == built_for,
    }
}

type Release = (u64, u64, u64);

fn release(version: &str) -> Option<Release> {
    let mut parts = version.split('.').map(|part| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| is_number)
    });
    let release = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(release)
}

/// The releases that are compatible with each other (semver.org, as Cargo reads it).
fn series(release: Release) -> Release {
    match release {
        (0, 0, patch) => (0, 0, patch),
        (0, minor, _) => (0, minor, 0),
        (major, ..) => (major, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_for_an_earlier_release_of_a_series_is_served() {
        for (spoken, built_for) in
            [("0.1.0", "0.1.0"), ("0.1.3", "0.1.0"), ("0.1.10", "0.1.9"), ("1.2.0", "1.0.7")]
        {
            assert!(serves(spoken, built_for), "{spoken} {built_for}");
        }
    }

    #[test]
    fn what_needs_more_or_something_else_is_not() {
        for (spoken, built_for) in [
            ("0.1.0", "0.1.1"),
            ("0.2.0", "0.1.0"),
            ("0.1.0", "0.2.0"),
            ("0.0.2", "0.0.1"),
            ("1.0.0", "0.9.0"),
            ("1.0.0", "1.0.0-draft"),
            ("0.1.1", "0.1"),
            ("0.1.1", "0.1.+1"),
            ("0.1.1", ""),
        ] {
            assert!(!serves(spoken, built_for), "{spoken} {built_for}");
        }
    }

    #[test]
    fn the_version_of_the_bindings_is_that_of_the_sources_and_the_newest_served() {
        let sources = include_str!("../../../../wit/plugin.wit");
        assert!(sources.contains(&format!("package gateway:plugin@{VERSION};")));
        assert_eq!(SERVED[0], VERSION);
    }
}
