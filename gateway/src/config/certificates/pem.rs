//! Sections of a PEM file, one by one.
//!
//! Owns what is in a file: nothing in it is passed over, and what is no PEM is named with the
//! command that makes some of it. It must not decide which section is good for what. The decoding is
//! rustls' own.

use base64::Engine as _;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// What is between `-----BEGIN LABEL-----` and `-----END LABEL-----`.
pub(super) struct Section {
    pub(super) label: String,
    /// Line of its beginning, from 1.
    pub(super) line: usize,
    /// Whether its lines say that it is encrypted.
    pub(super) encrypted: bool,
    text: String,
}

/// Why a file is no PEM: words that follow the name of the file, and what fixes it.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) why: String,
    pub(super) help: Option<String>,
}

impl Broken {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Section {
    /// Whether it holds a certificate: the second label is that of old tools.
    pub(super) fn is_certificate(&self) -> bool {
        matches!(&*self.label, "CERTIFICATE" | "X509 CERTIFICATE")
    }

    /// Whether it holds a private key, of whatever form.
    pub(super) fn is_private_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// The bytes of a certificate.
    pub(super) fn certificate(&self) -> Result<CertificateDer<'static>, Broken> {
        Ok(CertificateDer::from(self.bytes("CERTIFICATE")?))
    }

    /// The bytes of a list of revoked certificates.
    pub(super) fn list(&self) -> Result<CertificateRevocationListDer<'static>, Broken> {
        Ok(CertificateRevocationListDer::from(self.bytes("X509 CRL")?))
    }

    /// The bytes of a private key of a form that can be read.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, Broken> {
        let pem = format!("-----BEGIN {0}-----\n{1}-----END {0}-----\n", self.label, self.text);
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| self.undecodable())
    }

    fn bytes(&self, label: &str) -> Result<Vec<u8>, Broken> {
        let pem = format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", self.text);
        let found = <(SectionKind, Vec<u8>)>::from_pem_slice(pem.as_bytes());
        found.map(|(_, bytes)| bytes).map_err(|_| self.undecodable())
    }

    /// Without the library's words, which may quote the file, and that may be a key.
    fn undecodable(&self) -> Broken {
        Broken::new(format!(
            "is not PEM: the base64 of the section in line {} is broken",
            self.line
        ))
        .help("copy the file again as a whole")
    }
}

/// All sections of a file, first to last.
pub(super) fn sections(bytes: &[u8], shown: &str) -> Result<Vec<Section>, Broken> {
    // Old systems end lines with a carriage return alone.
    let text = text(bytes, shown)?.replace("\r\n", "\n").replace('\r', "\n");
    let mut sections = Vec::new();
    let mut open: Option<Section> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        let begins = line.strip_prefix("-----BEGIN ").and_then(label);
        let ends = line.strip_prefix("-----END ").and_then(label);
        match (&mut open, begins, ends) {
            (None, Some(label), _) => {
                let (label, text) = (label.to_owned(), String::new());
                open = Some(Section { label, line: number, encrypted: false, text });
            }
            (Some(section), None, Some(label)) if section.label == label => {
                sections.extend(open.take());
            }
            (Some(section), Some(_), _) => return Err(endless(section)),
            (Some(section), None, Some(_)) => {
                let (begun, label) = (section.line, &section.label);
                return Err(Broken::new(format!(
                    "is not PEM: the section `{label}` of line {begun} ends as another in line {number}"
                )));
            }
            (Some(section), None, None) if line.contains(':') => {
                section.encrypted |= line.contains("ENCRYPTED");
            }
            (Some(section), None, None) => {
                section.text.push_str(line);
                section.text.push('\n');
            }
            (None, None, _) => outside(line, number)?,
        }
    }
    match &open {
        Some(section) => Err(endless(section)),
        None => Ok(sections),
    }
}

/// The label of a border. Anything else may be the contents of the file, and those may be a key.
fn label(rest: &str) -> Option<&str> {
    let label = rest.strip_suffix("-----")?;
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ';
    ((1..=40).contains(&label.len()) && label.chars().all(fits)).then_some(label)
}

fn endless(section: &Section) -> Broken {
    let Section { label, line, .. } = section;
    Broken::new(format!("is not PEM: the section `{label}` of line {line} has no end"))
        .help(format!("the file may be cut off: its line `-----END {label}-----` is missing"))
}

/// Explanatory text may be outside of sections (RFC 7468 section 2), but nothing that was meant to
/// be one.
fn outside(line: &str, number: usize) -> Result<(), Broken> {
    if line.contains("BEGIN ") && line.contains("\\n") {
        return Err(Broken::new("has `\\n` written out where its lines should end")
            .help("`printf '%b' \"$PEM\"` writes real line ends"));
    }
    if line.contains("-----BEGIN ") && line.contains("-----END ") {
        return Err(Broken::new(format!("is not PEM: the line ends of line {number} are lost")).help(
            "copy the file again as a whole; of a variable, `printf '%s\\n' \"$PEM\"` keeps its lines, \
             with the quotes",
        ));
    }
    let begins = line.trim_start_matches(['-', ' ', '\u{2013}', '\u{2014}']);
    let is_border = ["BEGIN ", "END "].iter().any(|word| begins.starts_with(word))
        && ["CERTIFICATE", "KEY", "CRL", "PKCS7"].iter().any(|word| begins.contains(word));
    if is_border {
        let why = format!("is not PEM: line {number} is no border of a section");
        return Err(Broken::new(why).help(
            "a section stands between a line `-----BEGIN CERTIFICATE-----` and a line \
             `-----END CERTIFICATE-----`, each with five `-` on both sides and nothing else",
        ));
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    if line.len() >= 48 && line.bytes().all(is_base64) {
        let why = format!("is not PEM: line {number} has base64 outside of a section");
        return Err(Broken::new(why)
            .help("a line such as `-----BEGIN CERTIFICATE-----` is missing above it"));
    }
    Ok(())
}

/// The file as text, without a byte order mark.
fn text<'b>(bytes: &'b [u8], shown: &str) -> Result<&'b str, Broken> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Broken::new("is text in UTF-16")
            .help(format!("`iconv -f UTF-16 -t UTF-8 {shown} > NEW` converts it")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if !bytes.windows(5).any(|it| it == b"BEGIN")
        && let Some(broken) = other_form(bytes, shown)
    {
        return Err(broken);
    }
    std::str::from_utf8(bytes).map_err(|_| Broken::new("is not text, and PEM is text"))
}

/// What a file is that has no section, by its first bytes.
fn other_form(bytes: &[u8], shown: &str) -> Option<Broken> {
    const PKCS7: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
    let broken =
        |what: &str, command: String| Broken::new(what).help(format!("convert it: `{command}`"));
    if bytes.starts_with(b"\xfe\xed\xfe\xed") {
        let command = format!(
            "keytool -importkeystore -srckeystore {shown} -destkeystore NEW.p12 -deststoretype PKCS12"
        );
        return Some(broken("is a Java key store, and not PEM", command));
    }
    if bytes.first() == Some(&0x30) {
        if x509_parser::parse_x509_certificate(bytes).is_ok() {
            let command = format!("openssl x509 -inform DER -in {shown} -out NEW.pem");
            return Some(broken("is a certificate in DER form, and not PEM", command));
        }
        if bytes
            .iter()
            .take(40)
            .copied()
            .collect::<Vec<_>>()
            .windows(PKCS7.len())
            .any(|it| it == PKCS7)
        {
            let command =
                format!("openssl pkcs7 -inform DER -in {shown} -print_certs -out NEW.pem");
            return Some(broken("is a PKCS#7 file, and not PEM", command));
        }
        if bytes.get(2..8).is_some_and(|it| it.windows(3).any(|it| it == b"\x02\x01\x03")) {
            let command = format!(
                "openssl pkcs12 -in {shown} -nokeys -out NEW.pem` and `openssl pkcs12 -in {shown} \
                 -nocerts -noenc -out NEW.key"
            );
            return Some(broken("is a PKCS#12 file, and not PEM", command));
        }
        if PrivateKeyDer::try_from(bytes).is_ok() {
            let command = format!("openssl pkey -inform DER -in {shown} -out NEW.key");
            return Some(broken("is a private key in DER form, and not PEM", command));
        }
        return Some(Broken::new("is in a binary form, and not PEM"));
    }
    let joined: Vec<u8> =
        bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = base64::engine::general_purpose::STANDARD.decode(joined).ok()?;
    let is_certificate = x509_parser::parse_x509_certificate(&decoded).is_ok();
    is_certificate.then(|| {
        let command = format!("base64 -d {shown} | openssl x509 -inform DER -out NEW.pem");
        broken("is a certificate without the lines around it, and not PEM", command)
    })
}
