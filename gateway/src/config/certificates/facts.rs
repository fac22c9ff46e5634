//! What a certificate says of itself, as far as messages need it.
//!
//! Owns the reading; rustls and webpki alone decide what is trusted.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Version};

use super::trust;

/// See the module.
pub(super) struct Facts {
    pub(super) subject: String,
    subject_raw: Vec<u8>,
    issuer_raw: Vec<u8>,
    not_before: (i64, String),
    pub(super) not_after: (i64, String),
    pub(super) is_version_3: bool,
    pub(super) has_names: bool,
}

/// Whether a certificate counts now.
pub(super) enum Validity {
    Now,
    /// With the day from which on.
    NotYet(String),
    /// With the day until which it did.
    NoLonger(String),
}

impl Facts {
    /// `None` for what no certificate is.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let moment = |it: x509_parser::time::ASN1Time| (it.timestamp(), it.to_string());
        let names = parsed.subject_alternative_name().ok().flatten();
        let has_names = names.is_some_and(|names| {
            let is_name = |it: &GeneralName<'_>| {
                matches!(it, GeneralName::DNSName(_) | GeneralName::IPAddress(_))
            };
            names.value.general_names.iter().any(is_name)
        });
        Some(Self {
            subject: shown(&parsed),
            subject_raw: parsed.subject().as_raw().to_vec(),
            issuer_raw: parsed.issuer().as_raw().to_vec(),
            not_before: moment(parsed.validity().not_before),
            not_after: moment(parsed.validity().not_after),
            is_version_3: parsed.version() == X509Version::V3,
            has_names,
        })
    }

    /// Whether it is the issuer of another, by its name.
    pub(super) fn issued(&self, other: &Self) -> bool {
        self.subject_raw == other.issuer_raw
    }

    pub(super) fn validity(&self) -> Validity {
        let now = now();
        if now < self.not_before.0 {
            Validity::NotYet(self.not_before.1.clone())
        } else if now > self.not_after.0 {
            Validity::NoLonger(self.not_after.1.clone())
        } else {
            Validity::Now
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |it| i64::try_from(it.as_secs()).unwrap_or(i64::MAX))
}

/// The subject, or the first name where it has none.
fn shown(parsed: &X509Certificate<'_>) -> String {
    let subject = parsed.subject().to_string();
    if !subject.is_empty() {
        return subject;
    }
    let names = parsed.subject_alternative_name().ok().flatten();
    let name = names.and_then(|names| names.value.general_names.first().map(trust::name));
    name.unwrap_or_else(|| "no name".to_owned())
}
