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

/// A certificate that issues others and is for no host.
fn authority() -> String {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
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
        (&broken, &key, "`cert.pem` is not PEM: the base64 of the section in line 1 is broken"),
        (empty, &key, "the certificate in line 1 of `cert.pem` does not parse"),
        (
            &cert,
            encrypted,
            "its key is encrypted: decrypt it with `openssl pkey -in key.pem -out NEW.key`",
        ),
        (&cert, short, "the key in `key.pem` cannot be used"),
    ] {
        let text = in_listener(TLS);
        let folder = folder(&[("gateway.toml", &text), ("cert.pem", cert), ("key.pem", key)]);
        let found = load_in(&folder).expect_err(told);
        assert_eq!(found.iter().count(), 1, "{found}");
        assert!(found.render(false).contains(told), "{told}\n{found}");
    }
}

/// What is said of a file instead of a certificate, of a key and of an authority.
fn told_of_pem(cert: &[u8], key: &[u8], ca: &[u8]) -> String {
    let text =
        in_listener(TLS).replace(TARGETS, "targets = [\"https://localhost\"]\ntls.ca = \"ca.pem\"");
    let folder = folder(&[("gateway.toml", &text)]);
    for (name, bytes) in [("cert.pem", cert), ("key.pem", key), ("ca.pem", ca)] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    match load_in(&folder) {
        Ok(loaded) => loaded.warnings.render(false),
        Err(found) => found.render(false),
    }
}

#[test]
fn reads_pem_as_editors_and_tools_leave_it() {
    let (cert, key) = certificate();
    let ca = certificate().0;
    assert_eq!(told_of_pem(cert.as_bytes(), key.as_bytes(), ca.as_bytes()), "");
    let with_mark = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let indented = ca.replace('\n', "\n    ");
    let commented = format!("Bag Attributes\n  friendlyName: a\nsubject=CN = a\n{key}# the end\n");
    let old = ca.replace(" CERTIFICATE", " X509 CERTIFICATE");
    for (key, ca) in [(&with_mark(&key), &with_mark(&ca)), (&commented, &indented), (&key, &old)] {
        let told = told_of_pem(with_mark(&cert).as_bytes(), key.as_bytes(), ca.as_bytes());
        assert_eq!(told, "", "{key}{ca}");
    }
    // Both in one file, as some proxies have it.
    let both = format!("{key}{cert}");
    assert_eq!(told_of_pem(both.as_bytes(), both.as_bytes(), ca.as_bytes()), "");
}

#[test]
fn passes_over_nothing_in_a_file_of_trust() {
    let (cert, key) = certificate();
    let ca = certificate().0;
    let section = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    for (more, told) in [
        (section("TRUSTED CERTIFICATE"), "`openssl x509 -in ca.pem -out NEW.pem` makes a plain"),
        (section("PKCS7"), "`openssl pkcs7 -in ca.pem -print_certs -out NEW.pem`"),
        (section("X509 CRL"), "a revocation list belongs in a file of its own"),
        (section("CERTIFICATE REQUEST"), "take the one that was issued for it"),
        (section("PUBLIC KEY"), "a section `PUBLIC KEY` in line"),
        (key.clone(), "a private key has no business there"),
        (section("CERTIFICATE"), "does not parse"),
        (ca.replace("-----BEGIN", "----BEGIN"), "is no border of a section"),
        (ca.replace("-----BEGIN", "\u{2014}\u{2014}-BEGIN"), "is no border of a section"),
        (ca.lines().skip(1).collect::<Vec<_>>().join("\n"), "base64 outside of a section"),
        (ca.replace("-----END CERTIFICATE-----\n", ""), "has no end"),
        (ca.replace("-----END CERTIFICATE", "-----END PUBLIC KEY"), "ends as another in line"),
        (ca.trim_end().replace('\n', "\\n"), "`printf '%b' \"$PEM\"` writes real line ends"),
        (ca.clone(), "is there twice"),
    ] {
        let both = format!("{ca}{more}");
        let found = told_of_pem(cert.as_bytes(), key.as_bytes(), both.as_bytes());
        assert!(found.contains(told), "{told}\n{found}");
    }
}

#[test]
fn reads_pem_with_carriage_returns_alone_and_names_lines_that_are_lost() {
    let (cert, key) = certificate();
    let ca = certificate().0;
    let old = |text: &str| text.replace('\n', "\r").into_bytes();
    assert_eq!(told_of_pem(&old(&cert), &old(&key), &old(&ca)), "");
    let lost = ca.replace('\n', " ");
    let found = told_of_pem(cert.as_bytes(), key.as_bytes(), lost.as_bytes());
    assert!(found.contains("the line ends of line 1 are lost"), "{found}");
    assert!(!found.contains("MII"), "{found}");
}

/// Made by `openssl req -x509 -newkey ... -nodes -days 36500 -subj /CN=localhost`, and with
/// `-param_enc explicit`, `rsa_keygen_bits:1024`, `RSA-PSS`.
#[test]
fn refuses_authorities_whose_key_verifies_nothing() {
    let (cert, key) = certificate();
    let good = certificate().0;
    for (ca, told) in [
        (include_str!("pem/secp256k1.pem"), "its key is on the curve secp256k1"),
        (include_str!("pem/ed448.pem"), "its key is for Ed448"),
        (include_str!("pem/rsa1024.pem"), "its key has 1024 bits of RSA"),
        (include_str!("pem/rsa-pss.pem"), "its key is one for RSASSA-PSS alone"),
        (include_str!("pem/explicit.pem"), "its key has the parameters of its curve written out"),
    ] {
        let found = told_of_pem(cert.as_bytes(), key.as_bytes(), ca.as_bytes());
        assert!(found.starts_with("error") && found.contains(told), "{told}\n{found}");
        assert!(found.contains("can be verified"), "{found}");
        // Another may be what the server is verified by.
        let both = format!("{good}{ca}");
        let found = told_of_pem(cert.as_bytes(), key.as_bytes(), both.as_bytes());
        assert!(found.starts_with("warning") && found.contains(told), "{told}\n{found}");
    }
}

#[test]
fn warns_of_a_servers_own_certificate_that_is_for_no_target() {
    let (cert, key) = certificate();
    let other = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
    let other = other.cert.pem();
    let found = told_of_pem(cert.as_bytes(), key.as_bytes(), other.as_bytes());
    assert!(found.starts_with("warning"), "{found}");
    assert!(found.contains("`ca.pem` is for `b.test`, and not for `localhost`"), "{found}");
    assert!(found.contains("`tls.server_name`"), "{found}");
    let authority = authority();
    assert_eq!(told_of_pem(cert.as_bytes(), key.as_bytes(), authority.as_bytes()), "");
}

#[test]
fn names_what_is_no_pem_with_the_command_that_converts_it() {
    let (cert, key) = certificate();
    let der = |pem: &str| {
        let base64 = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap()
    };
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(cert.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let bare: String = cert.lines().filter(|line| !line.starts_with('-')).collect();
    let certificates: [(&[u8], &str); 6] = [
        (&der(&cert), "`openssl x509 -inform DER -in cert.pem -out NEW.pem`"),
        (&utf16, "`iconv -f UTF-16 -t UTF-8 cert.pem > NEW`"),
        (bare.as_bytes(), "`base64 -d cert.pem | openssl x509 -inform DER -out NEW.pem`"),
        (b"\x30\x82\x01\x00\x02\x01\x03\x30", "`openssl pkcs12 -in cert.pem -nokeys -out NEW.pem`"),
        (b"\xfe\xed\xfe\xed\x00", "keytool -importkeystore -srckeystore cert.pem"),
        (
            b"\x30\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02",
            "`openssl pkcs7 -inform DER",
        ),
    ];
    for (file, told) in certificates {
        let found = told_of_pem(file, key.as_bytes(), cert.as_bytes());
        assert!(found.contains(told), "{told}\n{found}");
    }
    let section = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let legacy = section("RSA PRIVATE KEY").replace("AAAA", "Proc-Type: 4,ENCRYPTED\n\nAAAA");
    let keys = [
        (der(&key), "`openssl pkey -inform DER -in key.pem -out NEW.key`"),
        (legacy.into_bytes(), "decrypt it with `openssl pkey -in key.pem -out NEW.key`"),
        (
            section("OPENSSH PRIVATE KEY").into_bytes(),
            "`cp key.pem NEW.key && ssh-keygen -p -m PKCS8 -N '' -f NEW.key`",
        ),
        (section("PUBLIC KEY").into_bytes(), "it has a public key alone"),
        (
            format!("{key}{}", certificate().1).into_bytes(),
            "several private keys, in the lines 1 and",
        ),
    ];
    for (file, told) in keys {
        let found = told_of_pem(cert.as_bytes(), &file, cert.as_bytes());
        assert!(found.contains(told), "{told}\n{found}");
    }
}

#[test]
fn says_what_clients_will_have_against_a_chain() {
    let key = KeyPair::generate().unwrap();
    let made = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&key).unwrap().pem()
    };
    let (pem, ca) = (key.serialize_pem(), certificate().0);
    let fine = made(&|_| {});
    let other = made(&|it| it.distinguished_name.push(rcgen::DnType::CommonName, "another"));
    for (chain, told) in [
        (
            made(&|it| it.not_after = rcgen::date_time_ymd(2020, 1, 1)),
            "expired: it was valid until",
        ),
        (made(&|it| it.not_before = rcgen::date_time_ymd(4000, 1, 1)), "is not valid before"),
        (made(&|it| it.subject_alt_names.clear()), "is for no host: it has no subjectAltName"),
        (format!("{fine}{other}"), "certificate 2 in `cert.pem` did not issue the one before it"),
        (format!("{ca}{fine}"), "it fits certificate 2 of `cert.pem`: that must be the first"),
    ] {
        let found = told_of_pem(chain.as_bytes(), pem.as_bytes(), ca.as_bytes());
        assert!(found.contains(told), "{told}\n{found}");
    }
}

#[test]
fn knows_all_files_that_it_is_made_of_even_where_it_is_refused() {
    let (cert, key) = certificate();
    let text =
        in_listener(TLS) + "[secrets]\na = \"${file:secret}\"\n[components.c]\nfile = \"./c.wasm\"";
    let folder = folder(&[("gateway.toml", &text), ("cert.pem", &cert), ("secret", "x")]);
    let names = |files: &[std::path::PathBuf]| {
        let name =
            |file: &std::path::PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
        let mut names: Vec<_> = files.iter().map(name).collect();
        names.sort();
        names
    };
    let all = ["c.wasm", "cert.pem", "gateway.toml", "key.pem", "secret"];
    let path = folder.path().join("gateway.toml");
    let load = || crate::config::load_with(&path, Default::default(), &environment, &KNOWN);
    assert_eq!(names(&load().unwrap_err().files), all);
    fs::write(folder.path().join("key.pem"), &key).unwrap();
    fs::write(folder.path().join("c.wasm"), "").unwrap();
    assert_eq!(names(&load().unwrap().files), all);
}

#[test]
fn names_files_of_other_formats() {
    for (text, told) in [
        ("{\n  \"listeners\": []\n}\n", "this is JSON, and not TOML"),
        ("[\n  {\"a\": 1}\n]\n", "this is JSON, and not TOML"),
        (
            "# mine\nlisteners:\n  - name: public\n    address: 127.0.0.1:80\n",
            "this is YAML, and not TOML",
        ),
        ("---\nlisteners: []\n", "this is YAML, and not TOML"),
        ("<!DOCTYPE html>\n", "this is XML or HTML, and not TOML"),
        ("server {\n  listen 80;\n}\n", "this is no TOML"),
    ] {
        let found = findings(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1, told, "{text}");
        assert!(found[0].3.contains("the gateway reads TOML"), "{found:?}");
    }
    // One line as YAML has it makes no file of YAML.
    let text = in_listener("").replace("name = \"l\"", "name: l");
    assert!(
        findings(&text).iter().any(|found| found.3.contains("TOML writes `name = l`")),
        "{:?}",
        findings(&text)
    );
    let folder = folder(&[]);
    let path = folder.path().join("wide.toml");
    let wide: Vec<u8> = "\u{feff}a = 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&path, wide).unwrap();
    assert!(refusal(&path).contains("is text in UTF-16"), "{}", refusal(&path));
}

#[test]
fn names_characters_that_only_look_like_those_of_toml() {
    for (line, under, told) in [
        ("name = \u{201c}l\u{201d}", "\u{201c}", "this is a typographic quotation mark, U+201C"),
        ("name = \u{2018}l\u{2019}", "\u{2018}", "this is a typographic quotation mark, U+2018"),
        ("name\u{a0}= \"l\"", "\u{a0}", "this is a space of another kind, U+00A0"),
        ("\u{200b}name = \"l\"", "\u{200b}", "this is a character that cannot be seen, U+200B"),
    ] {
        let text = in_listener("").replace("name = \"l\"", line);
        let found = findings(&text);
        assert!(found.iter().any(|it| it.1 == told && it.2 == under), "{line}: {found:?}");
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
    fs::write(folder.path().join("tls/internal-ca.pem"), authority()).unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    fs::write(folder.path().join("secrets/signing-key"), "key").unwrap();
    for name in ["greet", "mine"] {
        fs::write(folder.path().join(format!("plugins/{name}.wasm")), "").unwrap();
    }
    fs::write(folder.path().join("denied.txt"), "").unwrap();
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
