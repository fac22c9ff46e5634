//! Sums over days in an SQLite file: they say what the rows by day say, whatever happens to these.

use std::path::Path;
use std::time::Duration;

use gateway::config::Config;
use gateway::usage::Query;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::tempdir;

use super::support::{ask_often, setup, text, until_done};

/// The tables as the first version made them.
const VERSION_1: &str = include_str!("version-1/sqlite.sql");

/// Rows for 75 days before today: of 40 consumers, on some of 3 routes and with two classes of status each.
const ROWS: &str = "
    INSERT INTO names (id, name) VALUES (1, ''), (2, 'service'), (3, 'tokens'), (4, 'cost'),
        (5, 'r0'), (6, 'r1'), (7, 'r2');
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39)
    INSERT INTO names (id, name) SELECT 100 + i, 'consumer ' || i FROM n;
    WITH RECURSIVE d (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM d WHERE i < 75)
    INSERT INTO day_rows
    SELECT unixepoch() / 86400 - d.i, c.id, r.id, s.s, 2, 1 + (d.i * c.id) % 13, d.i, c.id, d.i * s.s
    FROM d, names AS c, names AS r, (SELECT 2 AS s UNION SELECT 5) AS s
    WHERE c.id >= 100 AND r.id BETWEEN 5 AND 7 AND (c.id + d.i) % r.id = 0;
    INSERT INTO day_amounts SELECT day, consumer, route, status, upstream, 3, requests * 10 FROM day_rows;
    INSERT INTO day_amounts SELECT day, consumer, route, status, upstream, 4, -day FROM day_rows
    WHERE consumer % 4 = 0;";

/// What questions are by here.
const BY: [&str; 9] = [
    "consumer",
    "route",
    "status,upstream",
    "consumer,route",
    "consumer,route,status,upstream",
    "day",
    "day,consumer",
    "month",
    "month,consumer,status",
];

fn read(config: &Config, by: &str, from: Option<&str>, to: Option<&str>) -> Value {
    let query = Query::parse(by, from, to).unwrap();
    query.read(config.usage.as_ref().unwrap(), Duration::from_secs(60)).unwrap().json()
}

fn number(file: &Path, sql: &str) -> i64 {
    Connection::open(file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn dates(file: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(file).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>();
    found.unwrap()
}

/// All that is asked, over ranges that begin and end anywhere.
fn answers(file: &Path) -> Vec<Value> {
    let config = setup(text(file), "").config;
    let sql = "WITH RECURSIVE d (i) AS (SELECT -80 UNION ALL SELECT i + 1 FROM d WHERE i < 1)
               SELECT date(unixepoch() + i * 86400, 'unixepoch') FROM d";
    let days = dates(file, sql);
    let mut answers = Vec::new();
    for by in BY {
        answers.push(read(&config, by, None, None));
        for (index, from) in days.iter().enumerate().step_by(11) {
            answers.push(read(&config, by, Some(from), None));
            for to in days[index + 1..].iter().step_by(16) {
                answers.push(read(&config, by, Some(from), Some(to)));
            }
        }
    }
    answers
}

/// The answers by sums are those of the rows by day.
fn compare(folder: &Path, file: &Path) {
    let copy = folder.join("copy.db");
    let _none = std::fs::remove_file(&copy);
    Connection::open(file).unwrap().execute("VACUUM INTO ?1", [text(&copy)]).unwrap();
    let found = answers(&copy);
    assert!(found.len() > 200 && found[0]["rows"].as_array().unwrap().len() > 2);
    // As if nothing was summed.
    Connection::open(&copy).unwrap().execute("UPDATE summed SET ended = 0", []).unwrap();
    for (by_sums, by_days) in found.iter().zip(answers(&copy)) {
        assert_eq!(*by_sums, by_days);
    }
}

/// The days until today are summed up.
async fn until_summed(file: &Path) {
    let sql = "SELECT ended >= (unixepoch() - 900) / 86400 FROM summed";
    until_done(|| async { number(file, sql) == 1 }).await;
}

/// Runs a gateway until the days are summed up and this is so.
async fn run(file: &Path, more: &str, done: &str) {
    let gateway = setup(text(file), more).start();
    ask_often(gateway.address, 4, 1).await;
    until_done(|| async { number(file, &format!("SELECT {done}")) == 1 }).await;
    until_done(|| async { number(file, "PRAGMA user_version") == 2 }).await;
    until_summed(file).await;
}

#[tokio::test]
async fn a_file_of_the_former_version_is_taken_over_and_sums_say_what_its_days_say() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    let old = Connection::open(&file).unwrap();
    old.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").unwrap();
    old.execute_batch(VERSION_1).unwrap();
    old.execute_batch(ROWS).unwrap();
    let count = number(&file, "SELECT count(*) FROM day_rows");
    // It is read before any gateway of this version wrote to it.
    let config = setup(text(&file), "").config;
    let before = read(&config, "consumer", None, Some(&dates(&file, "SELECT date()")[0]));
    assert_eq!(number(&file, "PRAGMA user_version"), 1);

    run(&file, "", "true").await;
    assert_eq!(
        number(&file, "SELECT count(*) FROM day_rows WHERE day < unixepoch() / 86400"),
        count
    );
    assert_eq!(read(&config, "consumer", None, Some(&dates(&file, "SELECT date()")[0])), before);
    assert!(number(&file, "SELECT count(*) FROM sums") > 1_000);
    compare(folder.path(), &file);

    // The former gateway has the file open yet: what it adds, changes and removes is in the sums as well.
    let late = "WITH RECURSIVE d (i) AS (SELECT 2 UNION ALL SELECT i + 7 FROM d WHERE i < 60)
        INSERT INTO day_rows SELECT unixepoch() / 86400 - d.i, c.id, 5, 4, 2, 3, 4, 5, 6
        FROM d, names AS c WHERE c.id >= 100
        ON CONFLICT DO UPDATE SET requests = requests + excluded.requests;";
    for _ in 0..2 {
        old.execute_batch(late).unwrap();
    }
    old.execute_batch(
        "INSERT INTO day_amounts SELECT day, consumer, route, status, upstream, 3, 8 FROM day_rows
         WHERE status = 4 AND day < unixepoch() / 86400;
         UPDATE day_amounts SET amount = amount + 1 WHERE consumer = 105;",
    )
    .unwrap();
    compare(folder.path(), &file);
    old.execute_batch(
        "DELETE FROM day_amounts WHERE day < unixepoch() / 86400 - 50;
         DELETE FROM day_rows WHERE day < unixepoch() / 86400 - 50;
         DELETE FROM day_amounts WHERE consumer = 107; DELETE FROM day_rows WHERE consumer = 107;
         DELETE FROM names WHERE id = 107;",
    )
    .unwrap();
    compare(folder.path(), &file);
}

#[tokio::test]
async fn what_is_removed_is_in_no_sum() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    run(&file, "", "true").await;
    let connection = Connection::open(&file).unwrap();
    let ids =
        "DELETE FROM names; DELETE FROM day_rows; DELETE FROM minute_rows; DELETE FROM day_amounts;
               DELETE FROM minute_amounts; DELETE FROM sums; DELETE FROM sum_amounts;
               UPDATE summed SET ended = 0;";
    connection.execute_batch(&format!("{ids}{ROWS}")).unwrap();
    drop(connection);
    run(&file, "", "true").await;
    compare(folder.path(), &file);
    // In the middle of a month, mostly.
    for keep in [58, 47, 20, 3] {
        let oldest = "unixepoch() / 86400 - min(day) FROM day_rows";
        let done = oldest.replace("FROM", &format!("<= {keep} FROM"));
        run(&file, &format!("keep = \"{keep}d\""), &done).await;
        let removed = number(&file, "SELECT unixepoch() / 86400 - removed FROM summed");
        assert_eq!(removed, number(&file, &format!("SELECT {oldest}")));
        let of_removed = "SELECT count(*) FROM sums, summed WHERE first < removed";
        assert_eq!(number(&file, of_removed), 0);
        compare(folder.path(), &file);
    }
    // What comes for a day that is no more is right all the same.
    let connection = Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "INSERT INTO day_rows SELECT unixepoch() / 86400 - 9, id, 5, 4, 2, 3, 4, 5, 6 FROM names
             WHERE id >= 100",
        )
        .unwrap();
    compare(folder.path(), &file);
    let done = "NOT EXISTS (SELECT * FROM day_rows WHERE day < unixepoch() / 86400 - 3)";
    run(&file, "keep = \"3d\"", done).await;
    compare(folder.path(), &file);
}

#[tokio::test]
async fn the_size_holds_with_the_sums_and_the_rest_stays_right() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("usage.db");
    let old = Connection::open(&file).unwrap();
    old.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").unwrap();
    old.execute_batch(VERSION_1).unwrap();
    old.execute_batch(ROWS).unwrap();
    old.execute_batch(
        "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 2400)
         INSERT INTO names (id, name) SELECT i, 'more ' || i FROM n;
         INSERT INTO day_rows SELECT DISTINCT d.day, n.id, 5, 2, 2, 9, 9, 9, 9 FROM day_rows AS d, names AS n
         WHERE n.id >= 1000;",
    )
    .unwrap();
    drop(old);
    let before = std::fs::metadata(&file).unwrap().len();
    assert!(before > 1 << 20, "{before}");
    run(&file, "size = \"1MiB\"", "true").await;
    assert!(std::fs::metadata(&file).unwrap().len() <= 1 << 20);
    assert!(number(&file, "SELECT count(DISTINCT day) FROM day_rows") > 5);
    assert!(number(&file, "SELECT count(*) FROM sums") > 400);
    compare(folder.path(), &file);
}
