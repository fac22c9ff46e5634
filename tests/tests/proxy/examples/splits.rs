//! Examples of `docs/splits.md`.

use std::collections::BTreeMap;

use gateway_tests::client::{get, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Setup, Upstream};
use http::Response;

use super::block;

async fn named(name: &'static str) -> Upstream {
    Upstream::http1(move |_| async move { Response::new(full(name)) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_or_a_session_stays_with_its_variant() {
    let (first, second) = (named("v1").await, named("v2").await);
    let text = block(include_str!("../../../../docs/splits.md"), "Splits");
    let text = format!(
        "[upstreams.v1]\ntargets = [\"http://{}\"]\n[upstreams.v2]\ntargets = [\"http://{}\"]\n\
         [plugins.keys]\ncomponent = \"auth\"\nconfig.anonymous = \"guest\"\n\
         [[plugins.keys.config.api_key.keys]]\nid = \"ada\"\n\
         digest = \"sha256:8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92\"\n{text}",
        first.address, second.address
    );
    let gateway = Setup::toml(&text, &[]).workers(2).start();
    let asked = async |field: (&'static str, String)| {
        let mut client = Http1::connect(gateway.address).await;
        let answer = client.send(request("GET", "/chat", &[(field.0, &field.1)], "")).await;
        assert_eq!(answer.status(), 200);
        answer.text().to_owned()
    };
    let mut variants = BTreeMap::new();
    for round in 0..2 {
        for session in 0..60 {
            let now = asked(("cookie", format!("session=s{session}"))).await;
            let known = variants.entry(session).or_insert_with(|| now.clone());
            assert_eq!(*known, now, "session {session}, round {round}");
        }
    }
    // By a hash, so always the same.
    let canaries = variants.values().filter(|it| *it == "v2").count();
    assert!((1..=10).contains(&canaries), "{canaries} of 60");
    let own = asked(("x-api-key", "123456".to_owned())).await;
    for _ in 0..9 {
        assert_eq!(asked(("x-api-key", "123456".to_owned())).await, own);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_may_be_another_path() {
    let service = Upstream::echo().await;
    let text = block(include_str!("../../../../docs/splits.md"), "Another path");
    let text = format!("[upstreams.v1]\ntargets = [\"http://{}\"]\n{text}", service.address);
    let gateway = Setup::toml(&text, &[]).start();
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..200 {
        assert_eq!(client.send(get("/search/a")).await.status(), 200);
    }
    let requests = service.requests();
    let next = requests.iter().filter(|it| it.uri.path() == "/v2/search/a").count();
    let now = requests.iter().filter(|it| it.uri.path() == "/search/a").count();
    // 50 of 200: that it is one of these by chance alone fails once in 10^9 times.
    assert!((15..=90).contains(&next) && now + next == 200, "{next} and {now}");
}
