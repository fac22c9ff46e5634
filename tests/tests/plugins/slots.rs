//! Slots: as many requests are under way as may, the others wait or are refused, and however one ends, its
//! slot is the next one's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use gateway_tests::client::{self, request};
use gateway_tests::streams::Streams;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Raw, Running, Setup, Upstream, until, within};
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const LIMITED: &str = r#"
[admin]
address = "127.0.0.1:0"

[recorder]
slow = "10ms"

[upstreams.gpu]
targets = ["http://${env:GPU}"]

[upstreams.away]
targets = ["http://127.0.0.1:1"]

[plugins.limit]
component = "rate-limit"
limits = { deadline = "1s" }

[[plugins.limit.config.concurrency]]
name = "gpu"
limit = 1
key = []
queue = 20
wait = "30s"
priority = { header = "x-priority", max = 9 }
share = ["header:x-consumer"]

[[routes]]
name = "gpu"
paths = ["/{*rest}"]
plugins = ["limit"]
upstream = "gpu"

[[routes]]
name = "away"
paths = ["/away"]
plugins = ["limit"]
upstream = "away"

[[routes]]
name = "trap"
paths = ["/trap"]
plugins = ["limit", { component = "./panics.wasm" }]
upstream = "gpu"

[[routes]]
name = "ends"
paths = ["/ends"]
plugins = ["limit"]
upstream = "gpu"
timeouts = { request = "300ms" }
"#;

fn setup(gpu: &Gpu, change: impl FnOnce(String) -> String) -> Setup {
    Setup::toml(&change(LIMITED.to_owned()), &[("GPU", &gpu.upstream.address)]).workers(2)
}

/// An upstream that answers when it is let, and knows how many requests it had at the same time.
struct Gpu {
    upstream: Upstream,
    let_go: Arc<Semaphore>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gpu {
    async fn start() -> Self {
        let let_go = Arc::new(Semaphore::new(0));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = (Arc::clone(&let_go), Arc::clone(&now), Arc::clone(&most));
        let upstream = Upstream::http1(move |request| {
            let (let_go, now, most) = counted.clone();
            async move {
                if request.uri().path() == "/free" {
                    return Response::new(full("free"));
                }
                // Also where the gateway gives up, and this is dropped.
                let _under_way = UnderWay::begin(now, &most);
                let_go.acquire().await.unwrap().forget();
                Response::new(full("done"))
            }
        })
        .await;
        Self { upstream, let_go, now, most }
    }

    fn finish(&self, requests: usize) {
        self.let_go.add_permits(requests);
    }

    async fn has(&self, requests: usize) {
        until(|| self.now.load(SeqCst) == requests).await;
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(now: Arc<AtomicUsize>, most: &AtomicUsize) -> Self {
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        Self(now)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// What the gateway counts, by the words behind `gateway_plugin_slot`.
async fn counted(gateway: &Running, what: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line =
        page.text().lines().find(|line| line.starts_with(&format!("gateway_plugin_slot{what} ")));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

async fn waiting(gateway: &Running, requests: u64) {
    within(async {
        while counted(gateway, r#"s{plugin="limit",state="waiting"}"#).await != requests {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn nobody_holds(gateway: &Running) {
    within(async {
        while counted(gateway, r#"s{plugin="limit",state="held"}"#).await != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn ask(gateway: &Running, path: &'static str, fields: &'static [(&str, &str)]) -> Asked {
    let address = gateway.address;
    tokio::spawn(async move {
        Http1::connect(address).await.send(request("GET", path, fields, "")).await
    })
}

type Asked = tokio::task::JoinHandle<Answer>;

#[tokio::test]
async fn never_more_are_under_way_than_may_and_all_are_served() {
    let gpu = Gpu::start().await;
    let wide = |text: String| {
        text.replace("limit = 1\n", "limit = 8\n").replace("queue = 20", "queue = 400")
    };
    let gateway = setup(&gpu, wide).start();
    let mut asked = JoinSet::new();
    for _ in 0..300 {
        let address = gateway.address;
        asked.spawn(async move {
            let mut client = Http1::connect(address).await;
            client.send_within(client::get("/"), Duration::from_secs(60)).await.status()
        });
    }
    gpu.has(8).await;
    gpu.finish(300);
    let statuses = tokio::time::timeout(Duration::from_secs(120), asked.join_all()).await.unwrap();
    assert!(statuses.iter().all(|status| *status == 200));
    assert_eq!(gpu.most.load(SeqCst), 8);
    nobody_holds(&gateway).await;
    let taken = counted(&gateway, r#"_requests_total{plugin="limit",result="taken"}"#).await;
    let waited = counted(&gateway, r#"_requests_total{plugin="limit",result="waited"}"#).await;
    assert_eq!(taken + waited, 300);
    assert!(waited >= 8, "{waited}");
}

/// Sends a request that has the slot, ends it, and sees the one that waits served: one alone.
async fn ends(gateway: &Running, gpu: &Gpu, how: impl AsyncFnOnce(&Running, &Gpu)) {
    gpu.most.store(0, SeqCst);
    how(gateway, gpu).await;
    let next = [ask(gateway, "/next", &[]), ask(gateway, "/next", &[])];
    gpu.finish(2);
    for next in next {
        assert_eq!(within(next).await.unwrap().status(), 200);
    }
    assert_eq!(gpu.most.load(SeqCst), 1, "one slot was given twice");
    nobody_holds(gateway).await;
}

#[tokio::test]
async fn however_an_exchange_ends_its_slot_is_the_next_ones() {
    let gpu = Gpu::start().await;
    let gateway = setup(&gpu, |text| text).start();
    ends(&gateway, &gpu, async |_, _| {}).await;
    // The client goes before there is an answer.
    ends(&gateway, &gpu, async |gateway, gpu| {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        gpu.has(1).await;
        raw.reset();
        gpu.has(0).await;
    })
    .await;
    // One who waits goes, and the one behind it is served.
    ends(&gateway, &gpu, async |gateway, gpu| {
        let first = ask(gateway, "/", &[]);
        gpu.has(1).await;
        let mut raw = Raw::connect(gateway.address).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        waiting(gateway, 1).await;
        let third = ask(gateway, "/", &[]);
        waiting(gateway, 2).await;
        raw.reset();
        waiting(gateway, 1).await;
        gpu.finish(2);
        assert_eq!(within(first).await.unwrap().status(), 200);
        assert_eq!(within(third).await.unwrap().status(), 200);
    })
    .await;
    // Nobody takes the connection.
    ends(&gateway, &gpu, async |gateway, _| {
        assert_eq!(Http1::get(gateway.address, "/away").await.status(), 502);
    })
    .await;
    // A later plugin traps: before the upstream is asked, with its answer, and when all is over.
    for (hook, status) in [("request", 500), ("response", 500), ("complete", 200)] {
        ends(&gateway, &gpu, async |gateway, gpu| {
            let fields = [("x-panic", hook)];
            gpu.finish(usize::from(hook != "request"));
            let mut client = Http1::connect(gateway.address).await;
            let answer = client.send(request("GET", "/trap", &fields, "")).await;
            assert_eq!(answer.status(), status, "{hook}");
        })
        .await;
    }
    // The time of the route is over.
    ends(&gateway, &gpu, async |gateway, gpu| {
        assert_eq!(Http1::get(gateway.address, "/ends").await.status(), 504);
        gpu.has(0).await;
    })
    .await;
    // A stream is reset.
    ends(&gateway, &gpu, async |gateway, gpu| {
        let mut streams = Streams::connect(gateway.address).await;
        let (answer, mut sending) = streams.open("GET", "/", &[], false);
        gpu.has(1).await;
        sending.send_reset(h2::Reason::CANCEL);
        drop(answer);
        gpu.has(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_slot_is_held_until_the_last_byte_of_the_response() {
    let gpu = Gpu::start().await;
    // An upstream that sends half of its response, and the rest or nothing more when it is let.
    let let_go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&let_go);
    let halves = Upstream::script(move |mut stream| {
        let gate = Arc::clone(&gate);
        async move {
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let is_whole = head[..read].starts_with(b"GET /whole");
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234";
            let _may_be_gone = stream.write_all(half).await;
            let Ok(permit) = gate.acquire().await else { return };
            permit.forget();
            if is_whole {
                let _may_be_gone = stream.write_all(b"56789").await;
            }
        }
    })
    .await;
    let text = LIMITED.to_owned();
    let gateway = Setup::toml(&text, &[("GPU", &halves.address)]).workers(2).start();
    for path in ["/whole", "/broken"] {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        raw.read_until("01234").await;
        let next = ask(&gateway, "/whole", &[]);
        waiting(&gateway, 1).await;
        let_go.add_permits(2);
        assert_eq!(within(next).await.unwrap().status(), 200);
    }
    // The client goes in the middle.
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /whole HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("01234").await;
    let next = ask(&gateway, "/whole", &[]);
    waiting(&gateway, 1).await;
    raw.reset();
    // Its upstream may still be there to take one.
    let_go.add_permits(2);
    assert_eq!(within(next).await.unwrap().status(), 200);
    nobody_holds(&gateway).await;
    drop(gpu);
}

#[tokio::test]
async fn who_waits_is_served_by_priority_and_then_in_turns() {
    let gpu = Gpu::start().await;
    let gateway = setup(&gpu, |text| text).start();
    let first = ask(&gateway, "/first", &[]);
    gpu.has(1).await;
    let order: [(&'static str, &'static [(&str, &str)]); 5] = [
        ("/greedy-1", &[("x-consumer", "greedy")]),
        ("/greedy-2", &[("x-consumer", "greedy")]),
        ("/greedy-3", &[("x-consumer", "greedy")]),
        ("/modest", &[("x-consumer", "modest")]),
        ("/urgent", &[("x-consumer", "greedy"), ("x-priority", "5")]),
    ];
    let mut asked = vec![first];
    for (at, (path, fields)) in order.into_iter().enumerate() {
        asked.push(ask(&gateway, path, fields));
        waiting(&gateway, at as u64 + 1).await;
    }
    gpu.finish(6);
    for one in asked {
        assert_eq!(within(one).await.unwrap().status(), 200);
    }
    let served: Vec<_> =
        gpu.upstream.requests().iter().map(|request| request.uri.path().to_owned()).collect();
    assert_eq!(served, ["/first", "/urgent", "/greedy-1", "/modest", "/greedy-2", "/greedy-3"]);
}

/// A flood of one consumer, and urgent requests that never end, hold up neither a consumer of more weight nor the others.
#[tokio::test]
async fn who_waits_has_turns_by_weight_and_none_waits_for_ever() {
    let gpu = Gpu::start().await;
    let weighted = |text: String| {
        text.replace("queue = 20", "queue = 60")
            .replace("share =", "weight = { header = \"x-weight\" }\nshare =")
    };
    let gateway = setup(&gpu, weighted).start();
    let mut asked = vec![ask(&gateway, "/first", &[])];
    gpu.has(1).await;
    let mut waits = 0;
    let mut asks = async |path, fields: &'static [(&str, &str)], times| {
        for _ in 0..times {
            asked.push(ask(&gateway, path, fields));
            waits += 1;
            waiting(&gateway, waits).await;
        }
    };
    asks("/free", &[("x-consumer", "free")], 12).await;
    asks("/gold", &[("x-consumer", "gold"), ("x-weight", "3")], 9).await;
    asks("/urgent", &[("x-consumer", "urgent"), ("x-priority", "5")], 18).await;
    gpu.finish(40);
    for one in asked {
        assert_eq!(within(one).await.unwrap().status(), 200);
    }
    let served = gpu.upstream.requests();
    let served: Vec<_> = served.iter().map(|request| request.uri.path().to_owned()).collect();
    let before = |path: &str, until: usize| {
        served[1..=until].iter().filter(|served| *served == path).count()
    };
    assert_eq!(before("/urgent", 8), 8, "{served:?}");
    assert_eq!(before("/urgent", 20), 18, "two turns of twenty are others': {served:?}");
    let rest: Vec<_> = served[1..].iter().filter(|path| *path != "/urgent").collect();
    let gold = rest[..12].iter().filter(|path| **path == "/gold").count();
    assert_eq!(gold, 9, "three for one: {served:?}");
}

#[tokio::test]
async fn a_full_queue_and_an_old_place_are_refused_and_explained() {
    let gpu = Gpu::start().await;
    let short =
        |text: String| text.replace("queue = 20", "queue = 1").replace("\"30s\"", "\"300ms\"");
    let gateway = setup(&gpu, short).start();
    let first = ask(&gateway, "/", &[]);
    gpu.has(1).await;
    let late = ask(&gateway, "/late", &[]);
    waiting(&gateway, 1).await;
    let full = Http1::get(gateway.address, "/full").await;
    assert_eq!((full.status(), full.header("retry-after")), (429, Some("1")));
    let problem = full.problem();
    assert!(problem["detail"].as_str().unwrap().contains("as many requests wait as may"));
    assert_eq!(problem["violated-policies"], serde_json::json!(["gpu"]));
    let late = within(late).await.unwrap();
    assert_eq!(late.status(), 429);
    assert!(late.problem()["detail"].as_str().unwrap().contains("None was free in time."));
    assert_eq!(gpu.upstream.requests().len(), 1, "neither came to the upstream");
    // Where the time went is told.
    let waits: Answer = {
        let waits = ask(&gateway, "/waits", &[]);
        waiting(&gateway, 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        gpu.finish(2);
        assert_eq!(within(first).await.unwrap().status(), 200);
        within(waits).await.unwrap()
    };
    for (answer, sentence) in [
        (&waits, "waiting for a slot of the plugin `limit`"),
        (&late, "refused by the plugin `limit` while it waited for a slot with 429"),
    ] {
        let path = format!("/requests/{}", answer.id());
        let record = Http1::admin(gateway.admin.unwrap(), &path).await;
        let record: serde_json::Value = serde_json::from_str(record.text()).unwrap();
        let explained = record["explanation"].as_str().unwrap();
        assert!(explained.contains(sentence), "{explained}");
        let hooks = record["hooks"].as_array().unwrap();
        let slot = hooks.iter().find(|hook| hook["hook"] == "slot").unwrap();
        assert_eq!(slot["how"], "waited");
        assert!(slot["took_ns"].as_u64().unwrap() >= 40_000_000, "{slot}");
    }
    for (result, count) in [("taken", 1), ("waited", 1), ("full", 1), ("late", 1), ("left", 0)] {
        let what = format!(r#"_requests_total{{plugin="limit",result="{result}"}}"#);
        assert_eq!(counted(&gateway, &what).await, count, "{result}");
    }
}

#[tokio::test]
async fn who_waits_holds_no_instance() {
    let gpu = Gpu::start().await;
    let one = |text: String| {
        text.replace(
            "limits = { deadline = \"1s\" }",
            "limits = { deadline = \"1s\", instances = 1 }",
        )
    };
    let gateway = setup(&gpu, one).start();
    let asked: Vec<_> = (0..10).map(|_| ask(&gateway, "/", &[])).collect();
    waiting(&gateway, 9).await;
    // The same plugin has time for others: they wait as well, and are refused by none of it.
    gpu.finish(10);
    for one in asked {
        assert_eq!(within(one).await.unwrap().status(), 200);
    }
}
