//! One limit under 10,000 requests that are all under way at the same moment.
//!
//! That they are is no matter of luck: the key of the limit is in the body, whose second half is sent when all requests are in
//! gateways, and is read when all of it was sent. They are streams over HTTP/2, which need few descriptors.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::Http2;
use gateway_tests::client::get2;
use gateway_tests::upstream::BoxBody;
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tempfile::tempdir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::gateways::{Gateway, limit};
use super::server::{KINDS, Server};
use super::shared::{CLOSED, store};

const CONNECTIONS: usize = 250;
const STREAMS: usize = 40;
const ALL: usize = CONNECTIONS * STREAMS;

/// Up to 1,000 hooks of a plugin wait for an instance on one worker: with so many workers none of them has more.
const WORKERS: usize = 8;

fn text(limiter: &str) -> String {
    let policy = "{ name = \"day\", limit = 1000, window = \"366d\", key = [\"json:/all\"] }";
    let limited = limit("day", limiter, policy)
        .replace("deadline = \"1s\"", "deadline = \"10s\", configure = \"1m\"");
    format!("{limited}[listeners.limits]\nconcurrent_streams = {STREAMS}\n")
}

/// A body whose second half comes when the gate is open.
fn halves(gate: &watch::Receiver<bool>) -> BoxBody {
    let frame = |text: &'static str| Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
    let gate = gate.clone();
    let frames = stream::unfold((0, gate), move |(turn, mut gate)| async move {
        match turn {
            0 => Some((frame("{\"all\":"), (1, gate))),
            1 => {
                drop(gate.wait_for(|open| *open).await);
                Some((frame("1}"), (2, gate)))
            }
            _ => None,
        }
    });
    StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync()
}

async fn under_way(gateways: &[Gateway]) -> usize {
    let mut count = 0.0;
    for gateway in gateways {
        count += gateway.metric("gateway_requests_in_flight{route=\"day\"}").await;
    }
    count as usize
}

/// How often each status came.
async fn all_at_once(gateways: &[Gateway]) -> BTreeMap<u16, usize> {
    let (gate, closed) = watch::channel(false);
    let mut answers = JoinSet::new();
    let mut connections = Vec::new();
    for index in 0..CONNECTIONS {
        let mut client = Http2::connect(gateways[index % gateways.len()].address).await;
        // It knows then how many streams it may open.
        assert_eq!(client.send(get2("/free")).await.status(), 200);
        for _ in 0..STREAMS {
            let mut sender = client.0.clone();
            let request = Request::post("http://a.example/day")
                .header("content-type", "application/json")
                .body(halves(&closed))
                .unwrap();
            answers.spawn(async move {
                let response = sender.send_request(request).await.expect("a response");
                let status = response.status().as_u16();
                response.into_body().collect().await.expect("a whole body");
                status
            });
        }
        connections.push(client);
    }
    let began = Instant::now();
    loop {
        let count = under_way(gateways).await;
        if count == ALL {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{count} are under way");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateways.iter().for_each(Gateway::pause);
    gate.send_replace(true);
    tokio::time::sleep(Duration::from_millis(500)).await;
    if let Some(early) = answers.try_join_next() {
        panic!("one has an answer: {early:?}");
    }
    gateways.iter().for_each(Gateway::go_on);
    let mut counts = BTreeMap::new();
    let all = async {
        while let Some(status) = answers.join_next().await {
            *counts.entry(status.expect("an answer")).or_default() += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("it hangs");
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_admits_exactly_its_limit_of_10000_requests_at_the_same_moment() {
    let folder = tempdir().unwrap();
    let text = text("\"memory\"").replace("limiter = \"memory\"\n", "");
    let gateways = [Gateway::run_on(folder.path(), &text, WORKERS)];
    let counts = all_at_once(&gateways).await;
    assert_eq!(counts, BTreeMap::from([(200, 1_000), (429, 9_000)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_admit_exactly_one_limit_of_10000_requests_at_the_same_moment() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let text = store(&server, "") + &text(CLOSED);
        let mut gateways = Vec::new();
        for _ in 0..3 {
            let gateway = Gateway::run_on(folder.path(), &text, WORKERS);
            gateway.until("gateway_store_up", |up| up == 1.0).await;
            gateways.push(gateway);
        }
        let counts = all_at_once(&gateways).await;
        assert_eq!(counts, BTreeMap::from([(200, 1_000), (429, 9_000)]), "{kind:?}");
    }
}
