//! Keys of an issuer: strangers cost one fetch, and a rotation costs no request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_tests::Http1;
use gateway_tests::client::request;
use serde_json::json;
use tokio::task::JoinSet;

use crate::documents::issuer::Signer;
use crate::documents::support::{Issuer, REMOTE, ask, gateway, metric, set, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_key_ids_cost_one_fetch() {
    let key = Arc::new(Signer::new("ES256"));
    let issuer = Issuer::new(set(&[("1", &key)])).await;
    let gateway = gateway(&issuer, REMOTE, 2).start();
    assert_eq!(ask(&gateway, &token(&key, "1")).await, 200);
    assert_eq!(issuer.count(), 1);
    let mut clients = JoinSet::new();
    for client in 0..10 {
        let (address, key) = (gateway.address, Arc::clone(&key));
        clients.spawn(async move {
            let mut connection = Http1::connect(address).await;
            for number in 0..1000 {
                let bearer = format!("Bearer {}", token(&key, &format!("{client}-{number}")));
                let sent = request("GET", "/", &[("authorization", &bearer)], "");
                assert_eq!(connection.send(sent).await.status(), 401);
            }
        });
    }
    clients.join_all().await;
    assert_eq!(issuer.count(), 2);
}

/// Each client sends tokens by the newest key that the issuer has published. Whether the key was there
/// before the first token or not, no request is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_rotate_under_load_refuse_nobody() {
    let first = Arc::new(Signer::new("ES256"));
    let issuer = Issuer::new(set(&[("0", &first)])).await;
    issuer.change(|served| served.delay = Duration::from_millis(30));
    let gateway = gateway(&issuer, REMOTE, 2).start();
    let newest = Arc::new(Mutex::new(("0".to_owned(), first)));
    let (is_over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (address, newest) = (gateway.address, Arc::clone(&newest));
        let (is_over, sent) = (Arc::clone(&is_over), Arc::clone(&sent));
        clients.spawn(async move {
            let mut connection = Http1::connect(address).await;
            let mut refused = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let (kid, key) = newest.lock().unwrap().clone();
                // Another token each time, so that nothing is remembered of it.
                let number = sent.fetch_add(1, Ordering::SeqCst);
                let bearer = format!("Bearer {}", token(&key, &kid));
                let id = format!("{client}-{number}");
                let fields = [("authorization", &*bearer), ("x-request-id", &*id)];
                let status = connection.send(request("GET", "/", &fields, "")).await.status();
                if status != 200 {
                    refused.push((status, kid));
                }
            }
            refused
        });
    }
    for rotation in 1..=4 {
        tokio::time::sleep(Duration::from_millis(1300)).await;
        let (kid, key) = (rotation.to_string(), Arc::new(Signer::new("ES256")));
        // What the former key signed may be under way.
        let former = newest.lock().unwrap().clone();
        issuer.serve(set(&[(&former.0, &former.1), (&kid, &key)]));
        *newest.lock().unwrap() = (kid, key);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_over.store(true, Ordering::SeqCst);
    let refused: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    assert_eq!(refused, []);
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent > 200, "{sent}");
    // One for each rotation, and the first. On a busy machine one may have been under way at the next rotation already.
    let asked = issuer.count();
    assert!((5..=9).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_key_that_is_gone_ends_what_was_remembered_of_its_tokens() {
    let (one, two) = (Signer::new("ES256"), Signer::new("ES256"));
    let issuer = Issuer::new(set(&[("1", &one)])).await;
    let gateway = gateway(&issuer, REMOTE, 1).start();
    let of_one = token(&one, "1");
    for _ in 0..3 {
        assert_eq!(ask(&gateway, &of_one).await, 200);
    }
    // The plugin could wait, did not, and was called once.
    let reused = "gateway_plugin_changes_reused_total{plugin=\"tokens\"}";
    assert_eq!(metric(&gateway, reused).await, Some(2.0));
    issuer.serve(set(&[("2", &two)]));
    assert_eq!(ask(&gateway, &token(&two, "2")).await, 200);
    assert_eq!(ask(&gateway, &of_one).await, 401);
}

#[tokio::test]
async fn without_any_keys_the_answer_is_503_until_there_are_some() {
    let key = Signer::new("ES256");
    let issuer = Issuer::new(set(&[("1", &key)])).await;
    issuer.change(|served| served.status = 500);
    let gateway = gateway(&issuer, REMOTE, 1).start();
    assert_eq!(ask(&gateway, &token(&key, "1")).await, 503);
    issuer.change(|served| served.status = 200);
    let began = std::time::Instant::now();
    while ask(&gateway, &token(&key, "1")).await != 200 {
        assert!(began.elapsed() < gateway_tests::PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn discovery_names_the_keys_and_must_be_of_the_issuer_and_the_upstream() {
    let key = Signer::new("ES256");
    let issuer = Issuer::new("").await;
    let keys = Issuer::new(set(&[("1", &key)])).await;
    let discovery =
        |named: &str, uri: String| json!({ "issuer": named, "jwks_uri": uri }).to_string();
    let right = format!("http://{}/keys?v=1", keys.upstream.address);
    issuer.serve(discovery("https://issuer.example", right.clone()));
    let document = format!(
        "{REMOTE}\nrefresh = \"1s\"\nfollow = {{ upstream = \"keys\", issuer = \"https://issuer.example\" }}\n\
         [upstreams.keys]\ntargets = [\"http://{}\"]",
        keys.upstream.address
    );
    let gateway = gateway(&issuer, &document, 1).start();
    assert_eq!(ask(&gateway, &token(&key, "1")).await, 200);
    assert_eq!(keys.upstream.requests()[0].uri.to_string(), "/keys?v=1");
    let elsewhere = format!("http://{}/", issuer.upstream.address);
    for (named, uri, words) in [
        ("https://issuer.example/", right.clone(), "is of the issuer"),
        ("https://issuer.example", elsewhere, "which is no target of the upstream `keys`"),
        ("https://issuer.example", "file:///etc/passwd".to_owned(), "which is no URL"),
    ] {
        issuer.serve(discovery(named, uri));
        let began = std::time::Instant::now();
        loop {
            let state = crate::documents::support::state(&gateway).await;
            if state["failure"].as_str().is_some_and(|failure| failure.contains(words)) {
                break;
            }
            assert!(began.elapsed() < gateway_tests::PATIENCE, "{words}: {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(ask(&gateway, &token(&key, "1")).await, 200);
}
