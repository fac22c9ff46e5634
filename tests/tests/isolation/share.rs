//! Plugins that stay within their limits and ask for all of a worker: each has its share, and a
//! neighbour does not notice how many clients they have.
//!
//! In passing, answers are counted against each other, so that a slow machine slows both. With
//! `GATEWAY_TEST_LONG=1` the latencies of a neighbour are measured and held against bounds, which say
//! something of a gateway that is built for release.

mod attack;
mod table;

use std::net::SocketAddr;

use gateway_tests::upstream::BoxBody;
use gateway_tests::{Answer, Http1, client, within};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use self::attack::{
    Ask, Attack, Over, PATIENT, busy, configuration, neighbour, service, turns_a_millisecond,
    with_others,
};
use crate::process::Process;
use crate::{alone, median};

/// Beside 16 clients that have 15 ms of the worker for each request, from when as many were answered.
async fn beside(over: Over, ask: fn(u64) -> Ask, slowed: &str, from: u64) {
    let _alone = alone().await;
    let turns = turns_a_millisecond().await;
    let service = service().await;
    let text = configuration(service.address, "", PATIENT, "chunk = 1");
    let gateway = Process::start(&with_others(text, ""));
    neighbour(gateway.address, 5).await;

    let attack = Attack::start(gateway.address, 16, over, ask(15 * turns)).await;
    attack.answered(from).await;
    let beside = median(neighbour(gateway.address, 40).await);
    let answers = attack.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let busy = median(answers.into_iter().map(|(_, time)| time).collect());
    println!("a neighbour waits for {beside:?}, and each of 16 clients for {busy:?}");
    assert!(beside < busy / 4, "{beside:?} and {busy:?}");
    // Where the machine is slow a call of the neighbour may wait for as long too.
    let (lines, neighbour) = (gateway.tail(), "\"route\":\"neighbour\"");
    let told = lines.iter().filter(|line| line.contains(slowed) && !line.contains(neighbour));
    assert_eq!(told.count(), 1, "{lines:?}");
}

/// One of several that come at once, twice as many as there are places: some find the queue full. One
/// alone may come whenever a place has just become free.
async fn refused(address: SocketAddr, ask: impl Fn() -> Request<BoxBody>) -> Answer {
    within(async {
        loop {
            let mut asked = JoinSet::new();
            for _ in 0..8 {
                let ask = ask();
                asked.spawn(async move { Http1::connect(address).await.send(ask).await });
            }
            let answers = asked.join_all().await;
            if let Some(refused) = answers.into_iter().find(|answer| answer.status() == 503) {
                return refused;
            }
        }
    })
    .await
}

const PLUGIN: &str = "the plugin is slowed, so that others have their turn";
const COMPONENT: &str = "the component is slowed, so that others have their turn";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_does_not_wait_for_the_clients_of_a_plugin_that_computes() {
    beside(Over::Http1, Ask::hook, PLUGIN, 16).await;
}

/// Nothing is known of the plugin yet, and all of its clients wait for its first instances.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_does_not_wait_for_those_that_wait_for_an_instance() {
    beside(Over::Http1, Ask::hook, PLUGIN, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_does_not_wait_for_the_streams_of_a_plugin_that_computes() {
    beside(Over::Http2, Ask::hook, PLUGIN, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_does_not_wait_for_the_clients_of_a_component_that_computes() {
    beside(Over::Http1, Ask::component, COMPONENT, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_whose_queue_is_full_refuses_what_comes() {
    let _alone = alone().await;
    let turns = turns_a_millisecond().await;
    let service = service().await;
    let text = configuration(service.address, "", PATIENT, "chunk = 1");
    let gateway = Process::start(&with_others(text, "queue = 4"));
    let ask = Ask::component(15 * turns);
    let attack = Attack::start(gateway.address, 16, Over::Http1, ask).await;
    attack.served(5).await;
    neighbour(gateway.address, 5).await;
    let refused = refused(gateway.address, || Ask::component(turns).http1()).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.problem()["detail"], "The service is busy.");
    let answers = attack.end().await;
    let with = |status| answers.iter().filter(|(other, _)| *other == status).count();
    assert_eq!(with(200) + with(503), answers.len(), "{answers:?}");
    assert!(with(200) >= 5, "some have their turn: {answers:?}");
    assert!(gateway.tail().iter().any(|line| {
        line.contains("component service failed: 4 requests wait for their turn already")
    }));
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
    let attack = Attack::start(gateway.address, 16, Over::Http1, Ask::hook(15 * turns)).await;
    attack.served(5).await;
    neighbour(gateway.address, 5).await;
    let refused = refused(gateway.address, || busy(turns)).await;
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        refused.problem()["detail"],
        "A plugin on this route has more requests than it can serve at the moment."
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
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
    let attack = Attack::start(gateway.address, 16, Over::Http1, Ask::hook(15 * turns)).await;
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
    let attack = Attack::start(gateway.address, 8, Over::Http1, Ask::hook(25 * turns)).await;
    attack.answered(40).await;
    let answers = attack.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    // And one that computes for longer is ended, in slices too.
    let attack = Attack::start(gateway.address, 2, Over::Http1, Ask::hook(500 * turns)).await;
    attack.answered(6).await;
    let answers = attack.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 500), "{answers:?}");
}
