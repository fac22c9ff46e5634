//! Start, reload and end.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway::config::{Action, ListenerId};
use gateway::{BindError, Gateway, ReloadError};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Http2, Raw, Setup, Upstream, client, listener, log, route, until};
use http::Response;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::workers::{Kept, KeptTwo};

#[tokio::test]
async fn names_the_listener_whose_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut setup = Setup::new();
    let mut second = listener("second");
    second.address = taken.local_addr().unwrap();
    setup.config.listeners.push(second);
    let errors = Gateway::bind(setup.config).unwrap_err();
    assert!(matches!(&errors[..], [BindError::Listen { name, .. }] if name == "second"));
    assert!(errors[0].to_string().contains("ddress already in use"), "{errors:?}");
}

#[tokio::test]
async fn spreads_connections_over_its_workers() {
    let mut setup = Setup::new().route(route("/"));
    setup.config.process.workers = 3;
    let gateway = setup.start();
    for _ in 0..50 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
}

/// An upstream that answers when it is told to.
async fn slow() -> (Upstream, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let upstream = Upstream::http1(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Response::new(full("late"))
        }
    })
    .await;
    (upstream, go)
}

#[tokio::test]
async fn finishes_what_is_open_before_it_ends() {
    let (upstream, go) = slow().await;
    let mut setup = Setup::proxy(upstream.address);
    setup.config.process.shutdown_grace = gateway_tests::PATIENCE;
    let mut gateway = setup.start();
    let mut idle = Raw::connect(gateway.address).await;
    idle.send("GET /%zz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    idle.response().await;
    // Long enough for it to rest.
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
    let mut one = Raw::connect(gateway.address).await;
    one.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut two = Http2::connect(gateway.address).await;
    let mut other = two.clone();
    let streamed = tokio::spawn(async move { other.send(client::get2("/")).await });
    until(|| upstream.requests().len() == 2).await;
    gateway.stop();
    assert_eq!(idle.rest().await, "");
    assert!(!gateway.has_ended());
    go.notify_waiters();
    let response = one.response().await;
    assert_eq!((response.body.as_str(), response.header("connection")), ("late", Some("close")));
    assert_eq!(streamed.await.unwrap().body, "late");
    until(|| gateway.has_ended()).await;
    assert!(two.0.ready().await.is_err());
    assert!(TcpStream::connect(gateway.address).await.is_err());
}

#[tokio::test]
async fn cuts_what_is_still_open_after_the_grace() {
    let (upstream, _never) = slow().await;
    let mut setup = Setup::proxy(upstream.address);
    setup.config.process.shutdown_grace = std::time::Duration::from_millis(100);
    let mut gateway = setup.start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| upstream.requests().len() == 1).await;
    gateway.stop();
    until(|| gateway.has_ended()).await;
    assert_eq!(raw.rest().await, "");
}

const NOTED: &str = r#"
[plugins.last]
component = "./tagger.wasm"
config = { name = "last" }

[upstreams.slow]
targets = ["http://${env:SLOW}"]

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["last"]
upstream = "slow"
"#;

#[tokio::test]
async fn plugins_hear_of_exchanges_that_are_cut_at_the_end() {
    let (upstream, _never) = slow().await;
    let mut gateway = Setup::toml(NOTED, &[("SLOW", &upstream.address)]).start();
    let mut one = Raw::connect(gateway.address).await;
    one.send("GET /cut-one HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut two = Http2::connect(gateway.address).await;
    let streamed = tokio::spawn(async move { two.0.send_request(client::get2("/cut-two")).await });
    until(|| upstream.requests().len() == 2).await;
    gateway.stop();
    until(|| gateway.has_ended()).await;
    drop(streamed);
    let ended = log::lines(|line| line.message.starts_with("last saw the end: GatewayFailed"));
    assert_eq!(ended.len(), 2, "{ended:?}");
}

#[tokio::test]
async fn reloads_without_touching_what_is_open() {
    let (upstream, go) = slow().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut open = Raw::connect(gateway.address).await;
    open.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| upstream.requests().len() == 1).await;
    let next = Setup::new().route(route("/{*rest}")).config;
    gateway.handle.reload(next).unwrap();
    // Every worker has it then.
    for _ in 0..10 {
        assert_eq!(Http1::get(gateway.address, "/").await.body, "/{*rest}");
    }
    go.notify_waiters();
    assert_eq!(open.response().await.body, "late");
    open.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(open.response().await.body, "/{*rest}");
}

/// A gateway whose listeners are these, all on ports that the system chooses, with a route for each
/// that answers with its name.
fn named(names: &[&str]) -> Setup {
    let mut setup = Setup::new();
    setup.config.listeners = names.iter().map(|name| listener(name)).collect();
    for (index, name) in names.iter().enumerate() {
        let mut route = route("/name");
        route.name = (*name).to_owned();
        route.listeners = vec![ListenerId(index)];
        if let Action::Respond(answer) = &mut route.action {
            answer.body = Bytes::copy_from_slice(name.as_bytes());
        }
        setup.config.routes.push(route);
    }
    setup
}

#[tokio::test]
async fn listeners_come_and_go_with_a_reload_and_the_others_keep_their_connections() {
    let gateway = named(&["public", "old"]).start();
    let at = |name: &str| gateway.handle.local_addresses()[name];
    let ask = "GET /name HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut kept = Raw::connect(gateway.address).await;
    kept.send(ask).await;
    assert_eq!(kept.response().await.body, "public");
    let old = at("old");
    let mut idle = Raw::connect(old).await;
    idle.send(ask).await;
    assert_eq!(idle.response().await.body, "old");
    // The place of a listener in the file means nothing.
    let next = named(&["new", "public"]);
    gateway.handle.reload(next.config).unwrap();
    assert_eq!(at("public"), gateway.address);
    kept.send(ask).await;
    let answer = kept.response().await;
    assert_eq!((&*answer.body, answer.header("connection")), ("public", None));
    assert_eq!(Http1::get(at("new"), "/name").await.body, "new");
    assert_eq!(Http1::get(gateway.address, "/name").await.body, "public");
    assert_eq!(idle.rest().await, "");
    until(|| std::net::TcpStream::connect(old).is_err()).await;
    // And back again, on a connection of before.
    let next = named(&["public", "old"]);
    gateway.handle.reload(next.config).unwrap();
    kept.send(ask).await;
    assert_eq!(kept.response().await.body, "public");
    assert_eq!(Http1::get(at("old"), "/name").await.body, "old");
}

#[tokio::test]
async fn a_listener_that_goes_finishes_what_is_open() {
    let (upstream, go) = slow().await;
    let mut setup = Setup::proxy(upstream.address);
    setup.config.listeners.push(listener("old"));
    setup.config.routes[0].listeners = vec![ListenerId(0), ListenerId(1)];
    let gateway = setup.start();
    let old = gateway.handle.local_addresses()["old"];
    let mut open = Raw::connect(old).await;
    open.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut two = Http2::connect(old).await;
    let mut other = two.clone();
    let streamed = tokio::spawn(async move { other.send(client::get2("/")).await });
    until(|| upstream.requests().len() == 2).await;
    let mut next = Setup::new().route(route("/"));
    next.config.process.shutdown_grace = gateway_tests::PATIENCE;
    gateway.handle.reload(next.config).unwrap();
    until(|| std::net::TcpStream::connect(old).is_err()).await;
    go.notify_waiters();
    let answer = open.response().await;
    assert_eq!((&*answer.body, answer.header("connection")), ("late", Some("close")));
    assert_eq!(streamed.await.unwrap().body, "late");
    assert!(two.0.ready().await.is_err());
}

#[tokio::test]
async fn what_is_open_on_a_listener_that_goes_is_cut_after_the_grace() {
    let (upstream, _never) = slow().await;
    let mut setup = Setup::proxy(upstream.address);
    setup.config.listeners.push(listener("old"));
    setup.config.routes[0].listeners = vec![ListenerId(1)];
    let gateway = setup.start();
    let mut open = Raw::connect(gateway.handle.local_addresses()["old"]).await;
    open.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| upstream.requests().len() == 1).await;
    let next = Setup::new().route(route("/"));
    gateway.handle.reload(next.config).unwrap();
    assert_eq!(open.rest().await, "");
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
}

#[tokio::test]
async fn an_address_that_is_taken_refuses_the_whole_reload() {
    let gateway = named(&["public"]).start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut next = named(&["public", "second", "third"]);
    next.config.listeners[2].address = taken.local_addr().unwrap();
    let refused = gateway.handle.reload(next.config).unwrap_err();
    let ReloadError::Refused(errors) = refused else { panic!("{refused}") };
    assert!(matches!(&errors[..], [BindError::Listen { name, .. }] if name == "third"));
    assert_eq!(gateway.handle.local_addresses().len(), 1);
    assert_eq!(Http1::get(gateway.address, "/name").await.body, "public");
    // Nothing of it is left: the same without the fault is taken.
    let next = named(&["public", "second"]);
    gateway.handle.reload(next.config).unwrap();
    let second = gateway.handle.local_addresses()["second"];
    assert_eq!(Http1::get(second, "/name").await.body, "second");
}

/// An address that nobody has at the moment.
fn free() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn the_admin_api_moves_with_a_reload() {
    let text = |admin: &str| {
        format!(
            "{admin}\n[[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = {{ status = 200 }}\n"
        )
    };
    let at = |address| text(&format!("[admin]\naddress = \"{address}\"\n"));
    let (first, second) = (free(), free());
    let gateway = Setup::toml(&at(first), &[]).start();
    assert_eq!(Http1::admin(first, "/healthz").await.status(), 200);
    gateway.handle.reload(Setup::toml(&at(second), &[]).config).unwrap();
    until(|| std::net::TcpStream::connect(first).is_err()).await;
    let page = Http1::admin(second, "/metrics").await.text().to_owned();
    assert!(page.contains("gateway_config_reloads_total{result=\"in_force\"} 1"), "{page}");
    gateway.handle.reload(Setup::toml(&text(""), &[]).config).unwrap();
    until(|| std::net::TcpStream::connect(second).is_err()).await;
    gateway.handle.reload(Setup::toml(&at(first), &[]).config).unwrap();
    assert_eq!(Http1::admin(first, "/healthz").await.status(), 200);
}

/// A service that sends an event every few milliseconds, each with its number, echoes what comes over a
/// connection that was upgraded, and answers all else.
pub(super) async fn streaming() -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async |mut stream: TcpStream| -> std::io::Result<()> {
        let mut read = Vec::new();
        loop {
            let mut chunk = [0; 4_096];
            let length = stream.read(&mut chunk).await?;
            if length == 0 {
                return Ok(());
            }
            read.extend_from_slice(&chunk[..length]);
            let Some(end) = read.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            read.drain(..end + 4);
            if head.contains("upgrade: echo") {
                let head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
                stream.write_all(head).await?;
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await?;
                return Ok(());
            }
            if head.starts_with("get /events") {
                let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head).await?;
                for number in 0_u64.. {
                    let event = format!("data: {number:08}\n\n");
                    stream
                        .write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
                        .await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { drop(serve(stream).await) });
        }
    });
    address
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// 30 reloads, or 200 with `GATEWAY_TEST_LONG=1`, of which each opens or ends a listener, and has another number of
/// workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_lose_nothing() {
    let upstream = streaming().await;
    let is_long = std::env::var_os("GATEWAY_TEST_LONG").is_some();
    let reloads = if is_long { 200 } else { 30 };
    let setup = |number: usize| {
        let mut setup = Setup::proxy(upstream).workers([2, 4, 1, 3][number % 4]);
        if number % 2 == 1 {
            // In front, so that places change too.
            setup.config.listeners.insert(0, listener("extra"));
            setup.config.routes[0].listeners = vec![ListenerId(0), ListenerId(1)];
        }
        setup
    };
    let gateway = setup(0).start();
    let address = gateway.address;
    let over = Arc::new(AtomicBool::new(false));
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..3 {
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
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let mut count = 0_u64;
                let mut kept = Kept::new(address);
                let mut two = KeptTwo::connect(address).await;
                while !over.load(Ordering::Relaxed) {
                    match number {
                        0 | 1 => assert_eq!(kept.get("/").await.status(), 200),
                        2 => assert_eq!(two.get("/").await, 200),
                        _ => assert_eq!(Http1::get(address, "/").await.status(), 200),
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut memory = 0;
    for number in 1..=reloads {
        let (handle, next) = (gateway.handle.clone(), setup(number).config);
        tokio::task::spawn_blocking(move || handle.reload(next)).await.unwrap().unwrap();
        if number % 2 == 1 {
            let extra = gateway.handle.local_addresses()["extra"];
            assert_eq!(Http1::get(extra, "/").await.status(), 200);
        }
        for (index, socket) in sockets.iter_mut().enumerate() {
            let text = format!("<{number}-{index}>");
            socket.send(&text).await;
            socket.read_until(&text).await;
        }
        if number == reloads / 4 {
            memory = resident();
        }
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
    for stream in &mut streams {
        // All events from the first to one that was sent after the last reload.
        let so_far = stream.peek().matches("data: ").count();
        let seen = stream.read_until(&format!("data: {:08}\n", so_far + 2)).await;
        let numbers = seen.lines().filter_map(|line| line.strip_prefix("data: "));
        let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
        let expected: Vec<u64> = (0..numbers.len() as u64).collect();
        assert_eq!(numbers, expected);
    }
    let grown = resident().saturating_sub(memory);
    println!("{reloads} reloads: {grown} KiB more since the first quarter");
    // Beside other tests it is not known whose memory it is.
    assert!(!is_long || grown < 16 << 10, "{grown} KiB more");
}

#[tokio::test]
async fn tunnels_go_on_within_the_grace_and_a_second_end_cuts_them() {
    let upstream = streaming().await;
    let mut setup = Setup::proxy(upstream);
    setup.config.process.shutdown_grace = gateway_tests::PATIENCE;
    let mut gateway = setup.start();
    let mut socket = Raw::connect(gateway.address).await;
    socket
        .send("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    assert_eq!(socket.head().await.status, 101);
    let address = gateway.address;
    gateway.stop();
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    socket.send("still").await;
    socket.read_until("still").await;
    assert!(!gateway.has_ended());
    gateway.handle.end_now();
    until(|| gateway.has_ended()).await;
    assert_eq!(socket.rest().await, "");
}
