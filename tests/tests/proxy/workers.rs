//! Workers that are added and that leave with a reload.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::client::{Answer, get, get2};
use gateway_tests::{Http1, Http2, Raw, Running, Setup, until};
use http_body_util::BodyExt as _;

use super::lifecycle::streaming;

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.service]
targets = ["http://${env:SERVICE}"]

[[routes]]
name = "all"
paths = ["/{*rest}"]
upstream = "service"
"#;

/// A client over HTTP/1.1 that keeps its connection until a response says that it ends.
pub(super) struct Kept {
    address: SocketAddr,
    open: Option<Http1>,
    /// How often a response was the last of its connection.
    pub(super) ended: usize,
}

impl Kept {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, open: None, ended: 0 }
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Http1::connect(self.address).await,
        };
        let answer = open.send(get(path)).await;
        match answer.header("connection") {
            None => self.open = Some(open),
            Some(said) => {
                assert_eq!(said, "close");
                self.ended += 1;
            }
        }
        answer
    }
}

/// The same over HTTP/2: a request that its own side does not send, since the other has said that it goes, is sent on
/// a new connection.
pub(super) struct KeptTwo {
    address: SocketAddr,
    open: Http2,
}

impl KeptTwo {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self { address, open: Http2::connect(address).await }
    }

    /// The status.
    pub(super) async fn get(&mut self, path: &str) -> u16 {
        loop {
            let answer = match self.open.0.ready().await {
                Ok(()) => self.open.0.send_request(get2(path)).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    answer.into_body().collect().await.unwrap();
                    return status;
                }
                Err(error) if error.is_canceled() || error.is_closed() => {
                    self.open = Http2::connect(self.address).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

async fn run(workers: usize) -> (Running, impl AsyncFn(usize) + use<>) {
    let service = streaming().await;
    let setup = move |workers| Setup::toml(TEXT, &[("SERVICE", &service)]).workers(workers);
    let gateway = setup(workers).start();
    // It runs.
    running(&gateway).await;
    let handle = gateway.handle.clone();
    let reload = async move |workers| {
        let (handle, next) = (handle.clone(), setup(workers).config);
        tokio::task::spawn_blocking(move || handle.reload(next)).await.unwrap().unwrap();
    };
    (gateway, reload)
}

/// How many workers run, those that leave too.
async fn running(gateway: &Running) -> usize {
    let version = Http1::admin(gateway.admin.unwrap(), "/version").await;
    let version: serde_json::Value = serde_json::from_str(version.text()).unwrap();
    version["workers"].as_u64().unwrap() as usize
}

async fn until_running(gateway: &Running, count: usize) {
    let began = std::time::Instant::now();
    while running(gateway).await != count {
        assert!(began.elapsed() < gateway_tests::PATIENCE, "{} run", running(gateway).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many requests were answered, on whichever worker.
async fn requests(gateway: &Running) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line = page.text().lines().find(|line| {
        line.starts_with("gateway_requests_total{") && line.contains("status=\"200\"")
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_are_added_and_those_that_leave_end_with_their_last_connection() {
    let (gateway, reload) = run(1).await;
    let address = gateway.address;
    reload(4).await;
    assert_eq!(running(&gateway).await, 4);
    let mut kept: Vec<_> = (0..24).map(|_| Kept::new(address)).collect();
    for client in &mut kept {
        assert_eq!(client.get("/").await.status(), 200);
    }
    // Nothing that rests is closed: each of them says with its next response that it is the last.
    reload(1).await;
    for client in &mut kept {
        assert_eq!(client.get("/").await.status(), 200);
    }
    let ended: usize = kept.iter().map(|it| it.ended).sum();
    assert!((1..24).contains(&ended), "{ended} of 24 were on another worker than the first");
    until_running(&gateway, 1).await;
    // All that are left are the first worker's, and so is what is opened now, wherever the system queues it.
    for client in &mut kept {
        assert_eq!(client.get("/").await.status(), 200);
    }
    assert_eq!(kept.iter().map(|it| it.ended).sum::<usize>(), ended);
    for _ in 0..40 {
        assert_eq!(Http1::get(address, "/").await.status(), 200);
    }
    assert_eq!(requests(&gateway).await, 3 * 24 + 40, "those of workers that are gone count on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_leaves_keeps_its_streams_and_comes_back_before_another_begins() {
    let (gateway, reload) = run(3).await;
    let address = gateway.address;
    let (mut sockets, mut streams) = (Vec::new(), Vec::new());
    let began = std::time::Instant::now();
    for _ in 0..12 {
        let mut socket = Raw::connect(address).await;
        socket
            .send("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            .await;
        assert_eq!(socket.head().await.status, 101);
        sockets.push(socket);
        let mut stream = Raw::connect(address).await;
        stream.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(stream.head().await.status, 200);
        streams.push(stream);
    }
    for (step, workers) in [1, 2, 1, 3, 2, 1].into_iter().enumerate() {
        reload(workers).await;
        assert_eq!(running(&gateway).await, 3, "none begins while one leaves");
        for (index, socket) in sockets.iter_mut().enumerate() {
            let text = format!("<{step}-{index}>");
            socket.send(&text).await;
            socket.read_until(&text).await;
        }
        // One that cannot have been sent before: there are 20 ms at least between two.
        let next = began.elapsed().as_millis() / 20 + 1;
        for stream in &mut streams {
            stream.read_until(&format!("data: {next:08}\n")).await;
        }
        assert_eq!(Http1::get(address, "/").await.status(), 200);
    }
    drop((sockets, streams));
    until_running(&gateway, 1).await;
    reload(2).await;
    assert_eq!(running(&gateway).await, 2);
    assert_eq!(Http1::get(address, "/").await.status(), 200);
}

#[tokio::test]
async fn the_end_of_the_process_is_that_of_workers_that_leave_too() {
    let (mut gateway, reload) = run(2).await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let mut socket = Raw::connect(gateway.address).await;
        socket
            .send("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            .await;
        assert_eq!(socket.head().await.status, 101);
        sockets.push(socket);
    }
    reload(1).await;
    assert_eq!(running(&gateway).await, 2);
    gateway.stop();
    until(|| gateway.has_ended()).await;
    for socket in &mut sockets {
        assert_eq!(socket.rest().await, "");
    }
}
