//! Lists of revoked certificates (RFC 5280 section 5).
//!
//! Owns that each parses as the verifier of clients will read it, and what is said of those that are
//! out of date or missing. Whether a certificate is in one is the verifier's to say.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use super::facts::now;
use super::{broken_pem, contents, for_shell, pem};
use crate::config::diagnostic::Diagnostic;
use crate::config::reader::{Reading, Text};

type List = CertificateRevocationListDer<'static>;

/// The lists of a file: sections of PEM, or one in DER form, as most authorities publish it.
pub(in crate::config) fn lists(reading: &Reading<'_>, file: &Text) -> Option<Vec<List>> {
    let bytes = contents(reading, file)?;
    if bytes.first() == Some(&0x30) && CertificateRevocationList::from_der(&bytes).is_ok() {
        return Some(vec![checked(reading, file, None, List::from(bytes))?]);
    }
    let sections = pem::sections(&bytes, &for_shell(&file.shown));
    let sections = sections.map_err(|broken| reading.report(broken_pem(file, broken))).ok()?;
    let mut found = Vec::new();
    for section in &sections {
        if section.label != "X509 CRL" {
            let error = format!(
                "`{}` has a section `{}` in line {}, which is no list of revoked certificates",
                file.shown, section.label, section.line
            );
            let error = Diagnostic::error(file.span.clone(), error);
            reading.report(match section.is_certificate() {
                true => error.help("authorities belong in `ca`"),
                false => error.help("take it out of the file"),
            });
            return None;
        }
        let list =
            section.list().map_err(|broken| reading.report(broken_pem(file, broken))).ok()?;
        found.push(checked(reading, file, Some(section.line), list)?);
    }
    if found.is_empty() {
        let error = format!("`{}` has no list of revoked certificates", file.shown);
        let error = Diagnostic::error(file.span.clone(), error);
        reading.report(error.note("PEM begins with `-----BEGIN X509 CRL-----`"));
        return None;
    }
    Some(found)
}

/// A list that the verifier reads.
fn checked(reading: &Reading<'_>, file: &Text, line: Option<usize>, list: List) -> Option<List> {
    let place = line.map_or_else(String::new, |line| format!(" in line {line}"));
    let shown = &file.shown;
    if let Err(why) = webpki::OwnedCertRevocationList::from_der(&list) {
        let error = format!("the list{place} of `{shown}` cannot be used: {why}");
        let error = Diagnostic::error(file.span.clone(), error);
        reading.report(
            error.note("lists of version 2 can, whole ones and not what changed since another"),
        );
        return None;
    }
    let (_, parsed) = CertificateRevocationList::from_der(&list).ok()?;
    if let Some(next) = parsed.next_update().filter(|next| next.timestamp() < now()) {
        let warning =
            format!("the list{place} of `{shown}` is out of date: the next one was due {next}");
        reading.report(
            Diagnostic::warning(file.span.clone(), warning)
                .note("it counts nevertheless; what was revoked since is not known"),
        );
    }
    Some(list)
}

/// Warns of authorities of which there is no list, if there is one of any: what they issued cannot be
/// said to be good then, and is refused.
pub(in crate::config) fn warn_of_missing(
    reading: &Reading<'_>,
    ca: &Text,
    authorities: &[CertificateDer<'static>],
    lists: &[List],
) {
    let issuers = lists.iter().filter_map(|list| {
        let (_, parsed) = CertificateRevocationList::from_der(list).ok()?;
        Some(parsed.issuer().as_raw().to_vec())
    });
    let issuers: Vec<_> = issuers.collect();
    if issuers.is_empty() {
        return;
    }
    for authority in authorities {
        let Ok((_, parsed)) = X509Certificate::from_der(authority) else { continue };
        if !issuers.iter().any(|issuer| issuer == parsed.subject().as_raw()) {
            let warning = format!(
                "there is no list of what `{}` revoked, so that none of its clients is admitted",
                parsed.subject()
            );
            let warning = Diagnostic::warning(ca.span.clone(), warning);
            reading
                .report(warning.help("add its list to `crl`, or take the authority out of `ca`"));
        }
    }
}
