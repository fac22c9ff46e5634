//! Responses that are read to their end though their clients have left, and slots that an exchange gives back before
//! it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use gateway_tests::client::{self, request};
use gateway_tests::streams::{self, Streams};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Raw, Running, Setup, Upstream, log, until, within};
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

const PIECES: usize = 5;

/// An upstream that sends a head when it is let, then a piece each time; it knows who hung up.
struct Service {
    upstream: Upstream,
    gate: Arc<Semaphore>,
    hung_up: Arc<AtomicUsize>,
}

impl Service {
    async fn start() -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let hung_up = Arc::new(AtomicUsize::new(0));
        let shared = (Arc::clone(&gate), Arc::clone(&hung_up));
        let upstream = Upstream::script(move |mut stream| {
            let (gate, hung_up) = shared.clone();
            async move {
                let mut head = [0; 2048];
                if stream.read(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
                let mut pieces = vec![format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
                    7 * PIECES
                )];
                pieces.extend((0..PIECES).map(|piece| format!("piece {piece}")));
                for piece in pieces {
                    let mut more = [0; 1];
                    tokio::select! {
                        permit = gate.acquire() => permit.unwrap().forget(),
                        // Nothing comes but the end.
                        _end = stream.read(&mut more) => {
                            hung_up.fetch_add(1, SeqCst);
                            return;
                        }
                    }
                    if stream.write_all(piece.as_bytes()).await.is_err() {
                        hung_up.fetch_add(1, SeqCst);
                        return;
                    }
                }
            }
        })
        .await;
        Self { upstream, gate, hung_up }
    }

    fn lets(&self, pieces: usize) {
        self.gate.add_permits(pieces);
    }

    fn hung_up(&self) -> usize {
        self.hung_up.load(SeqCst)
    }
}

fn serve(name: &str, to: &[SocketAddr], config: &str) -> Running {
    let tables: String = (0..to.len())
        .map(|it| format!("[upstreams.{name}-{it}]\ntargets = [\"http://{}\"]\n", to[it]))
        .collect();
    let next: Vec<_> = (1..to.len()).map(|it| format!("{name}-{it}")).collect();
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n{tables}\
         [plugins.{name}]\ncomponent = \"./drains.wasm\"\ngrants = [\"attempts\", \"slots\"]\n\
         forward_to = {next:?}\nconfig = {{ {config}, upstreams = {next:?} }}\n\
         [[routes]]\nname = \"{name}\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"{name}\"]\n\
         upstream = \"{name}-0\"\n"
    );
    let mut setup = Setup::toml(&text, &[]).workers(1);
    setup.config.process.shutdown_grace = Duration::from_millis(500);
    setup.start()
}

/// A metric of the drains, by the words behind `gateway_plugin_drains`.
async fn drains(gateway: &Running, name: &str, result: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let series = match result {
        "" => format!("gateway_plugin_drains{{plugin=\"{name}\"}} "),
        result => format!("gateway_plugin_drains_total{{plugin=\"{name}\",result=\"{result}\"}} "),
    };
    let line = page.text().lines().find(|line| line.starts_with(&series));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

async fn has_drained(gateway: &Running, name: &str, result: &str, count: u64) {
    within(async {
        while drains(gateway, name, result).await != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// How exchanges of the plugin ended, as it said.
fn ended(name: &str) -> Vec<String> {
    let lines = log::of_plugin(name).into_iter().map(|line| line.message);
    lines.filter(|line| line.starts_with("ended: ")).collect()
}

async fn begins(gateway: &Running) -> Raw {
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw
}

const WELL: &str = "bytes = 1048576, time_ms = 20000, places = 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_read_to_its_end_and_its_slot_is_held_until_then() {
    let service = Service::start().await;
    let gateway = serve("well", &[service.upstream.address], WELL);
    // In the middle of the body.
    let mut raw = begins(&gateway).await;
    service.lets(3);
    raw.read_until("piece 1").await;
    raw.reset();
    has_drained(&gateway, "well", "", 1).await;
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 503);
    service.lets(PIECES - 2);
    until(|| ended("well").len() == 2).await;
    // One was refused; the other saw all there was.
    assert!(ended("well").contains(&"ended: ClientLeft 35 true".to_owned()), "{:?}", ended("well"));
    has_drained(&gateway, "well", "complete", 1).await;
    assert_eq!((drains(&gateway, "well", "").await, service.hung_up()), (0, 0));
    // Before there is a head, and over HTTP/2.
    let raw = begins(&gateway).await;
    until(|| service.upstream.connections() == 2).await;
    raw.reset();
    has_drained(&gateway, "well", "", 1).await;
    service.lets(PIECES + 1);
    has_drained(&gateway, "well", "complete", 2).await;
    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, mut sending) = client.open("GET", "/", &[], false);
    service.lets(2);
    let mut body = streams::heads(&mut answer).await.unwrap().response.into_body();
    assert_eq!(within(body.data()).await.unwrap().unwrap(), "piece 0");
    sending.send_reset(h2::Reason::CANCEL);
    drop((answer, body));
    has_drained(&gateway, "well", "", 1).await;
    service.lets(PIECES - 1);
    has_drained(&gateway, "well", "complete", 3).await;
    assert_eq!(service.hung_up(), 0);
    until(|| ended("well").len() == 4).await;
    let whole = ended("well").iter().filter(|it| *it == "ended: ClientLeft 35 true").count();
    assert_eq!(whole, 3, "{:?}", ended("well"));
    // And who stays has it as ever.
    service.lets(PIECES + 1);
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!((answer.status(), answer.body.len()), (200, 7 * PIECES));
    until(|| ended("well").contains(&"ended: Complete 35 true".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_time_are_bounds_and_nothing_is_read_unasked() {
    let service = Service::start().await;
    for (name, config, result) in [
        ("few", "bytes = 10, time_ms = 20000, places = 1", "bytes"),
        ("brief", "bytes = 1048576, time_ms = 60, places = 1", "time"),
        ("never", "bytes = 0, time_ms = 20000, places = 1", "never"),
    ] {
        let gateway = serve(name, &[service.upstream.address], config);
        let before = service.hung_up();
        let mut raw = begins(&gateway).await;
        service.lets(2);
        raw.read_until("piece 0").await;
        raw.reset();
        if name == "few" {
            has_drained(&gateway, name, "", 1).await;
            service.lets(2);
        }
        until(|| service.hung_up() == before + 1).await;
        until(|| ended(name).len() == 1).await;
        if name == "never" {
            let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
            assert!(!page.text().contains("gateway_plugin_drains"));
        } else {
            assert_eq!(drains(&gateway, name, result).await, 1, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_attempt_is_made_for_a_client_that_has_left() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let first = Upstream::http1(move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.acquire().await.unwrap().forget();
            Response::builder().status(503).body(full("busy")).unwrap()
        }
    })
    .await;
    let second = Upstream::http1(|_| async { Response::new(full("second")) }).await;
    let gateway = serve("alone", &[first.address, second.address], WELL);
    let raw = begins(&gateway).await;
    until(|| first.requests().len() == 1).await;
    raw.reset();
    has_drained(&gateway, "alone", "", 1).await;
    gate.add_permits(1);
    until(|| ended("alone").len() == 1).await;
    assert!(second.requests().is_empty());
    // With its client there, the second one answers.
    gate.add_permits(1);
    assert_eq!(Http1::get(gateway.address, "/").await.text(), "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_ends_waits_for_what_it_reads_within_its_grace() {
    let service = Service::start().await;
    for (name, is_served) in [("patient", true), ("ending", false)] {
        let mut gateway = serve(name, &[service.upstream.address], WELL);
        let mut raw = begins(&gateway).await;
        service.lets(2);
        raw.read_until("piece 0").await;
        raw.reset();
        has_drained(&gateway, name, "", 1).await;
        let began = Instant::now();
        gateway.stop();
        if is_served {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!gateway.has_ended());
            service.lets(PIECES - 1);
        }
        until(|| ended(name).len() == 1).await;
        within(tokio::task::spawn_blocking(move || drop(gateway))).await.unwrap();
        let bytes = if is_served { 7 * PIECES } else { 7 };
        assert_eq!(ended(name), [format!("ended: ClientLeft {bytes} true")]);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_given_back_when_another_upstream_is_asked() {
    let first =
        Upstream::http1(|_| async { Response::builder().status(503).body(full("busy")).unwrap() })
            .await;
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let second = Upstream::http1(move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.acquire().await.unwrap().forget();
            Response::new(full("second"))
        }
    })
    .await;
    let gateway = serve("slots", &[first.address, second.address], WELL);
    let address = gateway.address;
    let waiting: tokio::task::JoinHandle<Answer> = tokio::spawn(async move {
        Http1::connect(address).await.send(request("GET", "/", &[], "")).await
    });
    until(|| second.requests().len() == 1).await;
    // The first one's slot is free, the second one's is not.
    let answer = Http1::connect(address).await.send(client::get("/")).await;
    assert_eq!((answer.status(), first.requests().len()), (503, 2));
    assert_eq!(answer.problem()["detail"], "The second is in use.");
    gate.add_permits(1);
    assert_eq!(within(waiting).await.unwrap().text(), "second");
    gate.add_permits(1);
    assert_eq!(Http1::get(address, "/").await.text(), "second");
}
