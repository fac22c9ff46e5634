//! How a document is kept current: once for all workers, by cache fields, through failures and reloads.

use std::time::Duration;

use gateway_tests::{Setup, until};
use serde_json::Value;

use crate::documents::issuer::Signer;
use crate::documents::support::{
    Issuer, REMOTE, ask, gateway, metric, set, state, token, until_version,
};

#[tokio::test]
async fn is_fetched_once_for_all_workers_before_the_first_request() {
    let key = Signer::new("ES256");
    let issuer = Issuer::new(set(&[("1", &key)])).await;
    let gateway = gateway(&issuer, REMOTE, 4).start();
    for _ in 0..20 {
        assert_eq!(ask(&gateway, &token(&key, "1")).await, 200);
    }
    assert_eq!(issuer.count(), 1);
    let head = issuer.upstream.request();
    assert_eq!((head.method.as_str(), head.uri.path()), ("GET", "/jwks"));
    assert_eq!(head.headers["host"], issuer.upstream.address.to_string());
    assert_eq!(head.headers["accept-encoding"], "identity");
    let state = state(&gateway).await;
    assert_eq!(
        (&state["name"], &state["upstream"], &state["version"]),
        (&"keys".into(), &"id".into(), &1.into())
    );
    assert_eq!(state["failure"], Value::Null);
    let age = metric(&gateway, "gateway_document_age_seconds{document=\"keys\"}").await.unwrap();
    assert!((0.0..60.0).contains(&age), "{age}");
    let fetched = "gateway_document_fetches_total{document=\"keys\",result=\"new\"}";
    assert_eq!(metric(&gateway, fetched).await, Some(1.0));
}

#[tokio::test]
async fn is_fetched_again_when_it_is_not_fresh_any_more_and_not_sent_again_when_it_is_the_same() {
    let issuer = Issuer::new("{\"keys\":[]}").await;
    issuer.change(|served| {
        served.headers =
            vec![("etag", "\"a\"".to_owned()), ("cache-control", "max-age=1".to_owned())];
    });
    let document = format!("{REMOTE}\nrefresh = \"1h\"\nmin_refresh = \"1s\"");
    let gateway = gateway(&issuer, &document, 1).start();
    until(|| issuer.count() >= 3).await;
    assert_eq!(issuer.upstream.requests()[2].headers["if-none-match"], "\"a\"");
    assert_eq!(state(&gateway).await["version"], 1);
    let same = "gateway_document_fetches_total{document=\"keys\",result=\"unchanged\"}";
    assert!(metric(&gateway, same).await >= Some(1.0));
    issuer.change(|served| {
        (served.headers[0].1, served.body) = ("\"b\"".to_owned(), "{\"keys\": []}".to_owned());
    });
    until_version(&gateway, 2).await;
}

/// A source that knows versions by the time of their change, and says by a date how long they are fresh.
#[tokio::test]
async fn is_asked_for_by_the_date_of_its_change_where_there_is_no_tag() {
    let issuer = Issuer::new("{\"keys\":[]}").await;
    let date = "Sun, 22 Nov 2026 12:50:33 GMT".to_owned();
    let end = "Sun, 22 Nov 2026 12:50:34 GMT".to_owned();
    issuer.change(|served| {
        served.headers =
            vec![("last-modified", date.clone()), ("date", date.clone()), ("expires", end)];
    });
    let document = format!("{REMOTE}\nrefresh = \"1h\"\nmin_refresh = \"1s\"");
    let gateway = gateway(&issuer, &document, 1).start();
    until(|| issuer.count() >= 3).await;
    let asked = issuer.upstream.requests();
    assert!(!asked[0].headers.contains_key("if-modified-since"));
    for asked in &asked[1..] {
        assert_eq!(asked.headers["if-modified-since"], date);
        assert!(!asked.headers.contains_key("if-none-match"));
    }
    assert_eq!(state(&gateway).await["version"], 1);
    let same = "gateway_document_fetches_total{document=\"keys\",result=\"unchanged\"}";
    assert!(metric(&gateway, same).await >= Some(1.0));
    issuer.change(|served| {
        served.headers[0].1 = "Sun, 22 Nov 2026 13:00:00 GMT".to_owned();
        served.body = "{\"keys\": []}".to_owned();
    });
    until_version(&gateway, 2).await;
    // By both, once the source has both.
    issuer.change(|served| {
        served.headers[0].1 = "Sun, 22 Nov 2026 13:10:00 GMT".to_owned();
        served.headers.push(("etag", "\"a\"".to_owned()));
        served.body = "{\"keys\":  []}".to_owned();
    });
    until_version(&gateway, 3).await;
    let asked = issuer.count();
    until(|| issuer.count() > asked).await;
    let last = issuer.upstream.requests().pop().unwrap().headers;
    assert_eq!(last["if-none-match"], "\"a\"");
    assert_eq!(last["if-modified-since"], "Sun, 22 Nov 2026 13:10:00 GMT");
}

#[tokio::test]
async fn stays_in_force_while_its_source_fails() {
    let key = Signer::new("ES256");
    let issuer = Issuer::new(set(&[("1", &key)])).await;
    let document = format!("{REMOTE}\nrefresh = \"1s\"\nsize = \"4KiB\"\ntimeout = \"200ms\"");
    let gateway = gateway(&issuer, &document, 1).start();
    assert_eq!(ask(&gateway, &token(&key, "1")).await, 200);
    let failures = [
        (503, "{}".to_owned(), Duration::ZERO, "answers 503"),
        (302, "{}".to_owned(), Duration::ZERO, "redirects are not followed"),
        (200, "a".repeat(5000), Duration::ZERO, "more than 4096 bytes"),
        (200, "{}".to_owned(), Duration::from_secs(1), "no whole response within 200ms"),
    ];
    for (status, body, delay, words) in failures {
        issuer.change(|served| (served.status, served.body, served.delay) = (status, body, delay));
        let began = std::time::Instant::now();
        loop {
            let state = state(&gateway).await;
            if state["failure"].as_str().is_some_and(|failure| failure.contains(words)) {
                assert_eq!(state["version"], 1);
                break;
            }
            assert!(began.elapsed() < gateway_tests::PATIENCE, "{words}: {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ask(&gateway, &token(&key, "1")).await, 200);
    }
    let other = Signer::new("ES256");
    issuer.change(|served| {
        (served.status, served.body, served.delay) = (200, set(&[("2", &other)]), Duration::ZERO);
    });
    until_version(&gateway, 2).await;
    assert_eq!(ask(&gateway, &token(&other, "2")).await, 200);
    assert_eq!(ask(&gateway, &token(&key, "1")).await, 401);
}

#[tokio::test]
async fn survives_a_reload_that_leaves_it_as_it_was() {
    let key = Signer::new("ES256");
    let issuer = Issuer::new(set(&[("1", &key)])).await;
    let running = gateway(&issuer, REMOTE, 2).start();
    assert_eq!(ask(&running, &token(&key, "1")).await, 200);
    let reload = |setup: Setup| {
        let handle = running.handle.clone();
        tokio::task::spawn_blocking(move || handle.reload(setup.config).map(drop).unwrap())
    };
    reload(gateway(&issuer, REMOTE, 2)).await.unwrap();
    assert_eq!(issuer.count(), 1);
    // What it says stays in force, though it is fetched by other rules.
    issuer.change(|served| served.status = 500);
    reload(gateway(&issuer, &format!("{REMOTE}\nrefresh = \"1m\""), 2)).await.unwrap();
    assert_eq!(issuer.count(), 2);
    assert_eq!(ask(&running, &token(&key, "1")).await, 200);
    // From elsewhere it is another document.
    issuer.change(|served| served.status = 200);
    issuer.serve(set(&[]));
    reload(gateway(&issuer, "upstream = \"id\"\npath = \"/other\"", 2)).await.unwrap();
    assert_eq!(ask(&running, &token(&key, "1")).await, 401);
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let (one, two) = (Signer::new("ES256"), Signer::new("ES256"));
    let file = std::env::temp_dir().join(format!("document-{}.json", std::process::id()));
    std::fs::write(&file, set(&[("1", &one)])).unwrap();
    let issuer = Issuer::new("").await;
    let gateway = gateway(&issuer, &format!("file = {:?}", file.to_str().unwrap()), 1).start();
    assert_eq!(ask(&gateway, &token(&one, "1")).await, 200);
    let beside = file.with_extension("new");
    std::fs::write(&beside, set(&[("2", &two)])).unwrap();
    std::fs::rename(&beside, &file).unwrap();
    until_version(&gateway, 2).await;
    assert_eq!(ask(&gateway, &token(&two, "2")).await, 200);
    assert_eq!(ask(&gateway, &token(&one, "1")).await, 401);
    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask(&gateway, &token(&two, "2")).await, 200);
    assert_eq!(issuer.count(), 0);
}
