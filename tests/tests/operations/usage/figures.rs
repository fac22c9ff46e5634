//! How large the file of a large fleet becomes, and how long questions take. Takes minutes, and so runs only when
//! asked: `cargo test --workspace --test operations -- --ignored --nocapture usage::figures`.

use std::time::{Duration, Instant};

use gateway::usage::Query;
use rusqlite::Connection;
use tempfile::tempdir;

use super::support::{ask_often, setup, text};

/// 100,000 consumers, each on 10 routes, for 30 days.
const CONSUMERS: usize = 100_000;
const ROUTES: usize = 10;
const DAYS: usize = 30;

#[tokio::test]
#[ignore = "takes minutes"]
async fn of_a_hundred_thousand_consumers() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    let setup_it = || setup(text(&file), "size = \"100GiB\"");
    ask_often(setup_it().start().address, 4, 1).await;
    let usage = setup_it().config.usage.unwrap();
    let connection = Connection::open(&file).unwrap();
    let begun = Instant::now();
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF; DELETE FROM day_rows; DELETE FROM minute_rows;
             DELETE FROM day_amounts; DELETE FROM minute_amounts; DELETE FROM sums; DELETE FROM sum_amounts;
             UPDATE summed SET ended = 0;
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS
                 (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {CONSUMERS}) SELECT i FROM n;
             INSERT INTO names (id, name) SELECT 1000 + i, printf('consumer-%016x', i * 7919) FROM n;
             INSERT INTO names (id, name) SELECT 900 + i, 'route-' || i FROM n WHERE i <= {ROUTES};"
        ))
        .unwrap();
    for day in 0..DAYS {
        connection
            .execute_batch(&format!(
                "INSERT INTO day_rows SELECT unixepoch() / 86400 - {DAYS} + 1 + {day}, 1000 + c.i, 900 + r.i, 2,
                     901, 1 + (c.i * r.i) % 200, 40000 + c.i, 900000 + c.i * r.i, 3000000 + c.i
                 FROM n AS c, n AS r WHERE r.i <= {ROUTES} ORDER BY 1, 2, 3;"
            ))
            .unwrap();
    }
    drop(connection);
    let rows = CONSUMERS * ROUTES * DAYS;
    let bytes = std::fs::metadata(&file).unwrap().len();
    println!(
        "{rows} rows by day: {bytes} bytes, {} a row, made in {:?}",
        bytes / rows as u64,
        begun.elapsed()
    );
    let begun = Instant::now();
    let gateway = setup_it().start();
    ask_often(gateway.address, 4, 1).await;
    let is_summed = "SELECT ended >= (unixepoch() - 900) / 86400 FROM summed";
    while Connection::open(&file).unwrap().query_row(is_summed, [], |row| row.get::<_, i64>(0))
        != Ok(1)
    {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    drop(gateway);
    let bytes = std::fs::metadata(&file).unwrap().len();
    println!("with sums: {bytes} bytes, made in {:?}", begun.elapsed());
    let today = {
        let connection = Connection::open(&file).unwrap();
        connection.query_row("SELECT date('now')", [], |row| row.get::<_, String>(0)).unwrap()
    };
    for (by, from) in [
        ("consumer", Some(&*today)),
        ("route", Some(&*today)),
        ("consumer,route", Some(&*today)),
        ("consumer", None),
        ("consumer,route", None),
        ("month,consumer", None),
        ("day", None),
    ] {
        let query = Query::parse(by, from, None).unwrap();
        let begun = Instant::now();
        let report = query.read(&usage, Duration::from_secs(600)).unwrap();
        let took = begun.elapsed();
        let count = report.json()["rows"].as_array().unwrap().len();
        println!(
            "--by {by}, {}: {took:?}, {count} rows",
            if from.is_some() { "a day" } else { "30 days" }
        );
    }
}
