//! An issuer that serves its keys, and a gateway that asks for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream};
use http::Response;
use serde_json::{Value, json};

use crate::documents::issuer::Signer;

/// What an issuer answers with.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

/// An issuer: what it serves, and how often it was asked.
pub(crate) struct Issuer {
    pub(crate) upstream: Upstream,
    served: Arc<Mutex<Served>>,
    count: Arc<AtomicUsize>,
}

impl Issuer {
    pub(crate) async fn new(body: impl Into<String>) -> Self {
        let served =
            Served { status: 200, headers: vec![], body: body.into(), delay: Duration::ZERO };
        let served = Arc::new(Mutex::new(served));
        let count = Arc::new(AtomicUsize::new(0));
        let (current, counted) = (Arc::clone(&served), Arc::clone(&count));
        let upstream = Upstream::http1(move |request| {
            counted.fetch_add(1, Ordering::SeqCst);
            let served = current.lock().unwrap().clone();
            async move {
                tokio::time::sleep(served.delay).await;
                let is_known = |field: &str, condition: &str| {
                    let served = served.headers.iter().find(|(name, _)| *name == field);
                    let known = request.headers().get(condition);
                    served.zip(known).map(|((_, served), known)| known == served)
                };
                // As RFC 9110 has it: the date does not count where there is a tag.
                let is_same = is_known("etag", "if-none-match")
                    .or_else(|| is_known("last-modified", "if-modified-since"))
                    .unwrap_or(false);
                let status = if is_same { 304 } else { served.status };
                let mut answer = Response::builder().status(status);
                for (name, value) in served.headers {
                    answer = answer.header(name, value);
                }
                answer.body(full(if is_same { String::new() } else { served.body })).unwrap()
            }
        });
        Self { upstream: upstream.await, served, count }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Served)) {
        change(&mut self.served.lock().unwrap());
    }

    pub(crate) fn serve(&self, body: impl Into<String>) {
        self.change(|served| served.body = body.into());
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

pub(crate) fn set(keys: &[(&str, &Signer)]) -> String {
    let keys = keys.iter().map(|(kid, signer)| {
        let mut key = signer.jwk();
        key["kid"] = (*kid).into();
        key
    });
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

/// A token that is in order now.
pub(crate) fn token(signer: &Signer, kid: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": "https://issuer.example", "aud": "api", "sub": "ada", "exp": now + 600,
    });
    signer.token_with(&json!({ "alg": signer.algorithm(), "kid": kid }), &claims)
}

/// A gateway whose only route asks for a token of the issuer.
pub(crate) fn gateway(issuer: &Issuer, document: &str, workers: usize) -> Setup {
    let text = format!(
        r#"
[admin]
address = "127.0.0.1:0"

[upstreams.id]
targets = ["http://${{env:ISSUER}}"]

[documents.keys]
{document}

[plugins.tokens]
component = "auth"
documents = ["keys"]

[[plugins.tokens.config.jwt.issuers]]
issuer = "https://issuer.example"
audiences = ["api"]
algorithms = ["ES256", "RS256"]
document = "keys"

[[routes]]
name = "r"
paths = ["/"]
plugins = ["tokens"]
respond = {{ body = "fine" }}
"#
    );
    Setup::toml(&text, &[("ISSUER", &issuer.upstream.address)]).workers(workers)
}

pub(crate) const REMOTE: &str = "upstream = \"id\"\npath = \"/jwks\"";

pub(crate) async fn ask(gateway: &Running, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let sent = request("GET", "/", &[("authorization", &bearer)], "");
    Http1::connect(gateway.address).await.send(sent).await.status()
}

/// How the document stands.
pub(crate) async fn state(gateway: &Running) -> Value {
    let answer = Http1::admin(gateway.admin.unwrap(), "/documents").await;
    let page: Value = serde_json::from_str(answer.text()).unwrap();
    page["documents"][0].clone()
}

/// The value of a metric.
pub(crate) async fn metric(gateway: &Running, series: &str) -> Option<f64> {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// Waits until the document has this version.
pub(crate) async fn until_version(gateway: &Running, version: u64) {
    let began = Instant::now();
    while state(gateway).await["version"] != version {
        assert!(began.elapsed() < gateway_tests::PATIENCE, "{}", state(gateway).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
