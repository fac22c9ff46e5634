//! Certificates of clients, and of the gateway towards upstreams.

use std::fs;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, KeyIdMethod,
    KeyPair, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

use super::*;
use crate::config::{TlsVersion, load};

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn list(authority: &CertifiedIssuer<'static, KeyPair>, year: i32) -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2001, 1, 1),
        next_update: date_time_ymd(year, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(authority).unwrap().pem().unwrap()
}

fn own(purposes: &[rcgen::ExtendedKeyUsagePurpose]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.extended_key_usages = purposes.to_vec();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn folder(text: &str, files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = own(&[]);
    for (name, text) in [("gateway.toml", text), ("cert.pem", &*certificate), ("key.pem", &*key)]
        .iter()
        .chain(files)
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn told(text: &str, files: &[(&str, &str)]) -> String {
    let folder = folder(text, files);
    match load(&folder.path().join("gateway.toml"), &environment, &KNOWN) {
        Ok(loaded) => loaded.warnings.render(false),
        Err(found) => found.render(false),
    }
}

const TLS: &str = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";

#[test]
fn reads_whose_certificates_clients_may_show() {
    let authority = authority("A");
    let text = in_listener(&format!(
        "{TLS}tls_min_version = \"1.3\"\n\
         client_certificates = {{ mode = \"optional\", ca = \"ca.pem\", crl = [\"a.crl\", \"a.der\"] }}"
    ));
    let list = list(&authority, 2040);
    let folder = folder(&text, &[("ca.pem", &authority.pem()), ("a.crl", &list)]);
    let der = list.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    fs::write(folder.path().join("a.der"), der).unwrap();
    let loaded = load(&folder.path().join("gateway.toml"), &environment, &KNOWN).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    // All of them are watched.
    for name in ["ca.pem", "a.crl", "a.der"] {
        assert!(loaded.files.iter().any(|file| file.ends_with(name)), "{name}");
    }
    let tls = loaded.config.listeners[0].tls.as_ref().unwrap();
    let clients = tls.clients.as_ref().unwrap();
    assert_eq!((clients.required, clients.ca.len(), clients.crls.len()), (false, 1, 2));
    assert_eq!(tls.min_version, TlsVersion::Tls13);
}

#[test]
fn says_what_is_wrong_with_certificates_of_clients() {
    let (one, two) = (authority("One"), authority("Two"));
    let both = one.pem() + &two.pem();
    let (good, late) = (list(&one, 2040), list(&one, 2002));
    let files: &[(&str, &str)] = &[
        ("ca.pem", &one.pem()),
        ("both.pem", &both),
        ("good.crl", &good),
        ("late.crl", &late),
        ("no.crl", "nothing"),
    ];
    let asks = |keys: &str| in_listener(&format!("{TLS}client_certificates = {{ {keys} }}"));
    for (text, expected) in [
        (
            in_listener("client_certificates = { ca = \"ca.pem\" }"),
            "`client_certificates` needs `tls`",
        ),
        (in_listener("tls_min_version = \"1.3\""), "`tls_min_version` needs `tls`"),
        (asks("mode = \"optional\""), "`ca`"),
        (asks("ca = \"none.pem\""), "the file `none.pem` does not exist"),
        (asks("ca = \"ca.pem\", mode = \"maybe\""), "its values are `required`, `optional`"),
        (asks("ca = \"good.crl\""), "a revocation list belongs in a file of its own"),
        (
            asks("ca = \"ca.pem\", crl = [\"no.crl\"]"),
            "`no.crl` has no list of revoked certificates",
        ),
        (asks("ca = \"ca.pem\", crl = [\"ca.pem\"]"), "authorities belong in `ca`"),
        (asks("ca = \"ca.pem\", crl = [\"late.crl\"]"), "is out of date: the next one was due"),
        (
            asks("ca = \"both.pem\", crl = [\"good.crl\"]"),
            "there is no list of what `CN=Two` revoked, so that none of its clients is admitted",
        ),
    ] {
        let told = told(&text, files);
        assert!(told.contains(expected) && told.contains('^'), "{expected}\n{told}");
    }
}

#[test]
fn reads_what_upstreams_are_shown() {
    let (server, server_key) = own(&[rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    let files: &[(&str, &str)] = &[("server.pem", &server), ("server.key", &server_key)];
    let shows = |keys: &str| in_upstream(&format!("targets = [\"https://a\"]\ntls = {{ {keys} }}"));
    let pair = "certificate = \"cert.pem\", key = \"key.pem\", min_version = \"1.3\"";
    assert_eq!(told(&shows(pair), files), "");
    for (keys, expected) in [
        ("certificate = \"cert.pem\"", "`certificate` needs `key`"),
        ("key = \"key.pem\"", "`key` needs `certificate`"),
        ("certificate = \"cert.pem\", key = \"server.key\"", "does not fit the certificate"),
        ("certificate = \"server.pem\", key = \"server.key\"", "is not for clients"),
        ("min_version = \"1.1\"", "its values are `1.2`, `1.3`"),
    ] {
        let told = told(&shows(keys), files);
        assert!(told.contains(expected) && told.contains('^'), "{expected}\n{told}");
    }
}

#[test]
fn reads_what_an_authority_says_of_a_certificate() {
    let text = in_listener(
        "tls = { certificate = \"cert.pem\", key = \"key.pem\", ocsp = \"site.ocsp\" }",
    );
    let response = include_bytes!("pem/ocsp.der");
    let folder = folder(&text, &[]);
    let told = |bytes: &[u8]| {
        fs::write(folder.path().join("site.ocsp"), bytes).unwrap();
        load(&folder.path().join("gateway.toml"), &environment, &KNOWN)
    };
    let loaded = told(response).unwrap();
    let tls = loaded.config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].ocsp.as_deref(), Some(&response[..]));
    assert!(loaded.files.iter().any(|file| file.ends_with("site.ocsp")));
    for (bytes, expected) in [
        (&response[..response.len() - 1], "is no OCSP response in DER form"),
        (&b"nothing"[..], "is no OCSP response in DER form"),
        (&[0x30, 3, 0x0a, 1, 6], "the request was not authorized"),
    ] {
        let found = told(bytes).unwrap_err().render(false);
        assert!(found.contains(expected) && found.contains('^'), "{found}");
    }
}

#[test]
fn warns_of_certificates_that_nobody_asks_for() {
    let (one, _) = own(&[rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    let files: &[(&str, &str)] = &[("ca.pem", &one)];
    let text = |config: &str| {
        format!(
            "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\n\
             [plugins.who]\ncomponent = \"lock\"\n[plugins.who.config]\n{config}\n\
             [[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"who\"]\nrespond = {{ status = 200 }}\n"
        )
    };
    let expected = "the plugin `who` reads certificates of clients, and no listener asks for any";
    for config in [
        "client_certificate = {}",
        "key = [\"client.certificate.subject\"]",
        "set = { x-who = \"${client.certificate.fingerprint}\" }",
    ] {
        let told = told(&text(config), files);
        assert!(told.contains(expected) && told.contains('^'), "{config}\n{told}");
    }
    let told = told(&text("key = [\"client.address\"]"), files);
    assert!(!told.contains("certificates of clients"), "{told}");
}
