//! Many streams of one connection, all of them open at once.

use std::sync::Arc;

use gateway_tests::upstream::full;
use gateway_tests::{Http2, Upstream, client, within};
use http::Response;
use tokio::sync::Barrier;

use crate::process::Process;
use crate::{KEY, plugins};

const STREAMS: u64 = 1_000;

#[tokio::test]
async fn serves_a_thousand_streams_at_once_through_three_plugins() {
    let all_here = Arc::new(Barrier::new(STREAMS as usize));
    let upstream = Upstream::http1(move |request| {
        let all_here = Arc::clone(&all_here);
        async move {
            let consumer = request.headers()["x-consumer"].clone();
            all_here.wait().await;
            Response::new(full(consumer.as_bytes().to_vec()))
        }
    })
    .await;
    let (plugins, upstream) = (plugins(STREAMS), upstream.address);
    let gateway = Process::start(&format!(
        r#"
        {plugins}
        [upstreams.service]
        targets = ["http://{upstream}"]

        [[routes]]
        name = "api"
        paths = ["/{{*rest}}"]
        plugins = ["keys", "limit", "shape"]
        upstream = "service"
        "#
    ));
    let client = Http2::connect(gateway.address).await;
    let ask = |index: u64| {
        let mut client = client.clone();
        let mut request = client::get2(&format!("/{index}"));
        request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
        async move { client.send(request).await }
    };
    let asked: Vec<_> = (0..STREAMS).map(|index| tokio::spawn(ask(index))).collect();
    for answer in asked {
        let answer = within(answer).await.unwrap();
        assert_eq!((answer.status(), answer.text()), (200, "ada"));
        assert_eq!(answer.header("x-served-for"), Some("ada"));
    }
    // Each of them was counted, and once.
    assert_eq!(ask(STREAMS).await.status(), 429);
}
