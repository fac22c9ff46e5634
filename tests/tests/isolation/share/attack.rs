//! Clients that ask for all of a worker, and the routes that they ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Http2, Upstream, client, within};
use http::{Request, Response};
use tokio::task::JoinSet;

use crate::process::Process;
use crate::{guest, median};

/// How long a turn takes changes with what else the machine does.
pub(super) const PATIENT: &str = "deadline = \"1s\"";

/// Bytes of a download.
const DOWNLOAD: usize = 64 << 20;

/// How long the slow upstream takes.
const SLOW: Duration = Duration::from_millis(300);

pub(super) async fn service() -> Upstream {
    let large = bytes::Bytes::from(vec![b'a'; DOWNLOAD]);
    Upstream::http1(move |request| {
        let body = if request.uri().path() == "/download" { large.clone() } else { "fine".into() };
        let is_slow = request.uri().path() == "/slow";
        async move {
            if is_slow {
                tokio::time::sleep(SLOW).await;
            }
            Response::new(full(body))
        }
    })
    .await
}

/// A route whose plugin computes, one beside it with a plugin that does not, and what is told of the
/// first.
pub(super) fn configuration(
    service: SocketAddr,
    plugin: &str,
    limits: &str,
    settings: &str,
) -> String {
    format!(
        r#"
        [upstreams.service]
        targets = ["http://{service}"]

        [plugins.spins]
        component = "{}"
        config = {{ {settings} }}
        limits = {{ {limits} }}
        {plugin}

        [plugins.neighbour]
        component = "{}"
        config = {{ name = "neighbour" }}

        [[routes]]
        name = "busy"
        paths = ["/busy", "/download"]
        plugins = ["spins"]
        upstream = "service"

        [[routes]]
        name = "neighbour"
        paths = ["/neighbour"]
        plugins = ["neighbour"]
        upstream = "service"
        "#,
        guest("spins"),
        guest("tagger")
    )
}

/// The same, with a component that computes and plugins that do their worst besides.
pub(super) fn with_others(configuration: String, component: &str) -> String {
    let route = |name: &str, grants: &str| {
        format!(
            r#"
            [plugins.{name}]
            component = "{}"
            {grants}
            [[routes]]
            name = "{name}"
            paths = ["/{name}"]
            plugins = ["{name}"]
            upstream = "service"
            "#,
            guest(name)
        )
    };
    configuration
        + &route("waits", "grants = [\"password\"]")
        + &route("calls-out", "upstreams = [\"service\"]")
        + &route("panics", "")
        + &format!(
            r#"
            [components.service]
            file = "{}"
            limits = {{ {component} }}
            [[routes]]
            name = "component"
            paths = ["/spins/{{*rest}}"]
            component = "service"
            "#,
            guest("serves")
        )
}

/// What a client asks for, again and again.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) field: (&'static str, String),
}

impl Ask {
    fn new(path: impl Into<String>, name: &'static str, value: impl Into<String>) -> Self {
        Self { path: path.into(), field: (name, value.into()) }
    }

    /// A hook of as many turns.
    pub(super) fn hook(turns: u64) -> Self {
        Self::new("/busy", "x-spin", turns.to_string())
    }

    /// A component that computes for as many turns.
    pub(super) fn component(turns: u64) -> Self {
        Self::new(format!("/spins/{turns}"), "x-none", "")
    }

    /// A hook that waits for `password` without end.
    pub(super) fn password() -> Self {
        Self::new("/waits", "x-wait", "1")
    }

    /// A hook that waits for a slow upstream.
    pub(super) fn slow_call() -> Self {
        Self::new("/calls-out", "x-call", "service")
    }

    /// A hook that traps.
    pub(super) fn trap() -> Self {
        Self::new("/panics", "x-panic", "now")
    }

    pub(super) fn http1(&self) -> Request<BoxBody> {
        client::request("GET", &self.path, &self.fields(), "")
    }

    fn http2(&self) -> Request<BoxBody> {
        client::request2("GET", &self.path, &self.fields(), "")
    }

    fn fields(&self) -> [(&str, &str); 2] {
        [(self.field.0, &self.field.1), ("x-target", "/slow")]
    }
}

/// A request whose hook takes as many turns.
pub(super) fn busy(turns: u64) -> Request<BoxBody> {
    Ask::hook(turns).http1()
}

/// How many turns a millisecond of processor time has.
pub(super) async fn turns_a_millisecond() -> u64 {
    const TURNS: u64 = 20_000_000;
    let service = service().await;
    let gateway =
        Process::start(&configuration(service.address, "", "deadline = \"60s\"", "chunk = 1"));
    let mut client = Http1::connect(gateway.address).await;
    client.send(busy(1)).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        let before = gateway.worker_time();
        assert_eq!(client.send(busy(TURNS)).await.status(), 200);
        times.push(gateway.worker_time() - before);
    }
    let time = median(times);
    u64::try_from(u128::from(TURNS) * 1_000_000 / time.as_nanos()).unwrap()
}

/// How clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// A connection for each.
    Http1,
    /// All on one connection, with a stream for each.
    Http2,
}

enum Client {
    Http1(Http1),
    Http2(Http2),
}

/// Clients that ask again as soon as they have their answer.
pub(super) struct Attack {
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    /// Those with 200.
    served: Arc<AtomicU64>,
    clients: JoinSet<Vec<(u16, Duration)>>,
}

/// What an attacker may wait for its answer: longer than a request for `password` may wait for a thread.
const LONGEST: Duration = Duration::from_secs(60);

impl Attack {
    pub(super) async fn start(address: SocketAddr, clients: usize, over: Over, ask: Ask) -> Self {
        let mut this = Self {
            is_over: Arc::default(),
            answers: Arc::default(),
            served: Arc::default(),
            clients: JoinSet::new(),
        };
        let shared = match over {
            Over::Http1 => None,
            Over::Http2 => Some(Http2::connect(address).await),
        };
        for _ in 0..clients {
            let (is_over, answers) = (Arc::clone(&this.is_over), Arc::clone(&this.answers));
            let served = Arc::clone(&this.served);
            let mut client = match &shared {
                Some(connection) => Client::Http2(connection.clone()),
                None => Client::Http1(Http1::connect(address).await),
            };
            let ask = ask.clone();
            this.clients.spawn(async move {
                let mut all = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = match &mut client {
                        Client::Http1(client) => client.send_within(ask.http1(), LONGEST).await,
                        Client::Http2(client) => client.send(ask.http2()).await,
                    };
                    all.push((answer.status(), began.elapsed()));
                    answers.fetch_add(1, Ordering::Relaxed);
                    served.fetch_add(u64::from(answer.status() == 200), Ordering::Relaxed);
                }
                all
            });
        }
        this
    }

    /// Until as many were answered.
    pub(super) async fn answered(&self, count: u64) {
        reach(&self.answers, count).await;
    }

    /// Until as many were answered with 200.
    pub(super) async fn served(&self, count: u64) {
        reach(&self.served, count).await;
    }

    pub(super) async fn end(self) -> Vec<(u16, Duration)> {
        self.is_over.store(true, Ordering::Relaxed);
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

async fn reach(counter: &AtomicU64, count: u64) {
    within(async {
        while counter.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// How long as many requests of a neighbour take, one after the other.
pub(super) async fn neighbour(address: SocketAddr, count: usize) -> Vec<Duration> {
    let mut client = Http1::connect(address).await;
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let answer = client.send(client::get("/neighbour")).await;
        times.push(began.elapsed());
        assert_eq!((answer.status(), answer.text()), (200, "fine"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    times
}
