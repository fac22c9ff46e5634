//! Certificates that are renewed while a configuration that is refused waits to be mended.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use gateway_tests::{Http1, tls, until, within};
use rustls::sign::CertifiedKey;

use crate::admin_api::program::Program;

/// A listener and an upstream over TLS, and a route.
const TEXT: &str = r#"
[gateway]
workers = 1
cache_dir = "../cache"

[admin]
address = "127.0.0.1:0"

[[listeners]]
name = "one"
address = "127.0.0.1:0"
tls = { certificate = "one.pem", key = "one.key" }

[[listeners]]
name = "two"
address = "127.0.0.1:0"
tls = { certificate = "two.pem", key = "two.key" }

[[routes]]
name = "r"
paths = ["/"]
respond = { body = "hello" }
"#;

/// Puts a new certificate and its key there.
fn renew(folder: &Path, name: &str) -> Arc<CertifiedKey> {
    let (certificate, key) = tls::pem(&["a.example"]);
    std::fs::write(folder.join(format!("{name}.pem")), &certificate).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), &key).unwrap();
    tls::from_pem(certificate.as_bytes(), key.as_bytes())
}

/// Waits until a listener shows this certificate.
async fn shows(address: SocketAddr, expected: &Arc<CertifiedKey>, before: &Arc<CertifiedKey>) {
    within(async {
        loop {
            let trusted = [expected, before];
            let stream = tls::connect(address, "a.example", &trusted, &["http/1.1"]).await;
            if tls::shown(&stream) == expected.cert[0] {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Waits until the log has these words so often.
async fn says(program: &Program, words: &str, times: usize) {
    until(|| program.log().matches(words).count() >= times).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_refused_keeps_no_certificate_from_being_renewed() {
    let mut first = Vec::new();
    let program = Program::start(TEXT, |folder, _| {
        first = vec![renew(folder, "one"), renew(folder, "two")];
    })
    .await;
    let folder = program.file().parent().unwrap().to_owned();
    let address = |name: &str| -> SocketAddr {
        let log = program.log();
        let lines = log.lines().filter_map(|it| serde_json::from_str::<serde_json::Value>(it).ok());
        let mut found = lines.filter(|it| it["message"] == "listening" && it["listener"] == name);
        found.next().unwrap()["address"].as_str().unwrap().parse().unwrap()
    };
    let (one, two) = (address("one"), address("two"));
    shows(one, &first[0], &first[0]).await;
    // What is written to the file is wrong in a way that has nothing to do with certificates.
    program.write(&TEXT.replace("\"/\"", "\"no path\""));
    says(&program, "the configuration in force stays", 1).await;
    let second = renew(&folder, "one");
    says(&program, "renewed certificates are in force", 1).await;
    shows(one, &second, &first[0]).await;
    // A pair that does not fit stays as it was, and keeps the other from nothing.
    std::fs::write(folder.join("one.key"), tls::pem(&["a.example"]).1).unwrap();
    let other = renew(&folder, "two");
    says(&program, "the last good certificates stay: the key in `one.key` does not fit", 1).await;
    shows(two, &other, &first[1]).await;
    shows(one, &second, &second).await;
    let metrics = Http1::admin(program.admin, "/metrics").await;
    assert!(metrics.text().contains("\ngateway_config_last_reload_successful 0\n"));
    // The whole is in force once it is mended.
    let third = renew(&folder, "one");
    program.write(&TEXT.replace("hello", "good day"));
    says(&program, "the new configuration is in force", 1).await;
    shows(one, &third, &second).await;
}
