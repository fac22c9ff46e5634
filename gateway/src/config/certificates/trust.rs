//! Whether anything can ever be verified by a certificate, and for which hosts it is.
//!
//! Owns what is known of a certificate before anybody connects. What a server shows is rustls' and
//! webpki's to judge.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, ServerName};
use x509_parser::asn1_rs::Tag;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

/// What can be verified, for advice.
pub(crate) const VERIFIED: &str =
    "RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519 can be verified";

/// Object identifiers of keys (RFC 3279, RFC 4055, RFC 8410) and of curves (RFC 5480, SEC 2, RFC 5639).
const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";
const OTHERS: [(&str, &str); 5] = [
    ("1.2.840.10040.4.1", "is for DSA"),
    ("1.3.101.110", "is for X25519, which signs nothing"),
    ("1.3.101.111", "is for X448, which signs nothing"),
    ("1.3.101.113", "is for Ed448"),
    ("1.2.840.113549.1.3.1", "is for Diffie-Hellman, which signs nothing"),
];
const GOOD_CURVES: [&str; 3] = ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"];
const CURVES: [(&str, &str); 6] = [
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.33", "P-224"),
    ("1.2.840.10045.3.1.1", "P-192"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
];

/// Why no signature can be verified by the key of a certificate: words that follow "its key".
pub(super) fn unverifiable(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let key = parsed.public_key();
    let named = |list: &[(&str, &'static str)], id: &Oid<'_>| {
        list.iter().find(|(known, _)| *known == id.to_id_string()).map(|(_, name)| *name)
    };
    match &*key.algorithm.algorithm.to_id_string() {
        ED25519 => None,
        RSA => match key.parsed() {
            Ok(PublicKey::RSA(rsa)) if !(2048..=8192).contains(&rsa.key_size()) => {
                Some(format!("has {} bits of RSA", rsa.key_size()))
            }
            _ => None,
        },
        RSA_PSS => Some("is one for RSASSA-PSS alone (`rsassaPss`)".to_owned()),
        EC => {
            let parameters = key.algorithm.parameters.as_ref()?;
            if parameters.header.tag() != Tag::Oid {
                return Some(EXPLICIT.to_owned());
            }
            let curve = parameters.as_oid().ok()?;
            if GOOD_CURVES.contains(&&*curve.to_id_string()) {
                return None;
            }
            Some(match named(&CURVES, &curve) {
                Some(name) => format!("is on the curve {name}"),
                None => "is on a curve that is not known".to_owned(),
            })
        }
        _ => {
            let other = named(&OTHERS, &key.algorithm.algorithm);
            Some(other.unwrap_or("is of a kind that is not known").to_owned())
        }
    }
}

/// RFC 5480 section 2.1.1 forbids them.
pub(super) const EXPLICIT: &str = "has the parameters of its curve written out instead of its name";

/// Whether a certificate names a host.
pub(crate) fn is_for(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    let named = webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|it| it.verify_is_valid_for_subject_name(host).is_ok());
    named
        || X509Certificate::from_der(certificate)
            .is_ok_and(|(_, parsed)| is_common_name(&parsed, host))
}

/// Whether the name is the certificate's common name, where it has no others. RFC 9525 section 6.3
/// leaves that form of name behind for certificates that anybody's authority issued; what is in
/// `ca` itself the operator gave.
fn is_common_name(parsed: &X509Certificate<'_>, host: &ServerName<'_>) -> bool {
    if !matches!(parsed.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let host = host.to_str();
    common_names(parsed).any(|common| common.eq_ignore_ascii_case(&host))
}

fn common_names<'p>(parsed: &'p X509Certificate<'_>) -> impl Iterator<Item = &'p str> {
    parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok())
}

/// Whether a client may show it (RFC 5280 section 4.2.1.12).
pub(super) fn is_for_clients(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return true };
    let usage = parsed.extended_key_usage().ok().flatten();
    usage.is_none_or(|usage| usage.value.client_auth || usage.value.any)
}

/// What a certificate is for, in words.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> String {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return "nobody knows whom".to_owned();
    };
    let quoted: Vec<_> = match parsed.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().map(name).collect(),
        _ => common_names(&parsed).map(|name| format!("`{name}`")).collect(),
    };
    if quoted.is_empty() { "no host".to_owned() } else { quoted.join(", ") }
}

/// A name as people write it.
pub(super) fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("`{name}`"),
        GeneralName::IPAddress(bytes) => match address(bytes) {
            Some(address) => format!("`{address}`"),
            None => "an address that is none".to_owned(),
        },
        GeneralName::RFC822Name(name) => format!("the e-mail address `{name}`"),
        GeneralName::URI(name) => format!("the URI `{name}`"),
        GeneralName::DirectoryName(name) => format!("the directory name `{name}`"),
        _ => "a name that is no host's".to_owned(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// What a certificate is, if it is most likely a server's own: one that can issue nothing, or that
/// nobody issued and that names hosts. Those of authorities name none, as a rule.
pub(super) fn may_be_servers(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let is_authority =
        parsed.basic_constraints().is_ok_and(|found| found.is_some_and(|it| it.value.ca));
    if !is_authority {
        return true;
    }
    if parsed.subject().as_raw() != parsed.issuer().as_raw() {
        return false;
    }
    match parsed.subject_alternative_name() {
        Ok(Some(names)) => names
            .value
            .general_names
            .iter()
            .any(|it| matches!(it, GeneralName::DNSName(_) | GeneralName::IPAddress(_))),
        Ok(None) => {
            let mut common = common_names(&parsed).peekable();
            parsed.subject().iter().next().is_none()
                || (common.peek().is_some() && common.all(is_host))
        }
        Err(_) => false,
    }
}

/// Whether a common name is that of a host: those of authorities are words.
fn is_host(name: &str) -> bool {
    let labels = name.to_ascii_lowercase();
    let mut labels = labels.split(['.', '-']);
    let is_authority = labels.any(|label| matches!(label, "ca" | "root" | "issuer" | "authority"));
    let is_host = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || (name.contains('.') && ServerName::try_from(name).is_ok());
    is_host && !is_authority
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};

    use super::*;

    fn made(names: &[&str], common: Option<&str>, is_authority: bool) -> CertificateDer<'static> {
        let mut parameters =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
                .expect("names");
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            parameters.distinguished_name.push(DnType::CommonName, common);
        }
        if is_authority {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().expect("a key");
        parameters.self_signed(&key).expect("a certificate").der().clone()
    }

    #[test]
    fn tells_what_is_most_likely_a_servers_own() {
        for (names, common, is_authority, is) in [
            (&["a.example"][..], None, true, true),
            (&[], Some("localhost"), true, true),
            (&[], Some("a.example"), true, true),
            (&[], None, true, true),
            (&[], Some("ca.example"), true, false),
            (&[], Some("Example Root"), true, false),
            (&[], Some("Example Root"), false, true),
        ] {
            let certificate = made(names, common, is_authority);
            assert_eq!(may_be_servers(&certificate), is, "{names:?} {common:?}");
            assert_eq!(unverifiable(&certificate), None);
        }
    }

    #[test]
    fn names_hosts_as_people_write_them() {
        let mut parameters = CertificateParams::new(["a.example".to_owned()]).expect("a name");
        parameters.subject_alt_names.extend([
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::OtherName((vec![1, 3, 6, 1], "x".into())),
        ]);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate").der().clone();
        assert_eq!(names(&certificate), "`a.example`, `127.0.0.1`, a name that is no host's");
        let host = |name| ServerName::try_from(name).expect("a name");
        assert!(is_for(&certificate, &host("a.example")));
        assert!(!is_for(&certificate, &host("b.example")));
        assert!(is_for(&made(&[], Some("B.example"), true), &host("b.example")));
    }
}
