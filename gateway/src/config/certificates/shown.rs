//! The certificates of a configuration, for those who run the gateway.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::trust;
use crate::config::{Config, ListenerTls};

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    /// Whose it is; `None` for `[admin]`.
    pub(crate) listener: Option<String>,
    /// The hosts that it is for.
    pub(crate) names: Vec<String>,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    /// Of the certificate itself, in hexadecimal digits.
    pub(crate) sha256: String,
    /// Seconds since 1970.
    pub(crate) not_before: i64,
    /// Seconds since 1970.
    pub(crate) not_after: i64,
    /// Certificates that are sent, with its own.
    pub(crate) chain_length: usize,
}

impl Config {
    /// The certificates of all listeners, then those of `[admin]`.
    pub(crate) fn certificates(&self) -> Vec<CertificateFacts> {
        let listeners = self.listeners.iter();
        let tables = listeners.map(|it| (Some(it.name.as_str()), it.tls.as_ref()));
        let admin = self.admin.as_ref().map(|admin| (None, admin.tls.as_ref()));
        let tables = tables.chain(admin).filter_map(|(name, tls)| Some((name, tls?)));
        let keys = tables.flat_map(|(name, ListenerTls { certificates, .. })| {
            certificates.iter().map(move |key| (name, key))
        });
        keys.filter_map(|(name, key)| facts(name, key)).collect()
    }
}

fn facts(listener: Option<&str>, key: &CertifiedKey) -> Option<CertificateFacts> {
    let certificate = key.cert.first()?;
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect());
    let digits = digest(&SHA256, certificate);
    Some(CertificateFacts {
        listener: listener.map(str::to_owned),
        names: names.unwrap_or_default(),
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        sha256: digits.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        chain_length: key.cert.len(),
    })
}

/// A name of a host, or an address.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(_) => Some(trust::name(name).trim_matches('`').to_owned()),
        _ => None,
    }
}
