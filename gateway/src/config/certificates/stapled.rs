//! What an authority says of a certificate (OCSP, RFC 6960), for clients that ask for it in the handshake.
//!
//! Owns that a file is such an answer, and a good one. It is passed on as it is: clients judge its signature
//! and its dates.

use super::contents;
use crate::config::diagnostic::Diagnostic;
use crate::config::reader::{Reading, Text};

/// `responseStatus` (RFC 6960 section 4.2.1), from 1.
const FAILED: [&str; 6] = [
    "the request was malformed",
    "the responder had an internal error",
    "the responder was busy",
    "",
    "the request must be signed",
    "the request was not authorized",
];

/// The bytes of a file.
pub(in crate::config) fn response(reading: &Reading<'_>, file: &Text) -> Option<Vec<u8>> {
    let bytes = contents(reading, file)?;
    let error = |words: &str| {
        Diagnostic::error(file.span.clone(), format!("`{}` {words}", file.shown)).help(
            "`openssl ocsp -issuer CA.pem -cert SITE.pem -url URL -respout NEW.ocsp` asks for one",
        )
    };
    match status(&bytes) {
        Some(0) => return Some(bytes),
        None => reading.report(error("is no OCSP response in DER form")),
        Some(status) => {
            let why = FAILED.get(usize::from(status) - 1).copied().unwrap_or_default();
            reading.report(error(&format!("is an OCSP response that says nothing: {why}")));
        }
    }
    None
}

/// `responseStatus`; a good one has more behind it. `None` for what is no response.
fn status(bytes: &[u8]) -> Option<u8> {
    let [0x30, length, rest @ ..] = bytes else { return None };
    let length = usize::from(*length);
    let (length, rest) = match length.checked_sub(0x80) {
        None => (length, rest),
        // Of a longer length so many bytes follow.
        Some(count @ 1..=4) => {
            let (digits, rest) = rest.split_at_checked(count)?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        Some(_) => return None,
    };
    match rest {
        _ if rest.len() != length => None,
        [0x0a, 1, 0, 0xa0, ..] => Some(0),
        [0x0a, 1, 0, ..] => None,
        [0x0a, 1, status, ..] => Some(*status),
        _ => None,
    }
}
