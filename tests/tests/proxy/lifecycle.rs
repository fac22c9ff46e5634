//! Start, reload and end.

use std::net::TcpListener;
use std::sync::Arc;

use gateway::{BindError, Gateway, ReloadError};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Http2, Raw, Setup, Upstream, client, listener, log, route, until};
use http::Response;
use tokio::net::TcpStream;
use tokio::sync::Notify;

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

#[tokio::test]
async fn refuses_a_reload_with_other_listeners() {
    let gateway = Setup::new().route(route("/")).start();
    let mut other = Setup::new();
    other.config.listeners.push(listener("second"));
    assert!(matches!(gateway.handle.reload(other.config), Err(ReloadError::Listeners)));
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
}
