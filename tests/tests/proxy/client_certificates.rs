//! Mutual TLS: certificates of clients, and of the gateway towards its upstreams.

use std::io;
use std::sync::Arc;

use gateway::config::{ClientCertificates, ListenerTls, TlsVersion, UpstreamIdentity};
use gateway_tests::tls::{self, Authority, Issued};
use gateway_tests::{Http1, Http2, Running, Setup, Upstream, client, log, within};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Every attribute is passed on to the upstream under its name.
const SHOWN: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.echo]
targets = ["http://${env:ECHO}"]

[plugins.shown]
component = "transform"
[plugins.shown.config.request.headers.set]
x-subject = "${attribute.client.certificate.subject}"
x-issuer = "${attribute.client.certificate.issuer}"
x-name = "${attribute.client.certificate.common-name}"
x-dns = "${attribute.client.certificate.dns}"
x-uri = "${attribute.client.certificate.uri}"
x-email = "${attribute.client.certificate.email}"
x-spiffe = "${attribute.client.certificate.spiffe-id}"
x-serial = "${attribute.client.certificate.serial}"
x-until = "${attribute.client.certificate.not-after}"
x-fingerprint = "${attribute.client.certificate.fingerprint}"
client-cert = ":${attribute.client.certificate.base64}:"

[plugins.rules]
component = "authorize"
[[plugins.rules.config.rules]]
name = "billing"
allow = 'attributes["client.certificate.spiffe-id"].startsWith("spiffe://acme.example/")'

[[routes]]
name = "shown"
paths = ["/{*rest}"]
plugins = ["shown"]
upstream = "echo"

[[routes]]
name = "ruled"
paths = ["/ruled"]
plugins = ["rules"]
upstream = "echo"
"#;

const ID: &str = "spiffe://acme.example/ns/pay/sa/billing";

struct World {
    authority: Authority,
    server: Arc<CertifiedKey>,
    upstream: Upstream,
}

impl World {
    async fn new() -> Self {
        Self {
            authority: Authority::new("Clients"),
            server: tls::certificate(&["a.example", "b.example"]),
            upstream: Upstream::echo().await,
        }
    }

    fn tls(&self, required: bool, revoked: &[u64]) -> ListenerTls {
        let clients = ClientCertificates {
            required,
            ca: vec![self.authority.certificate()],
            crls: vec![self.authority.revoked(revoked)],
        };
        let certificates = vec![self.server.clone()];
        ListenerTls { certificates, clients: Some(clients), ..ListenerTls::default() }
    }

    fn setup(&self, required: bool, revoked: &[u64]) -> Setup {
        let tls = self.tls(required, revoked);
        Setup::toml(SHOWN, &[("ECHO", &self.upstream.address)]).listen(|it| it.tls = Some(tls))
    }

    /// What came to the upstream last.
    fn last(&self) -> http::request::Parts {
        self.upstream.requests().pop().unwrap()
    }

    fn client(&self, shown: Option<&Issued>) -> ClientConfig {
        tls::client(&[&self.server], shown)
    }
}

async fn http1(gateway: &Running, config: &ClientConfig) -> Http1 {
    let stream = tls::try_connect(gateway.address, "a.example", config, &["http/1.1"]).await;
    Http1::over(stream.unwrap()).await
}

async fn http2(gateway: &Running, config: &ClientConfig) -> Http2 {
    let stream = tls::try_connect(gateway.address, "a.example", config, &["h2"]).await;
    Http2::over(stream.unwrap()).await
}

/// What becomes of a connection: with TLS 1.3 a client learns only behind its handshake.
async fn outcome(gateway: &Running, config: &ClientConfig) -> io::Result<HandshakeKind> {
    let mut stream = tls::try_connect(gateway.address, "a.example", config, &["http/1.1"]).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await?;
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(stream.get_ref().1.handshake_kind().unwrap()),
        false => Err(io::Error::other("no answer")),
    }
}

async fn metrics(gateway: &Running) -> String {
    Http1::admin(gateway.admin.unwrap(), "/metrics").await.text().to_owned()
}

#[tokio::test]
async fn plugins_know_who_a_client_is_and_nobody_can_pretend() {
    let world = World::new().await;
    let gateway = world.setup(true, &[7]).start();
    let names = ["A.example", "b.example", ID, "b@acme.example"];
    let shown = world.authority.issue("billing", 0xab_cd, &names);
    let config = world.client(Some(&shown));
    let mut http1 = http1(&gateway, &config).await;
    let mut http2 = http2(&gateway, &config).await;
    let forged = [("x-subject", "CN=root"), ("x-spiffe", "spiffe://acme.example/root")];
    let answers = [
        http1.send(client::request("GET", "/", &forged, "")).await,
        http2.send(client::request2("GET", "/", &forged, "")).await,
    ];
    for answer in answers {
        assert_eq!(answer.status(), 200);
        let request = world.last();
        let field = |name: &str| {
            let mut lines = request.headers.get_all(name).iter();
            let only = lines.next().unwrap().to_str().unwrap().to_owned();
            assert_eq!(lines.next(), None);
            only
        };
        for (name, expected) in [
            ("x-subject", "O=Acme,CN=billing"),
            ("x-issuer", "CN=Clients"),
            ("x-name", "billing"),
            ("x-dns", "a.example b.example"),
            ("x-uri", ID),
            ("x-spiffe", ID),
            ("x-email", "b@acme.example"),
            ("x-serial", "abcd"),
            ("x-until", "2040-01-01T00:00:00Z"),
        ] {
            assert_eq!(field(name), expected, "{name}");
        }
        assert_eq!(field("x-fingerprint").len(), 64);
        let der = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            &shown.certified().cert[0],
        );
        assert_eq!(field("client-cert"), format!(":{der}:"));
    }
    assert_eq!(http1.send(client::get("/ruled")).await.status(), 200);
    let other = world.authority.issue("other", 2, &["spiffe://other.example/x"]);
    let mut other = self::http1(&gateway, &world.client(Some(&other))).await;
    assert_eq!(other.send(client::get("/ruled")).await.status(), 403);
}

#[tokio::test]
async fn refuses_clients_that_it_cannot_trust_and_says_why() {
    let world = World::new().await;
    let stranger = Authority::new("Strangers");
    let cases = [
        (None, "no-certificate"),
        (Some(stranger.issue("s", 1, &[])), "certificate-issuer"),
        (Some(world.authority.issue_until("late", 2, &[], 2020)), "certificate-dates"),
        (Some(world.authority.issue("revoked", 7, &[])), "certificate-revoked"),
    ];
    for required in [true, false] {
        let gateway = world.setup(required, &[7]).start();
        for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
            for (shown, reason) in &cases {
                let config = tls::client_for(&[&world.server], shown.as_ref(), versions);
                // Who has none is admitted where it is optional.
                let admitted = !required && shown.is_none();
                assert_eq!(outcome(&gateway, &config).await.is_ok(), admitted, "{reason}");
            }
        }
        let page = metrics(&gateway).await;
        for (_, reason) in &cases {
            let count = if !required && *reason == "no-certificate" { 0 } else { 2 };
            let line = format!(
                "gateway_tls_handshakes_failed_total{{listener=\"public\",reason=\"{reason}\"}} {count}"
            );
            assert!(page.contains(&line), "{line}\n{page}");
        }
    }
    let told = log::lines(|it| it.field("subject").contains("CN=revoked"));
    assert_eq!(told.len(), 4);
    assert_eq!(told[0].message, "the certificate of a client is refused");
    assert_eq!(told[0].field("reason"), "it was revoked");
    assert_eq!(told[0].field("client"), "127.0.0.1");
    assert_eq!(told[0].field("fingerprint").len(), 64);
}

#[tokio::test]
async fn a_request_for_another_host_than_that_of_the_handshake_is_misdirected() {
    let world = World::new().await;
    let gateway = world.setup(false, &[]).start();
    let config = world.client(None);
    let mut http1 = http1(&gateway, &config).await;
    let to = |host: &str| {
        let mut request = client::get("/");
        request.headers_mut().insert("host", host.parse().unwrap());
        request
    };
    for (host, status) in
        [("a.example", 200), ("A.example:8443", 200), ("b.example", 421), ("a.example", 200)]
    {
        let answer = http1.send(to(host)).await;
        assert_eq!(answer.status(), status, "{host}");
        if status == 421 {
            assert_eq!(answer.problem()["title"], "Misdirected Request");
        }
    }
    let mut http2 = http2(&gateway, &config).await;
    for (host, status) in [("a.example", 200), ("b.example", 421), ("a.example", 200)] {
        let mut request = client::get2("/");
        *request.uri_mut() = format!("https://{host}/").parse().unwrap();
        assert_eq!(http2.send(request).await.status(), status, "{host}");
    }
    let page = metrics(&gateway).await;
    assert!(page.contains("reason=\"misdirected\""), "{page}");
}

#[tokio::test]
async fn a_session_is_resumed_over_reloads_as_long_as_its_client_is_trusted() {
    let world = World::new().await;
    let shown = world.authority.issue("billing", 7, &[ID]);
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let trusting = world.tls(true, &[]);
        let gateway = world.setup(true, &[]).listen(|it| it.tls = Some(trusting.clone())).start();
        let config = tls::client_for(&[&world.server], Some(&shown), versions);
        assert_eq!(outcome(&gateway, &config).await.unwrap(), HandshakeKind::Full);
        assert_eq!(outcome(&gateway, &config).await.unwrap(), HandshakeKind::Resumed);
        assert_eq!(world.last().headers["x-spiffe"], ID);
        // The certificate of the server is another.
        let renewed = tls::certificate(&["a.example"]);
        let renewed = ListenerTls { certificates: vec![renewed], ..trusting };
        let changed = world.setup(true, &[]).listen(|it| it.tls = Some(renewed));
        reload(&gateway, changed).await;
        assert_eq!(outcome(&gateway, &config).await.unwrap(), HandshakeKind::Resumed);
        assert_eq!(world.last().headers["x-spiffe"], ID);
        // Now the client is not trusted any more.
        reload(&gateway, world.setup(true, &[7])).await;
        outcome(&gateway, &config).await.unwrap_err();
    }
}

async fn reload(gateway: &Running, Setup { config }: Setup) {
    let handle = gateway.handle.clone();
    tokio::task::spawn_blocking(move || handle.reload(config)).await.unwrap().unwrap();
}

#[tokio::test]
async fn refuses_versions_of_tls_that_are_too_old() {
    let world = World::new().await;
    let mut tls = world.tls(false, &[]);
    tls.min_version = TlsVersion::Tls13;
    let gateway = world.setup(false, &[]).listen(|it| it.tls = Some(tls)).start();
    let old = tls::client_for(&[&world.server], None, &[&rustls::version::TLS12]);
    outcome(&gateway, &old).await.unwrap_err();
    outcome(&gateway, &world.client(None)).await.unwrap();
    let page = metrics(&gateway).await;
    let failed = "gateway_tls_handshakes_failed_total{listener=\"public\",reason=\"protocol\"} 1";
    assert!(page.contains(failed), "{page}");
}

#[tokio::test]
async fn shows_its_own_certificate_to_upstreams_that_ask() {
    let world = World::new().await;
    let target = world.setup(true, &[]).start();
    let own = world.authority.issue("edge", 9, &[ID]);
    let setup = |identity: Option<&Issued>, least: TlsVersion| {
        Setup::proxy(target.address).tune(|upstream| {
            upstream.targets[0].tls = true;
            upstream.tls.ca = Some(world.server.cert.clone());
            upstream.tls.server_name = Some("a.example".to_owned());
            upstream.tls.identity = identity.map(|it| UpstreamIdentity(it.certified()));
            upstream.tls.min_version = least;
        })
    };
    for least in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let gateway = setup(Some(&own), least).start();
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
        assert_eq!(world.last().headers["x-spiffe"], ID);
    }
    let nobody = setup(None, TlsVersion::Tls12).start();
    assert_eq!(Http1::get(nobody.address, "/").await.status(), 502);
    // The same target, now with a certificate: connections are made anew.
    reload(&nobody, setup(Some(&own), TlsVersion::Tls12)).await;
    assert_eq!(Http1::get(nobody.address, "/").await.status(), 200);
}

/// The file of the documentation, with what it names.
#[tokio::test]
async fn runs_the_example_of_the_documentation() {
    let text = include_str!("../../../docs/tls.md");
    let (_, text) = text.split_once("```toml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let world = World::new().await;
    let target = world.setup(true, &[]).start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tls")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join("tls").join(name), bytes).unwrap();
    };
    let (edge, edge_key) = tls::pem(&["a.example"]);
    let gateway = world.authority.issue("gateway", 3, &[ID]);
    write("edge.pem", edge.as_bytes());
    write("edge.key", edge_key.as_bytes());
    write("clients-ca.pem", world.authority.pem().as_bytes());
    write("clients.crl", &world.authority.revoked(&[7]));
    write("gateway.pem", gateway.certificate.as_bytes());
    write("gateway.key", gateway.key.as_bytes());
    write("internal-ca.pem", server_pem(&world.server).as_bytes());
    let text = text
        .replace("0.0.0.0:8443", "127.0.0.1:0")
        .replace("10.0.0.1:9443", &target.address.to_string())
        .replace("invoices.internal", "a.example")
        .replace("name = \"mutual\"", "name = \"public\"");
    let gateway = read(folder.path(), &text).start();
    let server = tls::from_pem(edge.as_bytes(), edge_key.as_bytes());
    for (serial, id, status) in
        [(1, "spiffe://acme.example/billing", 200), (2, "spiffe://acme.example/other", 403)]
    {
        let shown = world.authority.issue("billing", serial, &[id]);
        let config = tls::client(&[&server], Some(&shown));
        let mut client = http1(&gateway, &config).await;
        assert_eq!(client.send(client::get("/invoices/7")).await.status(), status, "{id}");
    }
    let request = world.last();
    assert_eq!(request.headers["x-client-subject"], "O=Acme,CN=billing");
    // The gateway is known to the upstream by its own certificate.
    assert_eq!(request.headers["x-name"], "gateway");
}

/// A file in a folder.
fn read(folder: &std::path::Path, text: &str) -> Setup {
    let source = gateway::config::Source::new(folder.join("gateway.toml"), text);
    let names = gateway::first_party::names();
    let known = gateway::config::Known { built_in: &names };
    let loaded = gateway::config::read(source, &|_| None, &known);
    Setup { config: loaded.unwrap_or_else(|found| panic!("{}", found.render(false))).config }
}

#[tokio::test]
async fn auth_knows_clients_by_their_certificates_as_its_manual_says() {
    let manual = include_str!("../../../plugins/auth/README.md");
    let (_, manual) = manual.split_once("### `client_certificate`").unwrap();
    let recipes = manual.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let recipes: Vec<_> = recipes.map(|(recipe, _)| recipe).collect();
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tls")).unwrap();
    let (edge, edge_key) = tls::pem(&["a.example"]);
    for (name, text) in
        [("edge.pem", &edge), ("edge.key", &edge_key), ("clients-ca.pem", &world.authority.pem())]
    {
        std::fs::write(folder.path().join("tls").join(name), text).unwrap();
    }
    let text = format!(
        "{}{}\n[[routes]]\nname = \"both\"\npaths = [\"/both\"]\nplugins = [\"both\"]\n\
         upstream = \"invoices\"\n[upstreams.invoices]\ntargets = [\"http://{}\"]\n",
        recipes[0], recipes[1], world.upstream.address
    );
    let text = text
        .replace("0.0.0.0:8443", "127.0.0.1:0")
        .replace("name = \"mutual\"", "name = \"public\"")
        .replace("CN=Partners", "CN=Clients");
    let gateway = read(folder.path(), &text).start();
    let server = tls::from_pem(edge.as_bytes(), edge_key.as_bytes());
    let issue = |common: &str, names: &[&str]| world.authority.issue(common, 5, names);
    let key = ("x-api-key", "quickstart-key");
    for (shown, path, fields, expected) in [
        (Some(issue("b", &[ID])), "/invoices/1", None, Some("billing")),
        (
            Some(issue("p", &["x.partners.example"])),
            "/invoices/1",
            None,
            Some("x.partners.example"),
        ),
        (Some(issue("p", &["x.y.partners.example"])), "/invoices/1", None, None),
        (None, "/invoices/1", None, None),
        (Some(issue("acme-1", &[])), "/both", Some(key), Some("")),
        (Some(issue("acme-1", &[])), "/both", None, None),
        (Some(issue("other", &[])), "/both", Some(key), None),
        (None, "/both", Some(key), None),
    ] {
        let config = tls::client(&[&server], shown.as_ref());
        let mut client = http1(&gateway, &config).await;
        // Twice: the gateway may make the change again without a call.
        for _ in 0..2 {
            let forged = ("x-consumer-id", "root");
            let fields: Vec<_> = fields.into_iter().chain([forged]).collect();
            let answer = client.send(client::request("GET", path, &fields, "")).await;
            match expected {
                Some(consumer) => {
                    assert_eq!(answer.status(), 200, "{path} {expected:?}");
                    if !consumer.is_empty() {
                        assert_eq!(world.last().headers["x-consumer-id"], consumer);
                    }
                }
                None => {
                    assert!([401, 403].contains(&answer.status()), "{path} {}", answer.status())
                }
            }
        }
    }
}

fn server_pem(server: &CertifiedKey) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &server.cert[0]);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
