//! Who may ask, and how long one may take.

use std::time::{Duration, Instant};

use gateway::config::{self, Known, Source};
use gateway_tests::client::{get, request, to};
use gateway_tests::{Http1, Raw, Running, Setup, log, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ROUTE: &str = "[[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond.body = \"x\"\n";
/// The digest of `quickstart-key`.
const DIGEST: &str = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8";
const TOKEN: &str = "Bearer quickstart-key";

/// A gateway whose workers serve.
async fn start(admin: &str) -> Running {
    let text = format!("[admin]\naddress = \"127.0.0.1:0\"\n{admin}\n{ROUTE}");
    let gateway = Setup::toml(&text, &[]).start();
    within(async {
        while ask(&gateway, "/readyz", &[]).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    gateway
}

async fn ask(gateway: &Running, path: &str, fields: &[(&str, &str)]) -> gateway_tests::Answer {
    let admin = gateway.admin.unwrap();
    let mut request = to(admin, request("GET", path, &[], ""));
    for (name, value) in fields {
        request.headers_mut().remove(*name);
        request
            .headers_mut()
            .append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Http1::connect(admin).await.send(request).await
}

#[tokio::test]
async fn without_a_token_everybody_on_the_machine_may_ask() {
    let gateway = start("").await;
    for path in ["/livez", "/readyz", "/healthz", "/version", "/metrics", "/config"] {
        assert_eq!(ask(&gateway, path, &[]).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn with_a_token_only_probes_are_answered_without_it() {
    let gateway = start(&format!("token = \"{DIGEST}\"")).await;
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(ask(&gateway, path, &[]).await.status(), 200, "{path}");
    }
    let wrong = [None, Some("Bearer quickstart-kez"), Some("Basic quickstart-key"), Some("Bearer")];
    for path in ["/version", "/metrics", "/usage", "/config", "/openapi.json", "/nothing"] {
        for value in wrong {
            let fields: Vec<_> = value.iter().map(|value| ("authorization", *value)).collect();
            let answer = ask(&gateway, path, &fields).await;
            assert_eq!(answer.problem()["status"], 401, "{path} {value:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"gateway admin\""));
            assert_eq!(answer.problem()["instance"], answer.id());
        }
    }
    for path in ["/version", "/metrics", "/config", "/openapi.json"] {
        assert_eq!(ask(&gateway, path, &[("authorization", TOKEN)]).await.status(), 200, "{path}");
    }
    assert_eq!(ask(&gateway, "/nothing", &[("authorization", TOKEN)]).await.status(), 404);
    // All of these failures are one line, since they came within ten seconds.
    let port = gateway.admin.unwrap().port();
    let told = log::lines(|line| line.message.contains("without its token"));
    assert!(!told.is_empty() && told.len() < 10, "{} for port {port}", told.len());
}

#[tokio::test]
async fn pages_of_other_origins_get_nothing() {
    let gateway = start("").await;
    let own = format!("http://{}", gateway.admin.unwrap());
    assert_eq!(ask(&gateway, "/config", &[("origin", &own)]).await.status(), 200);
    for path in ["/config", "/healthz", "/livez", "/metrics", "/nothing"] {
        for (name, value, status) in [
            ("origin", "https://evil.example", 403),
            ("origin", "null", 403),
            ("origin", "http://127.0.0.1:1", 403),
            ("sec-fetch-site", "cross-site", 403),
            ("sec-fetch-site", "same-site", 403),
            ("host", "evil.example", 421),
            ("host", "127.0.0.1.evil.example", 421),
        ] {
            let answer = ask(&gateway, path, &[(name, value)]).await;
            assert_eq!(answer.problem()["status"], status, "{path} {name}: {value}");
            let cors =
                answer.head.headers.keys().find(|it| it.as_str().starts_with("access-control"));
            assert_eq!(cors, None);
        }
    }
    // What a browser asks before it sends a change.
    let admin = gateway.admin.unwrap();
    let preflight = request("OPTIONS", "/reload", &[("origin", "https://evil.example")], "");
    let answer = Http1::connect(admin).await.send(to(admin, preflight)).await;
    assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (403, None));
}

#[tokio::test]
async fn further_names_may_be_configured() {
    let gateway = start("hosts = [\"gateway.internal\"]").await;
    for (host, status) in [
        ("gateway.internal", 200),
        ("Gateway.Internal:9901", 200),
        ("localhost", 200),
        ("other", 421),
    ] {
        assert_eq!(ask(&gateway, "/livez", &[("host", host)]).await.status(), status, "{host}");
    }
}

fn findings(admin: &str) -> Vec<(String, String)> {
    let text = format!(
        "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n{ROUTE}[admin]\n{admin}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen_files(folder.path());
    let text = text.replace("PEM", &key.0).replace("KEY", &key.1);
    let source = Source::new(folder.path().join("test.toml"), &text);
    match config::read(source, &|_| None, &Known { built_in: &[] }) {
        Ok(_) => Vec::new(),
        Err(found) => {
            let shown = found.render(false);
            assert!(shown.contains("^^^") || shown.contains("on line"), "{shown}");
            assert!(!shown.contains("my-own-token"), "{shown}");
            found.iter().map(|it| (it.message.clone(), it.help.join(" "))).collect()
        }
    }
}

/// Files with a certificate and its key.
pub(crate) fn rcgen_files(folder: &std::path::Path) -> (String, String) {
    let made = gateway_tests::tls::pem(&["localhost", "127.0.0.1"]);
    let paths = (folder.join("admin.pem"), folder.join("admin.key"));
    std::fs::write(&paths.0, made.0).unwrap();
    std::fs::write(&paths.1, made.1).unwrap();
    (paths.0.display().to_string(), paths.1.display().to_string())
}

#[test]
fn elsewhere_than_on_loopback_tls_and_a_token_are_required() {
    let tls = "tls = { certificate = \"PEM\", key = \"KEY\" }";
    let token = format!("token = \"{DIGEST}\"");
    for address in ["0.0.0.0:9901", "10.0.0.1:9901", "[::]:9901", "[fd00::1]:9901"] {
        let refused = |rest: &str| findings(&format!("address = \"{address}\"\n{rest}"));
        let found = refused("");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0.contains("in clear and without a token"), "{found:?}");
        assert!(found[0].1.contains("gateway admin token"), "{found:?}");
        assert!(refused(tls)[0].0.contains("would serve without a token"), "{address}");
        assert!(refused(&token)[0].0.contains("would serve in clear"), "{address}");
        assert_eq!(refused(&format!("{tls}\n{token}")), [], "{address}");
    }
    for address in ["127.0.0.1:9901", "127.9.9.9:9901", "[::1]:9901", "[::ffff:127.0.0.1]:9901"] {
        assert_eq!(findings(&format!("address = \"{address}\"")), [], "{address}");
    }
    let own = findings("address = \"127.0.0.1:9901\"\ntoken = \"my-own-token\"");
    assert!(own[0].0.contains("is not a digest"), "{own:?}");
    let short = findings("address = \"127.0.0.1:9901\"\ntoken = \"sha256:12\"");
    assert!(short[0].0.contains("64 hexadecimal digits"), "{short:?}");
}

#[tokio::test]
async fn it_speaks_tls_and_nothing_in_clear_then() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, key) = rcgen_files(folder.path());
    let certificate =
        gateway_tests::tls::from_pem(&std::fs::read(&pem).unwrap(), &std::fs::read(&key).unwrap());
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\ntoken = \"{DIGEST}\"\n\
         tls = {{ certificate = \"{pem}\", key = \"{key}\" }}\n{ROUTE}"
    );
    let gateway = Setup::toml(&text, &[]).start();
    let admin = gateway.admin.unwrap();
    let trusted = [&certificate];
    let connect = || gateway_tests::tls::connect(admin, "localhost", &trusted, &["h2", "http/1.1"]);
    let stream = connect().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut ask = to(admin, get("/certificates"));
    ask.headers_mut().insert("authorization", TOKEN.parse().unwrap());
    let answer = Http1::over(stream).await.send(ask).await;
    assert_eq!(answer.status(), 200);
    let shown: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(shown["certificates"][0]["admin"], true);
    assert_eq!(shown["certificates"][0]["names"], serde_json::json!(["localhost", "127.0.0.1"]));
    let refused = Http1::over(connect().await).await.send(to(admin, get("/config"))).await;
    assert_eq!(refused.status(), 401);
    let mut own = to(admin, get("/livez"));
    own.headers_mut().insert("origin", format!("https://{admin}").parse().unwrap());
    assert_eq!(Http1::over(connect().await).await.send(own).await.status(), 200);
    let mut raw = Raw::connect(admin).await;
    raw.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(!raw.rest().await.contains("200"));
}

#[tokio::test]
async fn large_requests_and_slow_clients_are_bounded() {
    let gateway = start("").await;
    let admin = gateway.admin.unwrap();
    let large = to(admin, request("PUT", "/log-level", &[], "x".repeat(70_000)));
    assert_eq!(Http1::connect(admin).await.send(large).await.status(), 413);
    let mut raw = TcpStream::connect(admin).await.unwrap();
    raw.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ").await.unwrap();
    let _refused_meanwhile = raw.write_all(&vec![b'x'; 200_000]).await;
    let mut answer = Vec::new();
    let _reset = within(raw.read_to_end(&mut answer)).await;
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    // As many as there are places for say nothing; the one who comes then waits for one of them to be abandoned.
    let began = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(TcpStream::connect(admin).await.unwrap());
    }
    let answer = within(Http1::admin(admin, "/livez")).await;
    assert_eq!(answer.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}
