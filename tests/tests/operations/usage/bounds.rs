//! What clients and plugins cannot do to usage.

use gateway_tests::Setup;
use serde_json::Value;
use tempfile::tempdir;

use super::support::{ask, ask_often, metric, report, row, setup, sum, text, until_true, without};

const DROPPED: &str = "gateway_usage_amounts_dropped_total";

fn read(setup: &Setup, by: &str) -> Value {
    report(&setup.config, by)
}

#[tokio::test]
async fn no_text_of_a_consumer_and_no_amount_can_hold_up_the_others() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    let long = "é".repeat(3_000);
    {
        let gateway = setup(text(&file), "").start();
        for consumer in ["a%00b", "'; DROP TABLE names; --", &long, "~other", ""] {
            let asked = ask(gateway.address, "/open/x", &[("x-consumer", consumer)]).await;
            assert_eq!(asked.status(), 200);
        }
        let huge = i64::MAX.to_string();
        for _ in 0..3 {
            let fields = [("x-consumer", "big"), ("x-name", "much"), ("x-amount", &*huge)];
            assert_eq!(ask(gateway.address, "/open/x", &fields).await.status(), 200);
        }
    }
    let rows = read(&setup(text(&file), ""), "consumer");
    for consumer in ["a\u{fffd}b", "'; DROP TABLE names; --", "~other", "", &"é".repeat(128)] {
        assert_eq!(row(&rows, "consumer", consumer)["requests"], 1);
    }
    assert_eq!(row(&rows, "consumer", "big")["much"], (1_i64 << 53) - 1);
}

#[tokio::test]
async fn names_of_an_exchange_and_of_a_gateway_are_bounded_and_the_rest_is_counted() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    let gateway = setup(text(&file), "").start();
    // There is room for 15 of them beside `tokens`.
    let fields = [("x-consumer", "a"), ("x-flood", "24"), ("x-name", "a")];
    assert_eq!(ask(gateway.address, "/open/x", &fields).await.status(), 200);
    // `ended` is one more name, for which the exchange has no room either; it comes behind the answer.
    until_true(|| async { metric(&gateway, DROPPED).await == 10 }).await;
    // Each exchange has 15 more, until the gateway has 64.
    for name in ["b", "c", "d", "e", "f"] {
        let fields = [("x-consumer", "a"), ("x-flood", "15"), ("x-name", name)];
        assert_eq!(ask(gateway.address, "/open/x", &fields).await.status(), 200);
    }
    drop(gateway);
    let rows = read(&setup(text(&file), ""), "consumer");
    let names = row(&rows, "consumer", "a").as_object().unwrap().len() - 5;
    assert_eq!(names, 64, "{rows:#}");
}

#[tokio::test]
async fn a_name_that_is_none_fails_the_hook_and_what_a_failed_hook_added_does_not_count() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    {
        let gateway = setup(text(&file), "").start();
        for name in ["Tokens", "requests", "a-b"] {
            let asked = ask(gateway.address, "/open/x", &[("x-name", name)]).await;
            assert_eq!(asked.status(), 500);
        }
        assert_eq!(ask(gateway.address, "/open/x", &[("x-panic", "1")]).await.status(), 500);
    }
    let rows = read(&setup(text(&file), ""), "status");
    let failed = row(&rows, "status", "5xx");
    assert_eq!((&failed["requests"], failed.get("tokens")), (&4.into(), None), "{rows:#}");
}

#[tokio::test]
async fn without_usage_plugins_add_for_nothing_and_nothing_fails() {
    let gateway = without().start();
    ask_often(gateway.address, 8, 2).await;
    let page = gateway_tests::Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    assert!(!page.text().contains("gateway_usage"), "{}", page.text());
}

#[tokio::test]
async fn the_file_keeps_to_its_size_and_the_oldest_goes_first() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    {
        let gateway = setup(text(&file), "").start();
        ask_often(gateway.address, 4, 1).await;
    }
    // 40 days of 2,000 consumers would take several MiB.
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO names (name) SELECT 'old' || i FROM n;
             WITH RECURSIVE d (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM d WHERE i < 40)
             INSERT INTO day_rows SELECT unixepoch() / 86400 - i, id, 1, 2, 1, 9, 9, 9, 9
             FROM d, names WHERE name LIKE 'old%';",
        )
        .unwrap();
    drop(connection);
    let before = std::fs::metadata(&file).unwrap().len();
    assert!(before > 3 << 19, "{before}");
    {
        let gateway = setup(text(&file), "size = \"1MiB\"").start();
        ask_often(gateway.address, 6, 1).await;
    }
    let after = std::fs::metadata(&file).unwrap().len();
    assert!(after <= 1 << 20, "{after}");
    let rows = read(&setup(text(&file), ""), "day");
    let days = rows.as_array().unwrap();
    assert!((2..40).contains(&days.len()), "{} days stay", days.len());
    // The newest stay, today with all of its requests.
    assert_eq!(days.last().unwrap()["requests"], 10);
    assert_eq!(sum(&rows, "requests"), 10 + 18_000 * (days.len() as i64 - 1));
}
