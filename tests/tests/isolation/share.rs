//! Plugins that stay within their limits and ask for all of a worker: each has its share, and a
//! neighbour does not notice how many clients they have.
//!
//! In passing, answers are counted against each other, so that a slow machine slows both. With
//! `GATEWAY_TEST_LONG=1` the latencies of a neighbour are measured and held against bounds, which say
//! something of a gateway that is built for release.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Upstream, client, within};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::process::Process;
use crate::{alone, guest, median, open_loop};

/// Of the neighbour, beside each attack.
const REQUESTS: u32 = 1_000;

/// How long a turn takes changes with what else the machine does.
const PATIENT: &str = "deadline = \"1s\"";

/// Bytes of a download.
const DOWNLOAD: usize = 64 << 20;

async fn service() -> Upstream {
    let large = bytes::Bytes::from(vec![b'a'; DOWNLOAD]);
    Upstream::http1(move |request| {
        let body = if request.uri().path() == "/download" { large.clone() } else { "fine".into() };
        async move { Response::new(full(body)) }
    })
    .await
}

/// A route whose plugin computes, one beside it with a plugin that does not, and what is told of the
/// first.
fn configuration(service: SocketAddr, plugin: &str, limits: &str, settings: &str) -> String {
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

/// A request whose hook takes as many turns.
fn busy(turns: u64) -> Request<BoxBody> {
    client::request("GET", "/busy", &[("x-spin", &turns.to_string())], "")
}

/// How many turns a millisecond of processor time has.
async fn turns_a_millisecond() -> u64 {
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

/// Clients that ask again as soon as they have their answer.
struct Attack {
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    clients: JoinSet<Vec<(u16, Duration)>>,
}

impl Attack {
    async fn start(address: SocketAddr, clients: usize, turns: u64) -> Self {
        let mut this =
            Self { is_over: Arc::default(), answers: Arc::default(), clients: JoinSet::new() };
        for _ in 0..clients {
            let (is_over, answers) = (Arc::clone(&this.is_over), Arc::clone(&this.answers));
            let mut client = Http1::connect(address).await;
            this.clients.spawn(async move {
                let mut all = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = client.send(busy(turns)).await;
                    all.push((answer.status(), began.elapsed()));
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                all
            });
        }
        this
    }

    /// Until as many were answered.
    async fn answered(&self, count: u64) {
        within(async {
            while self.answers.load(Ordering::Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    async fn end(self) -> Vec<(u16, Duration)> {
        self.is_over.store(true, Ordering::Relaxed);
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

/// How long as many requests of a neighbour take, one after the other.
async fn neighbour(address: SocketAddr, count: usize) -> Vec<Duration> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_does_not_wait_for_the_clients_of_a_plugin_that_computes() {
    let _alone = alone().await;
    let turns = turns_a_millisecond().await;
    let service = service().await;
    let gateway = Process::start(&configuration(service.address, "", PATIENT, "chunk = 1"));
    neighbour(gateway.address, 5).await;

    let attack = Attack::start(gateway.address, 16, 15 * turns).await;
    attack.answered(16).await;
    let beside = median(neighbour(gateway.address, 40).await);
    let answers = attack.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let busy = median(answers.into_iter().map(|(_, time)| time).collect());
    println!("a neighbour waits for {beside:?}, and each of 16 clients for {busy:?}");
    assert!(beside < busy / 4, "{beside:?} and {busy:?}");
    assert_eq!(gateway.said("the plugin is slowed, so that others have their turn"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_through_a_slow_hook_lets_others_go_first() {
    let _alone = alone().await;
    const CHUNK: u32 = 10;
    let turns = u64::from(CHUNK) * turns_a_millisecond().await;
    let service = service().await;
    let settings = format!("chunk = {turns}");
    let gateway = Process::start(&configuration(service.address, "", PATIENT, &settings));
    neighbour(gateway.address, 5).await;

    let mut client = Http1::connect(gateway.address).await;
    let mut download = client.0.send_request(client::get("/download")).await.unwrap();
    let first = download.body_mut().frame().await;
    assert!(first.is_some_and(|frame| frame.is_ok()));
    let read = tokio::spawn(async move {
        let mut bytes = 0;
        while let Some(frame) = download.body_mut().frame().await {
            bytes += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        bytes
    });
    // The first two slow chunks are found out about meanwhile.
    neighbour(gateway.address, 10).await;
    let before = gateway.worker_time();
    let count = 50;
    neighbour(gateway.address, count).await;
    let chunks = (gateway.worker_time() - before).as_millis() / u128::from(CHUNK);
    assert!(!read.is_finished(), "the download ended too early to say anything");
    read.abort();
    println!("{count} answers to a neighbour beside {chunks} chunks");
    assert!(chunks < count as u128, "{count} answers beside {chunks} chunks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_refuses_what_comes_and_says_why() {
    let _alone = alone().await;
    let turns = turns_a_millisecond().await;
    let service = service().await;
    let limits = &format!("queue = 4, {PATIENT}");
    let gateway = Process::start(&configuration(service.address, "", limits, "chunk = 1"));
    let attack = Attack::start(gateway.address, 16, 15 * turns).await;
    attack.answered(40).await;
    neighbour(gateway.address, 5).await;
    // One of those that come now finds the queue full.
    let mut refused = None;
    within(async {
        while refused.is_none() {
            let answer = Http1::connect(gateway.address).await.send(busy(turns)).await;
            refused = Some(answer).filter(|answer| answer.status() == 503);
        }
    })
    .await;
    let refused = refused.unwrap();
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        refused.problem()["detail"],
        "A plugin on this route has more requests waiting for it than it may."
    );
    let answers = attack.end().await;
    let with = |status| answers.iter().filter(|(other, _)| *other == status).count();
    assert_eq!(with(200) + with(503), answers.len(), "{answers:?}");
    assert!(with(200) >= 5, "some have their turn: {answers:?}");
    assert!(gateway.tail().iter().any(|line| {
        line.contains("plugin spins is busy: 4 of its calls wait for their turn already")
    }));

    // An optional plugin is left out instead.
    let open = "on_error = \"open\"";
    let gateway = Process::start(&configuration(service.address, open, limits, "response = 1"));
    let attack = Attack::start(gateway.address, 16, 15 * turns).await;
    attack.answered(100).await;
    let answers = attack.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_that_a_hook_waits_for_its_turn_is_not_its_own() {
    let _alone = alone().await;
    let turns = turns_a_millisecond().await;
    let service = service().await;
    // Each computes for less than its deadline, and waits for many times that.
    let limits = "deadline = \"100ms\"";
    let gateway = Process::start(&configuration(service.address, "", limits, "complete = 1"));
    let attack = Attack::start(gateway.address, 8, 25 * turns).await;
    attack.answered(40).await;
    let answers = attack.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    // And one that computes for longer is ended, in slices too.
    let attack = Attack::start(gateway.address, 2, 500 * turns).await;
    attack.answered(6).await;
    let answers = attack.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 500), "{answers:?}");
}

/// One row of the table.
struct Row {
    what: &'static str,
    limits: &'static str,
    /// Microseconds of a hook.
    hook: u64,
    clients: usize,
    /// Whether the hook is one of chunks, of one download.
    is_download: bool,
    /// Requests a second, of clients that wait for no answers.
    rate: u32,
    /// Milliseconds, of the neighbour's 99th percentile.
    most: u64,
}

const fn row(what: &'static str, limits: &'static str, hook: u64, clients: usize) -> Row {
    // Quick hooks of so many clients leave the machine no time: then the rest of a request counts.
    let most = if matches!(hook, 100..5_000) || clients == 0 { 15 } else { 35 };
    Row { what, limits, hook, clients, is_download: clients == 0, rate: 0, most }
}

/// An honest plugin that takes as much of its worker.
const fn honest(percent: u32) -> Row {
    let what = "hooks of 1 ms, 700 a second";
    Row { rate: percent * 10, is_download: false, ..row(what, "", 1_000, 0) }
}

const ROWS: [Row; 12] = [
    row("nothing else", "", 0, 0),
    row("2 ms deadline, 1.8 ms of it", "deadline = \"2ms\"", 1_800, 1),
    row("2 ms deadline, 1.8 ms of it", "deadline = \"2ms\"", 1_800, 16),
    row("2 ms deadline, 1.8 ms of it", "deadline = \"2ms\"", 1_800, 200),
    row("20 ms deadline, 18 ms of it", "", 18_000, 1),
    row("20 ms deadline, 18 ms of it", "", 18_000, 16),
    row("20 ms deadline, 18 ms of it", "", 18_000, 200),
    row("hooks of 0.4 ms", "", 400, 200),
    row("hooks of 0.05 ms", "", 50, 200),
    row("download, chunks of 1.8 ms", "deadline = \"2ms\"", 1_800, 0),
    row("download, chunks of 18 ms", "", 18_000, 0),
    honest(70),
];

/// Turns of the hook of the honest plugin.
static HONEST: AtomicU64 = AtomicU64::new(0);

/// The latencies of a neighbour at 200 requests a second beside each attack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_neighbour_waits_for_beside_plugins_that_compute() {
    if std::env::var_os("GATEWAY_TEST_LONG").is_none() {
        return;
    }
    let _alone = alone().await;
    let per_millisecond = turns_a_millisecond().await;
    let service = service().await;
    println!("attack | clients | p50 | p99 | most | answers of the attack | refused");
    let mut failures = Vec::new();
    for row in ROWS {
        let turns = per_millisecond * row.hook / 1_000;
        let chunk = if row.is_download { turns.max(1) } else { 1 };
        let settings = format!("chunk = {chunk}");
        let gateway = Process::start(&configuration(service.address, "", row.limits, &settings));
        neighbour(gateway.address, 20).await;
        let attack = Attack::start(gateway.address, row.clients, turns).await;
        let address = gateway.address;
        let download = (row.is_download && row.hook > 0).then(|| {
            tokio::spawn(async move {
                loop {
                    let mut client = Http1::connect(address).await;
                    let mut answer = client.0.send_request(client::get("/download")).await.unwrap();
                    while let Some(Ok(_)) = answer.body_mut().frame().await {}
                }
            })
        });
        HONEST.store(turns, Ordering::Relaxed);
        let honest = (row.rate > 0).then(|| {
            let honest = |_| busy(HONEST.load(Ordering::Relaxed));
            tokio::spawn(open_loop::send(address, row.rate * 6, row.rate, honest))
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let request = |_| client::get("/neighbour");
        let (timed, _) = open_loop::send(address, REQUESTS, 200, request).await;
        let mut times: Vec<_> = timed.iter().map(|timed| timed.latency).collect();
        times.sort();
        let answers = attack.end().await;
        if let Some(download) = download {
            download.abort();
        }
        if let Some(honest) = honest {
            let (timed, held) = honest.await.unwrap();
            assert!(timed.iter().all(|timed| timed.answer.status() == 200), "it is served");
            let mut times: Vec<_> = timed.iter().map(|timed| timed.latency).collect();
            times.sort();
            let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            println!("the honest plugin itself: {held:.0} a second, p50 {p50:.1?}, p99 {p99:.1?}");
        }
        let refused = answers.iter().filter(|(status, _)| *status != 200).count();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "{} | {} | {p50:.1?} | {p99:.1?} | {:.1?} | {} | {refused}",
            row.what,
            row.clients,
            times.last().unwrap(),
            answers.len()
        );
        assert!(timed.iter().all(|timed| timed.answer.status() == 200), "a neighbour failed");
        if p99 > Duration::from_millis(row.most) {
            failures.push(format!("{}, {} clients: {p99:?}", row.what, row.clients));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}
