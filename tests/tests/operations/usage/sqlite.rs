//! Usage in an SQLite file.

use gateway_tests::{Http1, Setup, Upstream};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::support::{
    KEY, ask, ask_often, metric, report, row, setup, setup_before, sum, text, until_true, without,
};

#[tokio::test]
async fn a_request_counts_for_its_consumer_route_and_status_with_what_plugins_add() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    let service = Upstream::echo().await;
    let setup = setup_before(&service.address, text(&file), "");
    let config = setup.config.usage.clone();
    let gateway = setup.start();
    for _ in 0..3 {
        assert_eq!(ask(gateway.address, "/sent", &[KEY]).await.status(), 200);
    }
    assert_eq!(ask(gateway.address, "/kept", &[]).await.status(), 401);
    assert_eq!(ask(gateway.address, "/bare", &[]).await.status(), 404);
    assert_eq!(ask(gateway.address, "/none", &[]).await.status(), 404);
    drop(gateway);
    let config = with(config);
    let rows = report(&config, "route,consumer,status,upstream");
    assert_eq!(rows.as_array().unwrap().len(), 4, "{rows:#}");
    let acme = row(&rows, "consumer", "acme");
    assert!(acme["duration_ms"].as_f64().unwrap() > 0.0, "{acme:#}");
    let mut acme = acme.clone();
    acme.as_object_mut().unwrap().remove("duration_ms");
    let expected = json!({
        "route": "sent", "consumer": "acme", "status": "2xx", "upstream": "service", "requests": 3,
        "request_bytes": 21, "response_bytes": 21, "tokens": 45, "ended": 3,
    });
    assert_eq!(acme, expected);
    let refused = rows.as_array().unwrap().iter().find(|row| row["status"] == "4xx").unwrap();
    assert_eq!(refused["tokens"], 0, "no plugin behind `keys` saw it: {refused:#}");
    assert_eq!(row(&rows, "route", "bare")["response_bytes"], 1);
    assert_eq!(row(&rows, "route", "")["requests"], 1, "no route");
    // The views are a documented interface.
    let connection = Connection::open(&file).unwrap();
    let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let days = "SELECT requests FROM usage_days WHERE consumer = 'acme' AND day = date('now')";
    assert_eq!(read(days), 3);
    let tokens = "SELECT sum(amount) FROM usage_minute_counters WHERE counter = 'tokens' \
                  AND route = 'sent' AND status = 2 AND minute >= datetime('now', '-5 minutes')";
    assert_eq!(read(tokens), 45);
}

fn with(usage: Option<gateway::config::Usage>) -> gateway::config::Config {
    let mut config = Setup::new().config;
    config.usage = usage;
    config
}

#[tokio::test]
async fn what_is_recorded_before_a_restart_and_after_it_adds_up() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    let usage = setup(text(&file), "").config.usage;
    for _ in 0..3 {
        let gateway = setup(text(&file), "").workers(2).start();
        ask_often(gateway.address, 40, 4).await;
    }
    let rows = report(&with(usage.clone()), "consumer");
    assert_eq!(row(&rows, "consumer", "c1")["requests"], 30);
    assert_eq!(
        (sum(&rows, "requests"), sum(&rows, "tokens"), sum(&rows, "ended")),
        (120, 1800, 120)
    );
    // What is by minute says the same.
    let rows = report(&with(usage), "minute,upstream");
    assert_eq!((sum(&rows, "requests"), sum(&rows, "tokens")), (120, 1800));
}

#[tokio::test]
async fn a_reload_goes_on_and_can_change_the_store_or_end_it() {
    let folder = tempdir().unwrap();
    let (one, two) = (folder.path().join("one.db"), folder.path().join("two.db"));
    let usage = |file: &std::path::Path| with(setup(text(file), "").config.usage);
    let gateway = setup(text(&one), "").start();
    ask_often(gateway.address, 10, 1).await;
    gateway.handle.reload(setup(text(&one), "keep = \"30d\"").config).unwrap();
    ask_often(gateway.address, 10, 1).await;
    until_true(|| async { sum(&report(&usage(&one), "route"), "requests") == 20 }).await;
    gateway.handle.reload(setup(text(&two), "").config).unwrap();
    ask_often(gateway.address, 10, 1).await;
    until_true(|| async { sum(&report(&usage(&two), "route"), "requests") == 10 }).await;
    gateway.handle.reload(without().config).unwrap();
    ask_often(gateway.address, 10, 1).await;
    let page = Http1::admin(gateway.admin.unwrap(), "/usage").await;
    assert_eq!((page.status(), page.text().starts_with("no usage")), (404, true));
    drop(gateway);
    assert_eq!(sum(&report(&usage(&one), "route"), "requests"), 20);
    assert_eq!(sum(&report(&usage(&two), "route"), "requests"), 10);
}

#[tokio::test]
async fn admin_answers_questions_and_refuses_what_is_none() {
    let folder = tempdir().unwrap();
    let gateway = setup(text(&folder.path().join("usage.db")), "").start();
    let admin = gateway.admin.unwrap();
    ask_often(gateway.address, 12, 3).await;
    until_true(|| async {
        let answer = Http1::admin(admin, "/usage?by=consumer%2Croute&from=2020-01-01").await;
        let json: Value = serde_json::from_str(answer.text()).unwrap_or_default();
        sum(&json["rows"], "requests") == 12
    })
    .await;
    let answer = Http1::admin(admin, "/usage?by=hour,consumer").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(row(&json["rows"], "consumer", "c2")["requests"], 4);
    assert_eq!(json["counters"], json!(["ended", "tokens"]));
    let empty = Http1::admin(admin, "/usage?from=2020-01-01&to=2020-01-02").await;
    assert_eq!(serde_json::from_str::<Value>(empty.text()).unwrap()["rows"], json!([]));
    for (query, words) in [
        ("by=consumers", "did you mean `consumer`?"),
        ("by=route&since=today", "there is no `since`"),
        ("from=today", "`from` is no time"),
    ] {
        let answer = Http1::admin(admin, &format!("/usage?{query}")).await;
        assert_eq!(answer.status(), 400);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_file_that_goes_away_is_noticed_and_what_waits_is_written_when_it_can_be() {
    let folder = tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let file = inner.join("usage.db");
    let usage = setup(text(&file), "").config.usage;
    let gateway = setup(text(&file), "").start();
    ask_often(gateway.address, 5, 1).await;
    until_true(|| async { metric(&gateway, "gateway_usage_store_up").await == 1 }).await;
    // Its folder too, so that no file can be made in its place.
    std::fs::rename(&inner, folder.path().join("away")).unwrap();
    ask_often(gateway.address, 7, 1).await;
    until_true(|| async { metric(&gateway, "gateway_usage_store_up").await == 0 }).await;
    ask_often(gateway.address, 8, 1).await;
    until_true(|| async { metric(&gateway, "gateway_usage_rows_waiting").await > 0 }).await;
    std::fs::rename(folder.path().join("away"), &inner).unwrap();
    until_true(|| async { sum(&report(&with(usage.clone()), "route"), "requests") == 20 }).await;
    assert_eq!(metric(&gateway, "gateway_usage_rows_dropped_total").await, 0);
}

#[tokio::test]
async fn a_store_that_cannot_be_had_is_refused_at_the_start_and_at_a_reload() {
    let folder = tempdir().unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let no_database = folder.path().join("text.db");
    std::fs::write(
        &no_database,
        "nothing of SQLite, and longer than its head of 100 bytes".repeat(9),
    )
    .unwrap();
    let gateway = without().start();
    for (file, words) in [
        (foreign, "an SQLite file of something else"),
        (no_database, "not a database"),
        (folder.path().join("none/usage.db"), "there is no folder"),
        ("/dev/null/usage.db".into(), "usage cannot be recorded"),
    ] {
        let config = || setup(text(&file), "").config;
        let errors = gateway::Gateway::bind(config()).unwrap_err();
        assert!(errors[0].to_string().contains(words), "{errors:?}");
        assert!(gateway.handle.reload(config()).is_err());
    }
    assert_eq!(ask(gateway.address, "/bare", &[]).await.status(), 404);
}
