//! The client that everybody has: `curl`, over every version of HTTP that it shares with the
//! gateway.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use gateway::config::ListenerTls;
use gateway_tests::upstream::full;
use gateway_tests::{Raw, Running, Setup, Upstream, forward, route};
use http::Response;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use tempfile::TempDir;

/// What `curl` did.
#[derive(Debug)]
struct Done {
    /// Its exit code.
    code: Option<i32>,
    /// What it wrote.
    out: String,
    /// What it tells of its work.
    trace: String,
}

/// Runs `curl`. It does not read the user's settings, and ends by itself.
async fn curl(arguments: &[&str]) -> Done {
    let mut command = Command::new("curl");
    command.args(["-q", "--silent", "--show-error", "--verbose", "--noproxy", "*"]);
    command.args(["--max-time", "20"]).args(arguments).stdin(Stdio::null());
    // The upstreams of a test run in its thread, which must not wait.
    let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let done = done.expect("curl is installed");
    Done {
        code: done.status.code(),
        out: String::from_utf8(done.stdout).unwrap(),
        trace: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// What `--write-out` shall tell: version, status, bytes sent, new connections.
const TOLD: &str = "|%{http_version} %{response_code} %{size_upload} %{num_connects}";

impl Done {
    fn expect(&self, out: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(0), out), "{}", self.trace);
    }
}

/// A folder with a file of this many bytes.
struct Upload {
    folder: TempDir,
    bytes: Vec<u8>,
}

impl Upload {
    fn of(length: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        std::fs::write(folder.path().join("sent"), &bytes).unwrap();
        Self { folder, bytes }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn assert_came_back(&self) {
        let got = std::fs::read(self.path("got")).unwrap();
        assert!(got == self.bytes, "{} of {} bytes, or others", got.len(), self.bytes.len());
    }
}

/// A certificate that is its own authority, in memory and as a file for `--cacert`.
struct Identity {
    key: Arc<CertifiedKey>,
    file: PathBuf,
}

fn identity(folder: &Path, name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let file = folder.join(format!("{name}.pem"));
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key));
    Identity { key, file }
}

/// A gateway over TLS that answers `/` for these, and sends what is under `/up` on.
fn secured(identities: &[&Identity], upstream: &Upstream) -> Running {
    let certificates = identities.iter().map(|identity| Arc::clone(&identity.key)).collect();
    Setup::new()
        .upstream(upstream.address)
        .route(route("/"))
        .route(forward("/up/{*rest}", 0))
        .listen(|it| it.tls = Some(ListenerTls { certificates, ..ListenerTls::default() }))
        .start()
}

/// Asks over TLS as if the name were the gateway's, and trusts only that certificate.
async fn ask_as(name: &str, trusted: &Identity, gateway: &Running, arguments: &[&str]) -> Done {
    let port = gateway.address.port();
    let resolve = format!("{name}:{port}:127.0.0.1");
    let url = format!("https://{name}:{port}/");
    let file = trusted.file.to_str().unwrap();
    let common = ["--resolve", &resolve, "--cacert", file, "--write-out", TOLD, &url];
    curl(&[arguments, &common].concat()).await
}

#[tokio::test]
async fn curl_asks_twice_over_one_http1_connection() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let url = format!("http://{}/a", gateway.address);
    let done = curl(&["--http1.1", "--data", "hello", "--write-out", TOLD, &url, &url]).await;
    done.expect("hello|1.1 200 5 1hello|1.1 200 5 0");
    assert_eq!(upstream.requests().len(), 2);
}

/// The body is as Python's `gzip` makes it, and curl undoes what the gateway has made of it.
#[tokio::test]
async fn curl_reads_a_compressed_body_that_a_plugin_has_changed() {
    const BODY: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x4e\x4d\x2e\x4a\x2d\x51\
        \xb2\x32\xd4\x51\xca\x03\x92\x46\xc6\x26\xa6\x66\xe6\x16\x96\x06\x08\x96\x1e\x90\x59\x0b\x00\x6c\
        \xc9\x2b\xcc\x29\x00\x00\x00";
    let upstream = Upstream::http1(|request| async move {
        let builder = Response::builder().header("content-type", "application/json");
        let accepted = request.headers()["accept-encoding"].to_str().unwrap();
        assert!(accepted.contains("gzip"), "{accepted}");
        builder.header("content-encoding", "gzip").body(full(BODY)).unwrap()
    })
    .await;
    let text = r#"
[upstreams.it]
targets = ["http://${env:IT}"]
[[routes]]
name = "it"
paths = ["/"]
upstream = "it"
[[routes.plugins]]
component = "transform"
[routes.plugins.config.response]
on_encoded_body = "POLICY"
accept_encoding = "client"
json = [{ op = "remove", pointer = "/secret" }]
"#;
    for (policy, coding) in [("recode", "content-encoding: gzip"), ("decode", "content-length: 30")]
    {
        let text = text.replace("POLICY", policy);
        let gateway = Setup::toml(&text, &[("IT", &upstream.address)]).start();
        let done = curl(&["--compressed", &format!("http://{}/", gateway.address)]).await;
        done.expect(r#"{"n":12345678901234567890.123}"#);
        assert!(done.trace.contains(coding), "{policy}: {}", done.trace);
    }
}

#[tokio::test]
async fn curl_speaks_http2_by_prior_knowledge() {
    // One request a connection: curl before 7.89 cannot ask twice over one (curl/curl#10634).
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let url = format!("http://{}/a", gateway.address);
    let prior = "--http2-prior-knowledge";
    let done = curl(&[prior, "--data", "hello", "--write-out", TOLD, &url]).await;
    done.expect("hello|2 200 5 1");
    assert_eq!(upstream.request().headers["via"], "2.0 gateway");
}

#[tokio::test]
async fn curl_that_offers_an_upgrade_to_http2_is_served_over_http1() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let url = format!("http://{}/a", gateway.address);
    let done = curl(&["--http2", "--write-out", TOLD, &url]).await;
    done.expect("|1.1 200 0 1");
    assert!(done.trace.contains("Upgrade: h2c"), "{}", done.trace);
}

#[tokio::test]
async fn curl_asks_fifty_times_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "a.example");
    let upstream = Upstream::echo().await;
    let gateway = secured(&[&identity], &upstream);
    let (resolve, base) = (gateway.address.port(), "https://a.example");
    let urls = format!("{base}:{resolve}/up/[1-50]");
    let resolve = format!("a.example:{resolve}:127.0.0.1");
    let trust = ["--resolve", &resolve, "--cacert", identity.file.to_str().unwrap()];
    for (version, told) in [("--http1.1", "1.1 200 "), ("--http2", "2 200 ")] {
        let parallel = ["--parallel", "--parallel-max", "50", version, &urls];
        let write = ["--write-out", "%{http_version} %{response_code} "];
        let done = curl(&[&trust[..], &parallel, &write].concat()).await;
        done.expect(&told.repeat(50));
    }
    assert_eq!(upstream.requests().len(), 100);
}

#[tokio::test]
async fn curl_of_http_1_0_reads_a_body_of_unknown_length_to_the_end() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        raw.send("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n").await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let url = format!("http://{}/", gateway.address);
    let done = curl(&["--http1.0", "--write-out", "|%{response_code}", &url]).await;
    done.expect("onetwo|200");
    let trace = done.trace.to_lowercase();
    assert!(!trace.contains("transfer-encoding"), "HTTP/1.0 knows no chunks: {trace}");
}

#[tokio::test]
async fn curl_asks_for_a_head_alone() {
    let upstream = Upstream::http1(|_| async { Response::new(full("0123456789")) }).await;
    let gateway = Setup::proxy(upstream.address).start();
    let url = format!("http://{}/", gateway.address);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let done = curl(&["--head", version, &url]).await;
        assert_eq!(done.code, Some(0), "{}", done.trace);
        assert!(done.out.to_lowercase().contains("\r\ncontent-length: 10\r\n"), "{}", done.out);
    }
}

#[tokio::test]
async fn curl_sends_and_receives_a_large_file_over_each_version() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let upload = Upload::of(5 << 20);
    let url = format!("http://{}/file", gateway.address);
    for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
        let (sent, got) = (upload.path("sent"), upload.path("got"));
        let files = ["--upload-file", &sent, "--output", &got];
        let done = curl(&[&files[..], &[version, &url]].concat()).await;
        assert_eq!(done.code, Some(0), "{}", done.trace);
        upload.assert_came_back();
    }
}

#[tokio::test]
async fn curl_uploads_in_chunks() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let upload = Upload::of(1 << 20);
    let url = format!("http://{}/file", gateway.address);
    let (sent, got) = (upload.path("sent"), upload.path("got"));
    let chunked = ["--header", "transfer-encoding: chunked", "--http1.1"];
    let files = ["--upload-file", &sent, "--output", &got, &url];
    let done = curl(&[&chunked[..], &files].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.trace);
    upload.assert_came_back();
    assert!(!upstream.request().headers.contains_key("content-length"));
}

#[tokio::test]
async fn curl_waits_for_100_before_it_sends_a_body() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let upload = Upload::of(2 << 20);
    let url = format!("http://{}/file", gateway.address);
    let (sent, got) = (upload.path("sent"), upload.path("got"));
    // Without a 100 it would wait for longer than it may run.
    let expect = ["--http1.1", "--header", "expect: 100-continue", "--expect100-timeout", "60"];
    let files = ["--upload-file", &sent, "--output", &got, &url];
    let done = curl(&[&expect[..], &files].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.trace);
    assert!(done.trace.contains("< HTTP/1.1 100 Continue"), "{}", done.trace);
    upload.assert_came_back();
}

#[tokio::test]
async fn curl_sends_nothing_of_a_body_that_is_refused() {
    let upstream = Upstream::echo().await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.body_size = Some(1 << 20)).start();
    let upload = Upload::of(2 << 20);
    let url = format!("http://{}/file", gateway.address);
    let sent = upload.path("sent");
    let expect = ["--http1.1", "--header", "expect: 100-continue", "--expect100-timeout", "60"];
    let file = ["--upload-file", &sent, "--output", "/dev/null"];
    let told = ["--write-out", "%{response_code} %{size_upload}", &url];
    let done = curl(&[&expect[..], &file, &told].concat()).await;
    done.expect("413 0");
    assert!(!done.trace.contains("100 Continue"), "{}", done.trace);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn curl_agrees_on_the_version_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "a.example");
    let upstream = Upstream::echo().await;
    let gateway = secured(&[&identity], &upstream);
    for (arguments, version) in [
        (&["--http2"][..], "2"),
        (&["--http1.1"], "1.1"),
        (&["--no-alpn"], "1.1"),
        (&["--http2", "--tlsv1.3"], "2"),
        (&["--http2", "--tls-max", "1.2"], "2"),
    ] {
        let done = ask_as("a.example", &identity, &gateway, arguments).await;
        done.expect(&format!("/|{version} 200 0 1"));
    }
    // Nothing older than TLS 1.2 (RFC 8996).
    let old = ["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"];
    let done = ask_as("a.example", &identity, &gateway, &old).await;
    assert_eq!(done.code, Some(35), "{}", done.trace);
}

#[tokio::test]
async fn curl_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) =
        (identity(folder.path(), "a.example"), identity(folder.path(), "b.example"));
    let upstream = Upstream::echo().await;
    let gateway = secured(&[&first, &second], &upstream);
    for (name, trusted) in [("a.example", &first), ("b.example", &second)] {
        let done = ask_as(name, trusted, &gateway, &[]).await;
        done.expect("/|2 200 0 1");
    }
    // It trusts only the other one: what it is shown is not that.
    let done = ask_as("b.example", &first, &gateway, &[]).await;
    assert_eq!(done.code, Some(60), "{}", done.trace);
}

#[tokio::test]
async fn curl_sends_and_receives_a_large_file_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "a.example");
    let upstream = Upstream::echo().await;
    let gateway = secured(&[&identity], &upstream);
    let upload = Upload::of(5 << 20);
    let port = gateway.address.port();
    let resolve = format!("a.example:{port}:127.0.0.1");
    let url = format!("https://a.example:{port}/up/file");
    let (sent, got) = (upload.path("sent"), upload.path("got"));
    for version in ["--http1.1", "--http2"] {
        let trust = ["--resolve", &resolve, "--cacert", identity.file.to_str().unwrap()];
        let files = ["--upload-file", &sent, "--output", &got];
        let done = curl(&[&trust[..], &files, &[version, &url]].concat()).await;
        assert_eq!(done.code, Some(0), "{}", done.trace);
        upload.assert_came_back();
    }
    assert_eq!(upstream.requests()[0].headers["x-forwarded-proto"], "https");
}
