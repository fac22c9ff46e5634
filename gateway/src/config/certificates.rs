//! Certificates and keys from PEM files.
//!
//! Owns the proof that they parse and fit each other, and what is said of everything else that such
//! a file holds: a section that means nothing where it is is never passed over without a word.
//! It must not decide how they are used.

mod facts;
mod pem;
mod revoked;
mod shown;
mod trust;

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};

use super::diagnostic::Diagnostic;
use super::reader::{Reading, Text};
use super::source::{MAX_FILE, read_bounded};
use super::{Listener, Upstream};
use facts::{Facts, Validity};
use pem::Section;
pub(super) use revoked::{lists as revoked, warn_of_missing as warn_of_missing_lists};
pub(crate) use shown::CertificateFacts;
pub(crate) use trust::{VERIFIED, is_for, names};

/// When a certificate of a listener, or of the gateway towards an upstream, ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateEnd {
    /// Whose it is.
    pub(crate) owner: String,
    pub(crate) is_upstreams: bool,
    /// Its first name, or its subject.
    pub(crate) name: String,
    /// Seconds since 1970.
    pub(crate) at: i64,
}

/// When the gateway's own certificates end: those of listeners, then those that upstreams are shown.
pub(super) fn ends(listeners: &[Listener], upstreams: &[Upstream]) -> Vec<CertificateEnd> {
    let of_listeners = listeners.iter().flat_map(|listener| {
        let keys = listener.tls.iter().flat_map(|tls| &tls.certificates);
        keys.filter_map(|key| end(&listener.name, false, key))
    });
    let of_upstreams = upstreams
        .iter()
        .filter_map(|upstream| end(&upstream.name, true, &upstream.tls.identity.as_ref()?.0));
    of_listeners.chain(of_upstreams).collect()
}

fn end(owner: &str, is_upstreams: bool, key: &CertifiedKey) -> Option<CertificateEnd> {
    let certificate = key.cert.first()?;
    let facts = Facts::of(certificate)?;
    let parsed = webpki::EndEntityCert::try_from(certificate).ok();
    let name = parsed.and_then(|it| it.valid_dns_names().next().map(str::to_owned));
    let name = name.unwrap_or(facts.subject);
    Some(CertificateEnd { owner: owner.to_owned(), is_upstreams, name, at: facts.not_after.0 })
}

/// What makes a certificate that serves a host, for who has none that does.
const MAKE: &str = "`openssl req -x509 -newkey rsa:2048 -noenc -days 365 -subj /CN=HOST \
                    -addext subjectAltName=DNS:HOST -keyout NEW.key -out NEW.pem` makes one for HOST";

/// What names the curve of a key that has its parameters instead.
const NAME_CURVE: &str = "`openssl ec -in OLD.key -param_enc named_curve -out NEW.key` names it in the key, \
                          with which the certificate is issued anew";

/// The chain of a server in one file with the key in the other.
pub(super) fn certified_key(
    reading: &Reading<'_>,
    certificate: &Text,
    key: &Text,
) -> Option<Arc<CertifiedKey>> {
    let found = pair(reading, certificate, key)?;
    look_at_chain(reading, certificate, &found.cert);
    warn_of_no_host(reading, certificate, &found.cert);
    Some(found)
}

/// The chain of a client in one file with the key in the other.
pub(super) fn client_key(
    reading: &Reading<'_>,
    certificate: &Text,
    key: &Text,
) -> Option<Arc<CertifiedKey>> {
    let found = pair(reading, certificate, key)?;
    look_at_chain(reading, certificate, &found.cert);
    if !trust::is_for_clients(&found.cert[0]) {
        let warning = format!(
            "the certificate in `{}` is not for clients: its `extendedKeyUsage` has no `clientAuth`",
            certificate.shown
        );
        let warning = Diagnostic::warning(certificate.span.clone(), warning);
        reading.report(warning.note("most servers refuse it"));
    }
    Some(found)
}

fn pair(reading: &Reading<'_>, certificate: &Text, key: &Text) -> Option<Arc<CertifiedKey>> {
    let chain = chain(reading, certificate);
    let signing_key = private_key(reading, key).and_then(|der| usable(reading, key, der));
    let (chain, signing_key) = (chain?, signing_key?);
    if !fits(&chain[..1], &signing_key) {
        let error = format!("the key in `{}` does not fit the certificate", key.shown);
        let error = Diagnostic::error(key.span.clone(), error)
            .related(certificate.span.clone(), "the certificate");
        if trust::unverifiable(&chain[0]).as_deref() == Some(trust::EXPLICIT) {
            let words = format!("the key of the certificate {}", trust::EXPLICIT);
            reading.report(error.note(words).help(NAME_CURVE));
            return None;
        }
        let own = (1..chain.len()).find(|at| fits(&chain[*at..=*at], &signing_key));
        reading.report(match own {
            Some(at) => error.help(format!(
                "it fits certificate {} of `{}`: that must be the first, its chain behind it",
                at + 1,
                certificate.shown
            )),
            None => error
                .note("the file's first certificate must be the server's own, its chain after it")
                .help(format!(
                    "`openssl x509 -noout -pubkey -in {}` and `openssl pkey -pubout -in {}` say the \
                     same where they fit",
                    for_shell(&certificate.shown),
                    for_shell(&key.shown)
                )),
        });
        return None;
    }
    Some(Arc::new(CertifiedKey::new(chain, signing_key)))
}

fn fits(chain: &[CertificateDer<'static>], key: &Arc<dyn SigningKey>) -> bool {
    let mismatch = rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch);
    CertifiedKey::new(chain.to_vec(), Arc::clone(key)).keys_match() != Err(mismatch)
}

fn usable(
    reading: &Reading<'_>,
    key: &Text,
    der: PrivateKeyDer<'static>,
) -> Option<Arc<dyn SigningKey>> {
    /// `prime-field` (RFC 3279 section 2.3.5), which no key has that names its curve.
    const PRIME_FIELD: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 1, 1];
    let is_explicit = der.secret_der().windows(PRIME_FIELD.len()).any(|it| it == PRIME_FIELD);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match provider.key_provider.load_private_key(der) {
        Ok(key) => Some(key),
        Err(_) if is_explicit => {
            let error =
                format!("the key in `{}` cannot be used: it {}", key.shown, trust::EXPLICIT);
            reading.report(Diagnostic::error(key.span.clone(), error).help(NAME_CURVE));
            None
        }
        Err(error) => {
            let error = format!("the key in `{}` cannot be used: {error}", key.shown);
            let error = Diagnostic::error(key.span.clone(), error);
            reading.report(
                error.help(
                    "RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, and Ed25519 can",
                ),
            );
            None
        }
    }
}

/// Certificates to trust.
pub(super) fn authorities(
    reading: &Reading<'_>,
    file: &Text,
) -> Option<Vec<CertificateDer<'static>>> {
    let sections = sections(reading, file)?;
    let mut is_complete = true;
    let mut found: Vec<CertificateDer<'static>> = Vec::new();
    let mut weak = Vec::new();
    for section in &sections {
        let Some(certificate) = authority(reading, file, section) else {
            is_complete = false;
            continue;
        };
        if found.contains(&certificate) {
            let warning = format!(
                "the certificate in line {} of `{}` is there twice",
                section.line, file.shown
            );
            reading.report(Diagnostic::warning(file.span.clone(), warning));
            continue;
        }
        warn_of_dates(reading, file, &certificate, &format!("in line {}", section.line));
        weak.extend(trust::unverifiable(&certificate).map(|why| (section.line, why)));
        found.push(certificate);
    }
    // One among others may be there for somebody else; if all are so, nothing is left to trust.
    let is_hopeless = weak.len() == found.len();
    for (line, why) in weak {
        is_complete &= !is_hopeless;
        let words = format!(
            "the certificate in line {line} of `{}` verifies nothing: its key {why}",
            file.shown
        );
        let told = match is_hopeless {
            true => Diagnostic::error(file.span.clone(), words),
            false => Diagnostic::warning(file.span.clone(), words),
        };
        let told = told.note(VERIFIED);
        reading.report(told.help(if why == trust::EXPLICIT { NAME_CURVE } else { MAKE }));
    }
    if sections.is_empty() {
        reading.report(none_of(file, &sections, "certificate"));
    }
    (is_complete && !found.is_empty()).then_some(found)
}

/// Warns of certificates that are most likely the servers' own and are for none of them: a server that
/// shows one would be refused at each request.
pub(super) fn warn_of_other_hosts(
    reading: &Reading<'_>,
    file: &Text,
    found: &[CertificateDer<'static>],
    hosts: &[&str],
) {
    let hosts: Vec<_> = hosts.iter().filter_map(|host| ServerName::try_from(*host).ok()).collect();
    if hosts.is_empty() {
        return;
    }
    for certificate in found.iter().filter(|it| trust::may_be_servers(it)) {
        if hosts.iter().any(|host| is_for(certificate, host)) {
            continue;
        }
        let mut wanted: Vec<_> = hosts.iter().map(|host| format!("`{}`", host.to_str())).collect();
        wanted.dedup();
        let warning = format!(
            "a certificate in `{}` is for {}, and not for {}",
            file.shown,
            names(certificate),
            wanted.join(" or ")
        );
        let help = format!(
            "`tls.server_name` says which name to expect; or make one that is for it: {}",
            MAKE.replace("HOST", &hosts[0].to_str())
        );
        reading.report(
            Diagnostic::warning(file.span.clone(), warning)
                .note("if it is the server's own, the gateway will refuse the server")
                .help(help),
        );
    }
}

/// One section of a file of certificates to trust: each must be one that can be.
fn authority(
    reading: &Reading<'_>,
    file: &Text,
    section: &Section,
) -> Option<CertificateDer<'static>> {
    if !section.is_certificate() {
        let Section { label, line, .. } = section;
        let error = format!(
            "`{}` has a section `{label}` in line {line}, which is nothing to trust",
            file.shown
        );
        let error = Diagnostic::error(file.span.clone(), error);
        reading.report(match &**label {
            "TRUSTED CERTIFICATE" => error.help(format!(
                "`openssl x509 -in {} -out NEW.pem` makes a plain certificate of it",
                for_shell(&file.shown)
            )),
            "PKCS7" => error.help(format!(
                "`openssl pkcs7 -in {} -print_certs -out NEW.pem` takes the certificates out of it",
                for_shell(&file.shown)
            )),
            "X509 CRL" => error.help(
                "a revocation list belongs in a file of its own, which `crl` of `client_certificates` names",
            ),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
                error.help("it asks for a certificate: take the one that was issued for it")
            }
            _ if section.is_private_key() => {
                error.help("a private key has no business there: take it out of the file")
            }
            _ => error.help("only `CERTIFICATE` sections can be trusted: take it out of the file"),
        });
        return None;
    }
    let certificate = decoded(reading, file, section)?;
    if let Err(error) = RootCertStore::empty().add(certificate.clone()) {
        reading.report(unparsable(file, section, &certificate, &error));
        return None;
    }
    Some(certificate)
}

fn decoded(
    reading: &Reading<'_>,
    file: &Text,
    section: &Section,
) -> Option<CertificateDer<'static>> {
    section.certificate().map_err(|broken| reading.report(broken_pem(file, broken))).ok()
}

fn chain(reading: &Reading<'_>, file: &Text) -> Option<Vec<CertificateDer<'static>>> {
    let sections = sections(reading, file)?;
    let mut chain = Vec::new();
    for section in &sections {
        if section.is_certificate() {
            let certificate = decoded(reading, file, section)?;
            if let Err(error) = ParsedCertificate::try_from(&certificate) {
                reading.report(unparsable(file, section, &certificate, &error));
                return None;
            }
            chain.push(certificate);
        } else if section.label == "TRUSTED CERTIFICATE" || section.label == "PKCS7" {
            authority(reading, file, section);
            return None;
        } else if !section.is_private_key() && !section.label.ends_with("PARAMETERS") {
            let Section { label, line, .. } = section;
            let warning = format!(
                "`{}` has a section `{label}` in line {line}, which is not used",
                file.shown
            );
            reading.report(Diagnostic::warning(file.span.clone(), warning));
        }
    }
    if chain.is_empty() {
        reading.report(none_of(file, &sections, "certificate"));
        return None;
    }
    Some(chain)
}

/// Warns of a certificate that no client takes for that of any host.
fn warn_of_no_host(reading: &Reading<'_>, file: &Text, chain: &[CertificateDer<'static>]) {
    let own = chain.first().and_then(Facts::of);
    if own.is_some_and(|own| !own.has_names) {
        let warning =
            format!("the certificate in `{}` is for no host: it has no subjectAltName", file.shown);
        reading.report(
            Diagnostic::warning(file.span.clone(), warning)
                .note("clients do not take the common name for one")
                .help(MAKE),
        );
    }
}

/// Warns of what the other side may not take: dates, and links that are missing or not in order.
fn look_at_chain(reading: &Reading<'_>, file: &Text, chain: &[CertificateDer<'static>]) {
    let warn = |words: String| Diagnostic::warning(file.span.clone(), words);
    for (index, certificate) in chain.iter().enumerate() {
        warn_of_dates(reading, file, certificate, &format!("number {}", index + 1));
    }
    let facts: Vec<_> = chain.iter().filter_map(Facts::of).collect();
    for (index, link) in facts.iter().enumerate().skip(1) {
        if chain[..index].contains(&chain[index]) {
            let warning = format!("certificate {} in `{}` is there twice", index + 1, file.shown);
            reading.report(warn(warning));
        } else if !link.issued(&facts[index - 1]) {
            let (one, two) = (&facts[index - 1].subject, &link.subject);
            let warning = format!(
                "certificate {} in `{}` did not issue the one before it",
                index + 1,
                file.shown
            );
            reading.report(
                warn(warning)
                    .note(format!("`{two}` comes after `{one}`; some clients follow the order alone"))
                    .help("put the server's certificate first, behind it its issuer, then the issuer's"),
            );
        }
    }
}

fn warn_of_dates(
    reading: &Reading<'_>,
    file: &Text,
    certificate: &CertificateDer<'_>,
    which: &str,
) {
    let Some(facts) = Facts::of(certificate) else { return };
    let what = match facts.validity() {
        Validity::Now => return,
        Validity::NotYet(day) => format!("is not valid before {day}"),
        Validity::NoLonger(day) => format!("expired: it was valid until {day}"),
    };
    let warning = format!("the certificate {which} in `{}` {what}", file.shown);
    let warning = Diagnostic::warning(file.span.clone(), warning);
    reading.report(warning.note(format!("it is that of `{}`", facts.subject)));
}

fn unparsable(
    file: &Text,
    section: &Section,
    certificate: &CertificateDer<'_>,
    error: &rustls::Error,
) -> Diagnostic {
    let (shown, line) = (&file.shown, section.line);
    let old = Facts::of(certificate).is_some_and(|facts| !facts.is_version_3);
    let error = format!("the certificate in line {line} of `{shown}` does not parse: {error}");
    let error = Diagnostic::error(file.span.clone(), error);
    match old {
        true => error
            .note("it is of version 1 of X.509, which has no place for the names of hosts")
            .help("issue it with `-extfile` or `-copy_extensions copy`, so that it has a subjectAltName"),
        false => error,
    }
}

/// A file that lacks what it should have, with what it has instead.
fn none_of(file: &Text, sections: &[Section], what: &str) -> Diagnostic {
    let error = format!("`{}` has no {what} in PEM form", file.shown);
    let error = Diagnostic::error(file.span.clone(), error);
    let any = |is: fn(&Section) -> bool| sections.iter().any(is);
    if any(Section::is_certificate) {
        error.help("it has a certificate: are the two files swapped?")
    } else if any(Section::is_private_key) {
        error.help("it has a private key: are the two files swapped?")
    } else if any(|it| it.label.ends_with("CERTIFICATE REQUEST")) {
        error
            .help("it has a request for a certificate: take the certificate that was issued for it")
    } else if any(|it| it.label == "PUBLIC KEY") {
        error.help("it has a public key alone")
    } else if let Some(section) = sections.first() {
        error.note(format!("it has a section `{}`", section.label))
    } else {
        let label = if what == "certificate" { "CERTIFICATE" } else { "PRIVATE KEY" };
        error.note(format!("PEM begins with `-----BEGIN {label}-----`"))
    }
}

fn private_key(reading: &Reading<'_>, file: &Text) -> Option<PrivateKeyDer<'static>> {
    let sections = sections(reading, file)?;
    let shown = &file.shown;
    let mut keys = sections.iter().filter(|section| section.is_private_key());
    let Some(key) = keys.next() else {
        reading.report(none_of(file, &sections, "private key"));
        return None;
    };
    if let Some(second) = keys.next() {
        let error = format!(
            "`{shown}` has several private keys, in the lines {} and {}",
            key.line, second.line
        );
        let error = Diagnostic::error(file.span.clone(), error);
        reading.report(error.help("leave the one that belongs to the certificate"));
        return None;
    }
    let error = |words: &str| {
        let error = format!("`{shown}` has no private key in PEM form that can be read: {words}");
        Diagnostic::error(file.span.clone(), error)
    };
    if key.encrypted || key.label == "ENCRYPTED PRIVATE KEY" {
        reading.report(error("its key is encrypted").help(format!(
            "its key is encrypted: decrypt it with `openssl pkey -in {} -out NEW.key`, which asks for the \
             passphrase",
            for_shell(shown)
        )));
        return None;
    }
    match &*key.label {
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
            key.private_key().map_err(|broken| reading.report(broken_pem(file, broken))).ok()
        }
        "OPENSSH PRIVATE KEY" => {
            reading.report(error("it is one of OpenSSH").help(format!(
                "`cp {} NEW.key && ssh-keygen -p -m PKCS8 -N '' -f NEW.key` turns a copy of it into one; \
                 of an Ed25519 key ssh-keygen cannot: `openssl genpkey -algorithm ed25519 -out NEW.key` \
                 makes a new one",
                for_shell(shown)
            )));
            None
        }
        label => {
            let label = format!("it is a `{label}`");
            reading.report(error(&label).help(
                "RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, and Ed25519 can be used",
            ));
            None
        }
    }
}

fn sections(reading: &Reading<'_>, file: &Text) -> Option<Vec<Section>> {
    let contents = contents(reading, file)?;
    let sections = pem::sections(&contents, &for_shell(&file.shown));
    sections.map_err(|broken| reading.report(broken_pem(file, broken))).ok()
}

fn broken_pem(file: &Text, broken: pem::Broken) -> Diagnostic {
    let error = format!("`{}` {}", file.shown, broken.why);
    let error = Diagnostic::error(file.span.clone(), error);
    broken.help.into_iter().fold(error, Diagnostic::help)
}

/// A path in a command for a shell.
fn for_shell(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    match !path.is_empty() && !path.starts_with('-') && path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

fn contents(reading: &Reading<'_>, file: &Text) -> Option<Vec<u8>> {
    let path = reading.source.folder().join(&file.value);
    reading.reads(&path);
    read_bounded(&path, MAX_FILE)
        .map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "does not exist".to_owned(),
                std::io::ErrorKind::IsADirectory => "is a folder".to_owned(),
                std::io::ErrorKind::FileTooLarge => "has more than 16 MiB".to_owned(),
                std::io::ErrorKind::PermissionDenied => {
                    "cannot be read: the gateway's user may not".to_owned()
                }
                _ => format!("cannot be read: {error}"),
            };
            let message = format!("the file `{}` {why}", file.shown);
            let error = Diagnostic::error(file.span.clone(), message);
            reading.report(match file.shown.strip_prefix("~/") {
                Some(_) => error.help("`~` means nothing here: write the whole path"),
                None => error.note("paths are relative to the configuration file"),
            });
        })
        .ok()
}
