//! Plugins that are exchanged while streams run through them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::upstream::BoxBody;
use gateway_tests::{Http1, Upstream, client, guests, within};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::process::Process;
use crate::{alone, scaled};

/// How much more may be resident after all reloads than after the first few.
const GROWTH: u64 = 16 << 20;

/// The last event of all streams.
const END: u64 = u64::MAX;

/// A component as it is, and with a section more: the same plugin, and to the gateway another one.
fn versions(guest: &str, folder: &Path) -> [String; 2] {
    let component = std::fs::read(guests::path(guest)).unwrap();
    [0, 1].map(|version| {
        let mut bytes = component.clone();
        bytes.extend([0, 2, 1, b'a' + version]);
        let path = folder.join(format!("{guest}-{version}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    })
}

/// Events of which each stream gets every one that comes while it is open: the newest number.
async fn events(newest: watch::Receiver<u64>) -> Upstream {
    Upstream::http1(move |request| {
        let newest = newest.clone();
        async move {
            if request.uri().path() != "/events" {
                return Response::new(gateway_tests::upstream::full("fine"));
            }
            let frames = stream::unfold((newest, true), async |(mut newest, is_first)| {
                if !is_first {
                    newest.changed().await.ok()?;
                }
                let number = *newest.borrow_and_update();
                let frame = Frame::data(Bytes::from(format!("data: {number}\n\n")));
                Some((Ok(frame), (newest, false)))
            });
            let body: BoxBody = StreamBody::new(frames).boxed_unsync();
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    })
    .await
}

/// Reads a stream to its last event, and checks that none is missing.
async fn follow(mut body: Incoming) -> u64 {
    let (mut text, mut last) = (String::new(), None);
    loop {
        let frame = body.frame().await.expect("the stream goes on").expect("the stream is whole");
        text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
        while let Some((event, rest)) = text.split_once("\n\n") {
            let number: u64 = event.strip_prefix("data: ").unwrap().parse().unwrap();
            let next = last.is_none_or(|last| number == last + 1 || number == END);
            assert!(next, "{number} came after {last:?}");
            if number == END {
                return last.unwrap();
            }
            last = Some(number);
            text = rest.to_owned();
        }
    }
}

fn configuration(service: SocketAddr, [tagger, chunks]: [&str; 2], version: u32) -> String {
    format!(
        r#"
        [plugins.chunks]
        component = "{chunks}"
        config = {{ trailer = false }}
        limits = {{ deadline = "10s" }}

        [plugins.version]
        component = "{tagger}"
        config = {{ name = "version-{version}" }}
        limits = {{ deadline = "10s" }}

        [upstreams.service]
        targets = ["http://{service}"]

        [[routes]]
        name = "all"
        paths = ["/{{*rest}}"]
        plugins = ["chunks", "version"]
        upstream = "service"
        "#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_are_exchanged_under_open_streams_and_leave_nothing_behind() {
    let _alone = alone().await;
    let (reloads, streams, warm) = scaled((60, 200, 10), (10_000, 1_000, 100));
    let folder = tempfile::tempdir().unwrap();
    let (tagger, chunks) =
        (versions("tagger", folder.path()), versions("chunk-count", folder.path()));
    let (send, newest) = watch::channel(0);
    let upstream = events(newest).await;
    let config = |version: u32| {
        let index = version as usize % 2;
        configuration(upstream.address, [&tagger[index], &chunks[index]], version)
    };
    let gateway = Process::start(&config(0));
    let mut following = JoinSet::new();
    for _ in 0..streams {
        let mut client = Http1::connect(gateway.address).await;
        let response = within(client.0.send_request(client::get("/events"))).await.unwrap();
        assert_eq!(response.headers()["x-trace-response"], "version-0");
        following.spawn(async move {
            let _open = client;
            follow(response.into_body()).await
        });
    }
    let ticking = send.clone();
    let ticks = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(scaled(250, 2_000))).await;
            ticking.send_modify(|number| *number += 1);
        }
    });

    let mut client = Http1::connect(gateway.address).await;
    let (mut before, mut files, mut began) = (0, 0, Instant::now());
    for version in 1..=warm + reloads {
        tokio::task::block_in_place(|| gateway.reload(&config(version)));
        let expected = format!("version-{version}");
        within(async {
            while client.send(client::get("/")).await.header("x-trace-response") != Some(&expected)
            {
            }
        })
        .await;
        if version == warm {
            (before, files, began) = (gateway.memory(), gateway.descriptors(), Instant::now());
        }
        if version % 1_000 == 0 {
            println!("{version}: {} KiB, {:?}", gateway.memory() >> 10, began.elapsed());
        }
        assert_eq!(following.len(), streams, "no stream has ended");
        assert!(following.try_join_next().is_none(), "a stream has ended");
    }
    let each = began.elapsed() / reloads;
    let after = gateway.memory();
    // What the last reload replaced is given up by threads of its own, which a busy machine may delay.
    let mut files_after = gateway.descriptors();
    for _ in 0..50 {
        if files_after <= files + 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        files_after = gateway.descriptors();
    }
    ticks.abort();
    let told = *send.borrow();
    // All that were told have arrived before the last one is.
    tokio::time::sleep(Duration::from_millis(500)).await;
    send.send_replace(END);
    while let Some(followed) = within(following.join_next()).await {
        assert_eq!(followed.unwrap(), told, "every stream got every event");
    }
    println!(
        "{reloads} reloads of two plugins under {streams} streams, {each:?} each, {told} events on \
         each stream; {} KiB became {} KiB",
        before >> 10,
        after >> 10,
    );
    assert!(after < before + GROWTH, "{before} bytes became {after}");
    assert!(files_after <= files + 2, "{files} files became {files_after}");
}
