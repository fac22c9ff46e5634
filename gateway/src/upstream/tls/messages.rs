//! Why the certificate of an upstream is refused, in words.
//!
//! Owns the sentences for the log: rustls' own hold names of its types and, for a key that it does not
//! verify, its bytes as numbers. Must not change what is refused.

use std::io;

use rustls::{CertificateError, Error};

use crate::config::VERIFIED;

/// The same error with a reason for people, if it is about a certificate.
pub(in crate::upstream) fn told(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(cause)) = cause else { return error };
    let words = reason(cause);
    io::Error::new(error.kind(), format!("invalid peer certificate: {words}"))
}

fn reason(error: &CertificateError) -> String {
    use CertificateError as Kind;
    let fixed = match error {
        Kind::UnknownIssuer => {
            "its issuer is not known; `tls.ca` names the certificate of its issuer, or its own"
        }
        Kind::BadEncoding => "it cannot be read",
        Kind::BadSignature => "the signature of its issuer is wrong",
        Kind::Expired => "it expired",
        Kind::NotValidYet => "it is not valid yet",
        Kind::Revoked => "it was revoked",
        Kind::InvalidPurpose => "it is not for servers (`extendedKeyUsage`)",
        Kind::UnhandledCriticalExtension => "it has a critical extension that is not known",
        Kind::NotValidForName => "it is not for the name of the target",
        Kind::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| host(name)).collect();
            let presented = match presented.is_empty() {
                true => "no host".to_owned(),
                false => presented.join(", "),
            };
            let expected = expected.to_str();
            return format!(
                "it is for {presented}, and not for `{expected}`: `tls.server_name` says which name to \
                 expect"
            );
        }
        #[expect(deprecated, reason = "older forms of the same")]
        Kind::UnsupportedSignatureAlgorithm
        | Kind::UnsupportedSignatureAlgorithmContext { .. }
        | Kind::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            return format!(
                "it is signed, or its key signs, in a way that is not verified here; {VERIFIED}"
            );
        }
        Kind::Other(other) => {
            let own = other.0.downcast_ref::<webpki::Error>();
            return match own {
                Some(webpki::Error::CaUsedAsEndEntity) => {
                    "it is a certificate authority's, and is not in `tls.ca` itself".to_owned()
                }
                _ => own.map_or_else(|| other.0.to_string(), |it| sentence(&it.to_string())),
            };
        }
        // The others have sentences of their own, or names that are words.
        other => return sentence(&other.to_string()),
    };
    fixed.to_owned()
}

/// `DnsName("a.example")` as `a.example`.
fn host(presented: &str) -> String {
    match presented.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")) {
        Some(name) => format!("`{name}`"),
        None => match presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')) {
            Some(name) => format!("`{name}`"),
            None => "a name that is no host's".to_owned(),
        },
    }
}

/// A name of rustls as words: `UnknownRevocationStatus` is `unknown revocation status`. What it holds
/// besides is for programmers.
fn sentence(name: &str) -> String {
    let end = name.find([' ', '(', '{']).unwrap_or(name.len());
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name[..end].chars().all(|c| c.is_ascii_alphanumeric());
    if !is_name || name[end..].starts_with(' ') && !name[end..].starts_with(" {") {
        return name.to_owned();
    }
    let mut words = String::with_capacity(end + 8);
    for (at, c) in name[..end].char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    fn words(error: CertificateError) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(error));
        let told = told(error);
        assert_eq!(told.kind(), io::ErrorKind::InvalidData);
        told.to_string()
    }

    #[test]
    fn shows_no_names_of_types_and_no_numbers() {
        let numbers = vec![250; 250];
        let error = words(CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: numbers.clone(),
            public_key_algorithm_id: numbers,
        });
        assert!(!error.contains("250") && error.contains("is not verified here"), "{error}");
        let expected = ServerName::try_from("b.example").expect("a name");
        let presented =
            vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()];
        let error = words(CertificateError::NotValidForNameContext { expected, presented });
        assert!(
            error.contains("it is for `a.example`, `127.0.0.1`, and not for `b.example`"),
            "{error}"
        );
        let error = words(CertificateError::UnknownRevocationStatus);
        assert_eq!(error, "invalid peer certificate: unknown revocation status");
        assert!(words(CertificateError::UnknownIssuer).contains("its issuer is not known"));
        assert_eq!(sentence("certificate expired: 5"), "certificate expired: 5");
        assert_eq!(sentence("Name { a: [1, 2] }"), "name");
    }

    #[test]
    fn leaves_other_errors_alone() {
        let error = io::Error::new(io::ErrorKind::ConnectionReset, "gone");
        assert_eq!(told(error).to_string(), "gone");
    }
}
