//! Keys, priorities and latencies, through a running gateway as `docs/upstreams.md` shows them.

use std::collections::{BTreeMap, BTreeSet};

use gateway_tests::client::request;
use gateway_tests::{Http1, Running, Setup, Upstream};
use http::Response;

use super::{echo, full, nowhere};

/// The block of the documentation that has this text in it.
fn recipe(of: &str) -> String {
    let guide = include_str!("../../../../docs/upstreams.md");
    let blocks = guide.split("```toml\n").skip(1).map(|it| it.split("```").next().unwrap());
    let block = blocks.into_iter().find(|block| block.contains(of)).unwrap();
    block.to_owned()
}

fn start(upstream: &str, plugins: &str, workers: usize) -> Running {
    let text = format!(
        "{upstream}\n[plugins.keys]\ncomponent = \"auth\"\n[[plugins.keys.config.api_key.keys]]\nid = \"ada\"\n\
         digest = \"sha256:8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92\"\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"orders\"\nplugins = [{plugins}]\n"
    );
    Setup::toml(&text, &[]).workers(workers).start()
}

/// An upstream that answers with its own name.
async fn named() -> (Upstream, String) {
    let name = std::sync::Arc::new(std::sync::OnceLock::new());
    let own = std::sync::Arc::clone(&name);
    let upstream = Upstream::http1(move |_| {
        let name: String = own.get().cloned().unwrap_or_default();
        async move { Response::new(full(name)) }
    })
    .await;
    let address = upstream.address.to_string();
    name.set(address.clone()).unwrap();
    (upstream, address)
}

/// Which target answers a request with this field, over a new connection to any worker.
async fn asked(gateway: &Running, field: (&str, &str)) -> String {
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/", &[field], "")).await;
    assert_eq!(answer.status(), 200);
    answer.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_goes_to_one_target_from_every_worker_and_after_a_reload() {
    let (_one, first) = named().await;
    let (_two, second) = named().await;
    let (_three, third) = named().await;
    let targets = |list: &[&str]| {
        let mut text = recipe("consistent_hash");
        for (index, target) in list.iter().enumerate() {
            text = text.replace(&format!("10.0.0.{}:9000", index + 1), target);
        }
        text
    };
    let gateway = start(&targets(&[&first, &second, &third]), "", 2);
    let mut owners = BTreeMap::new();
    for _ in 0..3 {
        for key in 0..24 {
            let cookie = format!("a=b; session=s{key}");
            let owner = asked(&gateway, ("cookie", &cookie)).await;
            let known = owners.entry(key).or_insert_with(|| owner.clone());
            assert_eq!(*known, owner, "{key}");
        }
    }
    let all: std::collections::BTreeSet<_> = owners.values().cloned().collect();
    assert_eq!(all.len(), 3, "{owners:?}");
    // Another gateway sends each key to the same target, and one that is gone moves its own alone.
    let gone = nowhere();
    let other = start(&targets(&[&first, &second, &third]).replace(&third, &gone), "", 1);
    for (key, owner) in &owners {
        let now = asked(&other, ("cookie", &format!("session=s{key}"))).await;
        assert!(now == *owner || *owner == third || now != gone, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_keeps_its_target_and_who_is_none_has_turns() {
    let (_one, first) = named().await;
    let (_two, second) = named().await;
    let upstream = format!(
        "[upstreams.orders]\ntargets = [\"http://{first}\", \"http://{second}\"]\n\
         balance = \"consistent_hash\"\nhash_by = \"consumer.id\"\n"
    );
    let gateway = start(&upstream, "\"keys\"", 1);
    let own = asked(&gateway, ("x-api-key", "123456")).await;
    for _ in 0..10 {
        assert_eq!(asked(&gateway, ("x-api-key", "123456")).await, own);
    }
    // No plugin of this route sets the attribute.
    let gateway = start(&upstream, "", 1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4 {
        seen.insert(asked(&gateway, ("x-other", "1")).await);
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_example_answers_each_request_where_a_target_is_away() {
    let ((_one, first), (_two, second)) = (named().await, named().await);
    let text = recipe("ejection = { consecutive_failures = 3")
        .replace("10.0.0.1:9000", &nowhere())
        .replace("10.0.0.2:9000", &first)
        .replace("10.0.0.3:9000", &second);
    let gateway = start(&text, "", 2);
    let mut by = BTreeSet::new();
    for _ in 0..30 {
        by.insert(asked(&gateway, ("x-user", "1")).await);
    }
    assert_eq!(by, [first, second].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_priority_has_the_requests_while_the_first_is_away() {
    let (one, first) = echo().await;
    let (two, second) = echo().await;
    let text = recipe("priority = 1");
    let away = text.replace("10.0.0.1:9000", &nowhere()).replace("10.0.0.2:9000", &nowhere());
    let gateway = start(&away.replace("10.1.0.1:9000", &second), "", 2);
    for _ in 0..30 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
    assert_eq!(two.requests().len(), 30);
    let there = text.replace("10.0.0.1:9000", &first).replace("10.0.0.2:9000", &first);
    let gateway = start(&there.replace("10.1.0.1:9000", &second), "", 2);
    for _ in 0..20 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
    assert_eq!((one.requests().len(), two.requests().len()), (20, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_that_answers_sooner_has_most_of_the_requests() {
    let (fast, first) = echo().await;
    let slow = Upstream::http1(|_| async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        Response::new(full("late"))
    })
    .await;
    let text = recipe("peak_ewma").replace("10.0.0.1:9000", &first);
    let gateway = start(&text.replace("10.0.0.2:9000", &slow.address.to_string()), "", 1);
    for _ in 0..40 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
    let (fast, slow) = (fast.requests().len(), slow.requests().len());
    assert!(slow <= 8 && fast >= 32, "{fast} and {slow}");
}
