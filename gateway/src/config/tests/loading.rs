//! Files on disk: the configuration itself, certificates, components, secrets.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::config::{Component, load};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load_in(folder: &TempDir) -> Result<Loaded, Diagnostics> {
    load(&folder.path().join("gateway.toml"), &environment, &KNOWN)
}

/// The messages and advice of a refusal.
fn refusal(path: &Path) -> String {
    load(path, &environment, &KNOWN).expect_err("it is refused").render(false)
}

/// A self-signed certificate and its key.
fn certificate() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (certificate.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

const TLS: &str = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";

#[test]
fn says_what_is_wrong_with_the_file_itself() {
    let folder = folder(&[("empty.toml", " \n"), ("latin.toml", "")]);
    let path = |name: &str| folder.path().join(name);
    fs::write(path("latin.toml"), b"a = 1\nb = \"\xfc\"\n").unwrap();
    assert!(refusal(&path("gone.toml")).contains("gone.toml` does not exist"));
    assert!(refusal(folder.path()).contains("is a directory, not a configuration file"));
    assert!(refusal(&path("empty.toml")).contains("error: the configuration is empty"));
    assert!(refusal(&path("latin.toml")).contains("is not UTF-8: line 2 holds other bytes"));
}

#[test]
fn reads_files_with_a_byte_order_mark_and_windows_line_ends() {
    let text = format!("\u{feff}{}", in_listener("").replace('\n', "\r\n"));
    let folder = folder(&[("gateway.toml", &text)]);
    assert!(load_in(&folder).is_ok());
    let broken = text.replacen("name", "nmae", 1);
    fs::write(folder.path().join("gateway.toml"), broken).unwrap();
    assert!(load_in(&folder).unwrap_err().render(false).contains("gateway.toml:2:1\n"));
}

#[test]
fn resolves_paths_against_the_folder_of_the_file() {
    let text = in_plugin("component = \"./mine.wasm\"\nconfig = { key = \"${file:key}\" }");
    let folder = folder(&[("gateway.toml", &text), ("mine.wasm", ""), ("key", "top secret\n")]);
    let loaded = load_in(&folder).unwrap();
    let plugin = &loaded.config.plugins[0];
    assert_eq!(plugin.component, Component::File(folder.path().join("./mine.wasm")));
    assert_eq!(plugin.config, r#"{"key":"top secret"}"#);
    assert_eq!(loaded.source.redact("no: top secret"), "no: ${file:key}");
}

#[test]
fn finds_the_component_that_was_meant_beside_the_file() {
    let text = in_plugin("component = \"mine\"");
    let folder = folder(&[("gateway.toml", &text), ("mine.wasm", "")]);
    let told = load_in(&folder).unwrap_err().render(false);
    assert!(told.contains("for the file beside this one write `./mine.wasm`"), "{told}");
    let text = in_plugin("component = \"./mien.wasm\"");
    fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let told = load_in(&folder).unwrap_err().render(false);
    assert!(told.contains("did you mean `mine.wasm`?"), "{told}");
}

#[test]
fn reads_certificates_with_their_keys() {
    let (cert, key) = certificate();
    let chain = format!("{cert}{}", certificate().0);
    let text = in_listener(&format!("tls = [{}, {}]", &TLS[6..], &TLS[6..]));
    let files = [("gateway.toml", &*text), ("cert.pem", &chain), ("key.pem", &key)];
    let loaded = load_in(&folder(&files)).unwrap();
    let tls = loaded.config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificates.len(), 2);
    assert_eq!(tls.certificates[0].cert.len(), 2);
}

#[test]
fn refuses_certificates_that_cannot_be_used() {
    let (cert, key) = certificate();
    let other = certificate().1;
    let broken = cert.replacen("MII", "M!I", 1);
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let short = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (cert, key, told) in [
        (&*cert, &*other, "the key in `key.pem` does not fit the certificate"),
        (&key, &key, "it has a private key: are the two files swapped?"),
        (&cert, &cert, "it has a certificate: are the two files swapped?"),
        ("", &key, "`cert.pem` has no certificate in PEM form"),
        (&broken, &key, "`cert.pem` is not PEM: its base64 is broken"),
        (empty, &key, "certificate 1 in `cert.pem` does not parse"),
        (&cert, encrypted, "its key is encrypted: decrypt it with `openssl pkey`"),
        (&cert, short, "the key in `key.pem` cannot be used"),
    ] {
        let text = in_listener(TLS);
        let folder = folder(&[("gateway.toml", &text), ("cert.pem", cert), ("key.pem", key)]);
        let found = load_in(&folder).expect_err(told);
        assert_eq!(found.iter().count(), 1, "{found}");
        assert!(found.render(false).contains(told), "{told}\n{found}");
    }
}

#[test]
fn runs_the_examples_of_the_documentation() {
    let docs = include_str!("../../../../docs/configuration.md");
    let blocks = docs.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let blocks: Vec<_> = blocks.map(|(block, _)| block).collect();
    let (smallest, others) = blocks.split_first().unwrap();
    assert_eq!(findings(smallest), []);
    let folder = folder(&[("gateway.toml", &others.join("\n"))]);
    fs::create_dir(folder.path().join("tls")).unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for name in ["api", "www", "internal-ca"] {
        let (certificate, key) = certificate();
        fs::write(folder.path().join(format!("tls/{name}.pem")), certificate).unwrap();
        fs::write(folder.path().join(format!("tls/{name}.key")), key).unwrap();
    }
    fs::create_dir(folder.path().join("secrets")).unwrap();
    fs::write(folder.path().join("secrets/signing-key"), "key").unwrap();
    for name in ["greet", "mine"] {
        fs::write(folder.path().join(format!("plugins/{name}.wasm")), "").unwrap();
    }
    fs::create_dir(folder.path().join("services")).unwrap();
    fs::write(folder.path().join("services/hello.wasm"), "").unwrap();
    let loaded = load_in(&folder).unwrap_or_else(|found| panic!("{found}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.config.routes.len(), 4);
}

#[test]
fn refuses_certificates_that_are_not_there() {
    let folder = folder(&[("gateway.toml", &in_listener(TLS))]);
    let found = load_in(&folder).unwrap_err();
    let messages: Vec<_> = found.iter().map(|found| &*found.message).collect();
    let expected = ["the file `cert.pem` does not exist", "the file `key.pem` does not exist"];
    assert_eq!(messages, expected);
}

#[test]
fn reads_the_authorities_of_an_upstream() {
    let text = in_upstream("targets = [\"https://a\"]\ntls.ca = \"ca.pem\"");
    let both = certificate().0 + &certificate().0;
    let folder = folder(&[("gateway.toml", &text), ("ca.pem", &both)]);
    let loaded = load_in(&folder).unwrap();
    assert_eq!(loaded.config.upstreams[0].tls.ca.as_ref().map(Vec::len), Some(2));
    fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
    let told = load_in(&folder).unwrap_err().render(false);
    assert!(told.contains("`ca.pem` has no certificate in PEM form"), "{told}");
}
