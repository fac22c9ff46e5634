//! Connections that are kept: how many, for how long, and until their target is silent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use gateway_tests::client::get;
use gateway_tests::streams::{self, Streams};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Upstream, until};
use http::Response;
use tokio::sync::Barrier;

use super::{at, example, failed, ms};

/// Answers three requests of `/orders/all` when all of them are there, and others at once.
async fn meeting() -> Upstream {
    let all = Arc::new(Barrier::new(3));
    Upstream::http1(move |request| {
        let all = Arc::clone(&all);
        async move {
            if request.uri().path() == "/orders/all" {
                all.wait().await;
            }
            Response::new(full("here"))
        }
    })
    .await
}

async fn ask(gateway: &Running, path: &str) {
    assert_eq!(Http1::get(gateway.address, path).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_kept_for_so_long() {
    let orders = meeting().await;
    let mut setup = example("How many, and for how long", &[("10.0.0.1:9000", &at(&orders))]);
    let upstream = &mut setup.config.upstreams[0];
    assert_eq!((upstream.idle_connections, upstream.idle_timeout), (16, Duration::from_secs(30)));
    (upstream.idle_connections, upstream.idle_timeout) = (1, Duration::from_secs(1));
    let gateway = setup.start();
    let three = || join_all((0..3).map(|_| ask(&gateway, "/orders/all")));
    three().await;
    assert_eq!(orders.connections(), 3);
    ask(&gateway, "/orders/one").await;
    assert_eq!(orders.connections(), 3, "one is kept");
    three().await;
    assert_eq!(orders.connections(), 5, "and no other");
    tokio::time::sleep(ms(1_100)).await;
    ask(&gateway, "/orders/one").await;
    assert_eq!(orders.connections(), 6, "its time is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_old_takes_no_further_request() {
    let orders = meeting().await;
    let mut setup = example("How many, and for how long", &[("10.0.0.1:9000", &at(&orders))]);
    let upstream = &mut setup.config.upstreams[0];
    assert_eq!(upstream.max_age, Duration::from_secs(600));
    upstream.max_age = ms(400);
    let gateway = setup.start();
    let mut client = Http1::connect(gateway.address).await;
    let began = Instant::now();
    while orders.connections() < 2 {
        assert_eq!(client.send(get("/orders/one")).await.status(), 200);
        tokio::time::sleep(ms(5)).await;
    }
    // Though it was never idle for long, and up to a tenth earlier.
    assert!(began.elapsed() >= ms(360), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_fail_soon_where_their_target_is_silent() {
    let chat = Upstream::script(|stream| async move {
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        let Some(Ok((_, mut reply))) = connection.accept().await else { return };
        let mut body = reply.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"begun"), false).unwrap();
        // Sends that, and reads nothing from then on.
        let _none = tokio::time::timeout(ms(50), connection.accept()).await;
        tokio::time::sleep(gateway_tests::PATIENCE).await;
    })
    .await;
    let mut setup = example("Targets that fall silent", &[("10.0.0.1:9000", &at(&chat))]);
    let upstream = &mut setup.config.upstreams[0];
    let (ping, answer) = (Duration::from_secs(5), Duration::from_secs(2));
    assert_eq!((upstream.ping, upstream.ping_timeout), (ping, answer));
    (upstream.ping, upstream.ping_timeout) = (ms(100), ms(100));
    let gateway = setup.start();
    let mut client = Streams::connect(gateway.address).await;
    let heads = client.get("/chat/1").await;
    assert!(streams::read(&mut heads.response.into_body()).await.is_err());
    until(|| chat.connections() == 1).await;
    assert_eq!(failed(&gateway, "chat", "broken-response").await, 1);
}
