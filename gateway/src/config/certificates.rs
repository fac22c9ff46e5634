//! Certificates and keys from PEM files.
//!
//! Owns reading them and the proof that they parse and fit. It must not decide how they are used.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::diagnostic::Diagnostic;
use super::reader::{Reading, Text};

/// The chain in one file with the key in the other.
pub(super) fn certified_key(
    reading: &Reading<'_>,
    certificate: &Text,
    key: &Text,
) -> Option<Arc<CertifiedKey>> {
    let chain = chain(reading, certificate);
    let key_der = private_key(reading, key);
    let (chain, key_der) = (chain?, key_der?);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let signing_key =
        match provider.key_provider.load_private_key(key_der) {
            Ok(signing_key) => signing_key,
            Err(error) => {
                let error = format!("the key in `{}` cannot be used: {error}", key.shown);
                let error = Diagnostic::error(key.span.clone(), error);
                reading.report(error.help(
                    "RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, and Ed25519 can",
                ));
                return None;
            }
        };
    let certified = CertifiedKey::new(chain, signing_key);
    let mismatch = rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch);
    if certified.keys_match() == Err(mismatch) {
        let error = format!("the key in `{}` does not fit the certificate", key.shown);
        let error = Diagnostic::error(key.span.clone(), error);
        reading.report(
            error
                .related(certificate.span.clone(), "the certificate")
                .note("the file's first certificate must be the server's own, its chain after it"),
        );
        return None;
    }
    Some(Arc::new(certified))
}

/// Certificates to trust.
pub(super) fn authorities(
    reading: &Reading<'_>,
    file: &Text,
) -> Option<Vec<CertificateDer<'static>>> {
    let authorities = certificates(reading, file)?;
    for (index, authority) in authorities.iter().enumerate() {
        if let Err(error) = RootCertStore::empty().add(authority.clone()) {
            reading.report(unparsable(file, index, &error));
            return None;
        }
    }
    Some(authorities)
}

fn chain(reading: &Reading<'_>, file: &Text) -> Option<Vec<CertificateDer<'static>>> {
    let chain = certificates(reading, file)?;
    for (index, certificate) in chain.iter().enumerate() {
        if let Err(error) = ParsedCertificate::try_from(certificate) {
            reading.report(unparsable(file, index, &error));
            return None;
        }
    }
    Some(chain)
}

fn unparsable(file: &Text, index: usize, error: &rustls::Error) -> Diagnostic {
    let which = index + 1;
    let error = format!("certificate {which} in `{}` does not parse: {error}", file.shown);
    Diagnostic::error(file.span.clone(), error)
}

fn certificates(reading: &Reading<'_>, file: &Text) -> Option<Vec<CertificateDer<'static>>> {
    let pem = contents(reading, file)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => return Some(found),
        Ok(_) => {
            let error = format!("`{}` has no certificate in PEM form", file.shown);
            let error = Diagnostic::error(file.span.clone(), error);
            let key = PrivateKeyDer::from_pem_slice(&pem).is_ok();
            reading.report(match key {
                true => error.help("it has a private key: are the two files swapped?"),
                false => error.note("PEM begins with `-----BEGIN CERTIFICATE-----`"),
            });
        }
        Err(error) => reading.report(broken_pem(file, &error)),
    }
    None
}

fn private_key(reading: &Reading<'_>, file: &Text) -> Option<PrivateKeyDer<'static>> {
    use rustls::pki_types::pem::Error;
    let pem = contents(reading, file)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => return Some(key),
        Err(Error::NoItemsFound) => {
            let error = format!("`{}` has no private key in PEM form", file.shown);
            let error = Diagnostic::error(file.span.clone(), error);
            let encrypted = pem.windows(9).any(|window| window == b"ENCRYPTED");
            let certificate = CertificateDer::from_pem_slice(&pem).is_ok();
            reading.report(match (encrypted, certificate) {
                (true, _) => error.help("its key is encrypted: decrypt it with `openssl pkey`"),
                (_, true) => error.help("it has a certificate: are the two files swapped?"),
                _ => error.note("PEM begins with `-----BEGIN PRIVATE KEY-----`"),
            });
        }
        Err(error) => reading.report(broken_pem(file, &error)),
    }
    None
}

fn broken_pem(file: &Text, error: &rustls::pki_types::pem::Error) -> Diagnostic {
    use rustls::pki_types::pem::Error;
    // The library's own words may quote the file, which may be a key.
    let why = match error {
        Error::MissingSectionEnd { .. } => "a section has no end",
        Error::IllegalSectionStart { .. } => "a section begins wrongly",
        _ => "its base64 is broken",
    };
    Diagnostic::error(file.span.clone(), format!("`{}` is not PEM: {why}", file.shown))
}

fn contents(reading: &Reading<'_>, file: &Text) -> Option<Vec<u8>> {
    let path = reading.source.folder().join(&file.value);
    std::fs::read(&path)
        .map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "does not exist".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            let message = format!("the file `{}` {why}", file.shown);
            let error = Diagnostic::error(file.span.clone(), message);
            reading.report(error.note("paths are relative to the configuration file"));
        })
        .ok()
}
