//! Who a client is by its certificate.
//!
//! Owns what of a certificate plugins can read, and its notation: a distinguished name as RFC 4514 has
//! it, so that no value can pass for another attribute, and lists of names with a space between, which no
//! name in them has. Must not decide whom to trust.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// See the module. What is empty is not there.
#[derive(Debug, Default)]
pub(crate) struct ClientCertificate {
    der: Box<[u8]>,
    fingerprint: String,
    subject: String,
    issuer: String,
    common_name: String,
    serial: String,
    not_after: String,
    dns: String,
    uri: String,
    email: String,
    spiffe_id: String,
}

/// The types that RFC 4514 section 3 names, and others that are common.
const NAMED: [(&str, &str); 15] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GN"),
    ("2.5.4.12", "title"),
    ("2.5.4.97", "organizationIdentifier"),
];

impl ClientCertificate {
    /// Reads one that was verified.
    pub(super) fn new(certificate: &CertificateDer<'_>) -> Self {
        let known = Self {
            der: certificate.as_ref().into(),
            fingerprint: hex(digest(&SHA256, certificate).as_ref()),
            ..Self::default()
        };
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return known };
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let uris = names_of(names, |name| match name {
            GeneralName::URI(uri) => Some(uri),
            _ => None,
        });
        let serial = parsed.raw_serial();
        let serial = &serial[serial.iter().take_while(|byte| **byte == 0).count()..];
        Self {
            subject: distinguished(parsed.subject()),
            issuer: distinguished(parsed.issuer()),
            common_name: common_name(parsed.subject()),
            serial: if serial.is_empty() { "00".to_owned() } else { hex(serial) },
            not_after: moment(parsed.validity().not_after.timestamp()),
            dns: names_of(names, |name| match name {
                GeneralName::DNSName(name) => Some(name),
                _ => None,
            })
            .to_ascii_lowercase(),
            email: names_of(names, |name| match name {
                GeneralName::RFC822Name(name) => Some(name),
                _ => None,
            }),
            spiffe_id: spiffe_id(names).unwrap_or_default(),
            uri: uris,
            ..known
        }
    }

    /// What is behind `client.certificate.`.
    pub(crate) fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = match name {
            "fingerprint" => &self.fingerprint,
            "subject" => &self.subject,
            "issuer" => &self.issuer,
            "common-name" => &self.common_name,
            "serial" => &self.serial,
            "not-after" => &self.not_after,
            "dns" => &self.dns,
            "uri" => &self.uri,
            "email" => &self.email,
            "spiffe-id" => &self.spiffe_id,
            "base64" => return Some(Cow::Owned(STANDARD.encode(&self.der))),
            _ => return None,
        };
        (!text.is_empty()).then_some(Cow::Borrowed(text))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|it| it.to_string()).unwrap_or_default()
}

/// Names of one kind. One that could pass for two, or that is no visible ASCII, is left out.
fn names_of<'n>(
    names: &'n [GeneralName<'n>],
    kind: impl Fn(&'n GeneralName<'n>) -> Option<&'n str>,
) -> String {
    let names = names.iter().filter_map(kind).filter(|name| is_word(name));
    names.collect::<Vec<_>>().join(" ")
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An X.509-SVID has exactly one URI, the identity (SPIFFE X.509-SVID section 2).
fn spiffe_id(names: &[GeneralName<'_>]) -> Option<String> {
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let id = uris.next().filter(|_| uris.next().is_none())?;
    let rest = id.strip_prefix("spiffe://")?;
    let (domain, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let in_domain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(in_path)
    };
    let fits = id.len() <= 2_048
        && !domain.is_empty()
        && domain.bytes().all(in_domain)
        && path.split('/').skip(1).all(is_segment);
    fits.then(|| id.to_owned())
}

/// The common name, if there is exactly one that is text on one line.
fn common_name(subject: &X509Name<'_>) -> String {
    let mut names = subject.iter_common_name();
    let only = names.next().filter(|_| names.next().is_none());
    let text = only.and_then(|name| name.as_str().ok());
    text.filter(|text| !text.chars().any(char::is_control)).unwrap_or_default().to_owned()
}

/// RFC 4514 section 2: from the last to the first.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let id = attribute.attr_type().to_id_string();
    let named = NAMED.iter().find(|(known, _)| *known == id);
    match (named, attribute.as_str()) {
        (Some((_, name)), Ok(text)) => format!("{name}={}", escaped(text)),
        (_, text) => {
            // Whatever it is: its bytes cannot be mistaken for anything.
            let bytes = text.map_or_else(|_| attribute.as_slice(), str::as_bytes);
            let name = named.map_or(&*id, |(_, name)| name);
            format!("{name}=#{}", hex(bytes))
        }
    }
}

/// RFC 4514 section 2.4. Control characters are escaped too, although they need not be.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        let is_special = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (c == '#' && at == 0)
            || (c == ' ' && (at == 0 || at == last));
        if c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("\\{byte:02x}"));
            }
            continue;
        }
        if is_special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made(subject: &[(DnType, &str)], names: Vec<SanType>) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in subject {
            params.distinguished_name.push(kind.clone(), *text);
        }
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        params.serial_number = Some(vec![0, 0xab, 1].into());
        let key = KeyPair::generate().unwrap();
        ClientCertificate::new(params.self_signed(&key).unwrap().der())
    }

    fn of(certificate: &ClientCertificate, name: &str) -> String {
        certificate.attribute(name).unwrap_or_default().into_owned()
    }

    #[test]
    fn says_who_a_client_is() {
        let subject = [(DnType::OrganizationName, "Acme"), (DnType::CommonName, "billing")];
        let names = vec![
            SanType::DnsName("A.example".try_into().unwrap()),
            SanType::DnsName("b.example".try_into().unwrap()),
            SanType::URI("spiffe://acme.example/ns/pay/sa/billing".try_into().unwrap()),
            SanType::Rfc822Name("b@acme.example".try_into().unwrap()),
        ];
        let known = made(&subject, names);
        for (name, expected) in [
            ("subject", "CN=billing,O=Acme"),
            ("issuer", "CN=billing,O=Acme"),
            ("common-name", "billing"),
            ("dns", "a.example b.example"),
            ("uri", "spiffe://acme.example/ns/pay/sa/billing"),
            ("spiffe-id", "spiffe://acme.example/ns/pay/sa/billing"),
            ("email", "b@acme.example"),
            ("serial", "ab01"),
            ("not-after", "2030-01-02T00:00:00Z"),
            ("other", ""),
        ] {
            assert_eq!(of(&known, name), expected, "{name}");
        }
        let der = STANDARD.decode(of(&known, "base64")).unwrap();
        assert_eq!(of(&known, "fingerprint"), hex(digest(&SHA256, &der).as_ref()));
    }

    #[test]
    fn no_value_passes_for_another_attribute_or_name() {
        let known = made(&[(DnType::CommonName, " a,O=Root+x\r\n#")], Vec::new());
        assert_eq!(of(&known, "subject"), "CN=\\ a\\,O=Root\\+x\\0d\\0a#");
        assert_eq!(known.attribute("common-name"), None);
        let spaced = SanType::URI("https://a.example/ spiffe://b".try_into().unwrap());
        let good = SanType::URI("spiffe://a.example/x".try_into().unwrap());
        let known = made(&[], vec![spaced, good]);
        assert_eq!(of(&known, "uri"), "spiffe://a.example/x");
        // Two of them are no identity.
        assert_eq!(known.attribute("spiffe-id"), None);
        assert_eq!(known.attribute("subject"), None);
    }

    #[test]
    fn an_identity_is_one_of_the_standard() {
        let id = |text: &str| spiffe_id(&[GeneralName::URI(text)]).is_some();
        for good in ["spiffe://a", "spiffe://a.example/b", "spiffe://a-1_b/c/D.e"] {
            assert!(id(good), "{good}");
        }
        for bad in [
            "https://a/b",
            "spiffe://",
            "spiffe:///b",
            "spiffe://A/b",
            "spiffe://a/",
            "spiffe://a//b",
            "spiffe://a/../b",
            "spiffe://a/b?c",
            "spiffe://a:1/b",
            "spiffe://a/%62",
        ] {
            assert!(!id(bad), "{bad}");
        }
    }
}
