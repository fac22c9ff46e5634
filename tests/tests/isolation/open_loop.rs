//! A load that does not wait for answers: requests fall due at a fixed rate, and each is timed from
//! when it was due, so that a gateway that falls behind cannot hide it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway_tests::upstream::BoxBody;
use gateway_tests::{Answer, Http1};
use http::Request;
use tokio::time::{Instant, sleep_until};

/// Connections. More requests than these at once are late, which counts.
const CONNECTIONS: usize = 64;

/// An answer, and how long it took from when its request was due.
pub(crate) struct Timed {
    pub(crate) index: u32,
    pub(crate) answer: Answer,
    pub(crate) latency: Duration,
}

/// Sends as many requests at this rate, each made of its index. All answers, and the rate that was
/// held.
pub(crate) async fn send(
    address: SocketAddr,
    count: u32,
    rate: u32,
    request: fn(u32) -> Request<BoxBody>,
) -> (Vec<Timed>, f64) {
    let next = Arc::new(AtomicU32::new(0));
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Http1::connect(address).await);
    }
    let began = Instant::now();
    let send = |mut client: Http1| {
        let next = Arc::clone(&next);
        async move {
            let mut timed = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return timed;
                }
                let due = began + Duration::from_secs(1) * index / rate;
                sleep_until(due).await;
                let answer = client.send(request(index)).await;
                timed.push(Timed { index, answer, latency: due.elapsed() });
            }
        }
    };
    let sending: Vec<_> = clients.into_iter().map(|client| tokio::spawn(send(client))).collect();
    let mut all = Vec::new();
    for client in sending {
        all.extend(client.await.unwrap());
    }
    let held = f64::from(count) / began.elapsed().as_secs_f64();
    all.sort_by_key(|timed| timed.index);
    (all, held)
}
