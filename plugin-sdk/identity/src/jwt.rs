//! JSON Web Tokens (RFC 7519), verified as RFC 8725 advises.
//!
//! Owns form, keys, signatures and claims. The order of the checks, and what must be in a token, is the
//! plugin's: [`Token::parse`], then the issuer and type that it names, then [`Keys::verify`], then
//! [`Times::check`] and [`check_audience`]. Nothing that a token says about keys or algorithms is more than a
//! choice among what is configured.

mod claims;
#[cfg(test)]
mod fuzz;
mod key;
mod keys;
mod token;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wycheproof;

pub use self::claims::{Times, check_audience, consumer, scopes};
pub use self::key::KeySpec;
pub use self::keys::{KeySources, Keys};
pub use self::token::{Header, Jws, MAX_TOKEN, Token};

/// Why a token does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Something is wrong with it.
    Refused(&'static str),
    /// The key that it may be signed with cannot be had.
    NoKeys(&'static str),
}

impl From<&'static str> for NotAdmitted {
    fn from(reason: &'static str) -> Self {
        Self::Refused(reason)
    }
}

/// A type without regard to case and `application/` (RFC 7515 section 4.1.9).
pub fn media_type(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix("application/").map_or(kind.clone(), str::to_owned)
}
