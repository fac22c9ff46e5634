//! Sums over days in PostgreSQL, beside a gateway of the former version, and where a role may not make them.

use std::time::Duration;

use gateway::config::Config;
use gateway::usage::Query;
use serde_json::Value;

use super::super::support::{ask_often, report, setup, sum, until_done};
use super::Server;

/// The tables as the first version made them.
const VERSION_1: &str = include_str!("../version-1/postgres.sql");

/// Rows for 75 days before today.
const ROWS: &str = "
    INSERT INTO usage_days
    SELECT (now() AT TIME ZONE 'UTC')::date - d, 'consumer ' || c, 'route ' || r, s, 'service',
        1 + (d * c) % 13, d, c, d * s
    FROM generate_series(1, 75) AS d, generate_series(1, 30) AS c, generate_series(1, 3) AS r,
        (VALUES (2), (5)) AS t (s)
    WHERE (c + d) % (r + 4) = 0;
    INSERT INTO usage_day_counters SELECT day, consumer, route, status, upstream, 'tokens', requests * 10
    FROM usage_days;
    INSERT INTO usage_day_counters SELECT day, consumer, route, status, upstream, 'cost', -duration_us
    FROM usage_days WHERE status = 5;";

/// What a gateway of the former version sends with a batch.
const FORMER: &str = "
    INSERT INTO usage_days AS u (day, consumer, route, status, upstream, requests,
        request_bytes, response_bytes, duration_us)
    SELECT (DATE '1970-01-01' + (t)::int), c, r, s, p, n, q, a, d
    FROM (SELECT ((now() AT TIME ZONE 'UTC')::date - DATE '1970-01-01')::int8 - i, 'consumer ' || c, 'route 1',
        2::int2, 'service', 3, 4, 5, 6 FROM generate_series(0, 60, 7) AS i, generate_series(1, 40) AS c)
        AS new (t, c, r, s, p, n, q, a, d)
    ON CONFLICT (day, consumer, route, status, upstream) DO UPDATE SET
        requests = u.requests + excluded.requests,
        request_bytes = u.request_bytes + excluded.request_bytes,
        response_bytes = u.response_bytes + excluded.response_bytes,
        duration_us = u.duration_us + excluded.duration_us;
    INSERT INTO usage_day_counters AS u (day, consumer, route, status, upstream, counter, amount)
    SELECT day, consumer, route, status, upstream, 'tokens', 7 FROM usage_days WHERE route = 'route 1'
    ON CONFLICT (day, consumer, route, status, upstream, counter) DO UPDATE SET
        amount = greatest(-9007199254740991, least(9007199254740991, u.amount + excluded.amount));";

const BY: [&str; 7] = [
    "consumer",
    "route,status",
    "consumer,route",
    "consumer,route,status,upstream",
    "day",
    "day,consumer",
    "month,consumer",
];

/// Runs statements, as the role that owns the database or another.
async fn run(url: &str, sql: &str) {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let run = move || {
        let mut config: postgres::Config = url.parse().unwrap();
        let mut client = config.password("secret").connect(postgres::NoTls).unwrap();
        client.batch_execute(&sql).unwrap();
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

/// All that is asked, over ranges that begin and end anywhere.
async fn answers(config: Config) -> Vec<Value> {
    let answer = move || {
        let usage = config.usage.as_ref().unwrap();
        let read = |by: &str, from: Option<&str>, to: Option<&str>| {
            let query = Query::parse(by, from, to).unwrap();
            query.read(usage, Duration::from_secs(60)).unwrap().json()
        };
        let today =
            read("day", None, None)["rows"].as_array().unwrap().last().unwrap()["day"].clone();
        let today = today.as_str().unwrap().to_owned();
        let mut answers = Vec::new();
        for by in BY {
            answers.push(read(by, None, None));
            answers.push(read(by, None, Some(&today)));
            let days = read("day", None, None);
            let days: Vec<_> = days["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["day"].as_str().unwrap())
                .collect();
            for (index, from) in days.iter().enumerate().step_by(17) {
                answers.push(read(by, Some(from), None));
                for to in days[index + 1..].iter().step_by(23) {
                    answers.push(read(by, Some(from), Some(to)));
                }
            }
        }
        answers
    };
    tokio::task::spawn_blocking(answer).await.unwrap()
}

/// The answers by sums are those of the rows by day.
async fn compare(server: &Server) {
    let found = answers(server.setup().config).await;
    assert!(found.len() > 20 && found[0]["rows"].as_array().unwrap().len() > 2, "{}", found.len());
    let nothing = "CREATE TABLE kept AS SELECT * FROM usage_summed; UPDATE usage_summed SET ended = '1970-01-01'";
    run(&server.url(), nothing).await;
    let by_days = answers(server.setup().config).await;
    run(&server.url(), "UPDATE usage_summed SET ended = kept.ended FROM kept; DROP TABLE kept")
        .await;
    for (by_sums, by_days) in found.iter().zip(by_days) {
        assert_eq!(*by_sums, by_days);
    }
}

const IS_SUMMED: &str = "SELECT count(*) FROM usage_summed WHERE ended > \
                         ((now() - interval '16 minutes') AT TIME ZONE 'UTC')::date - 1";

async fn until_summed(server: &Server) {
    until_done(|| async { server.count(IS_SUMMED).await == Some(1) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_say_what_the_days_say_beside_a_gateway_of_the_former_version() {
    let Some(server) = Server::start().await else { return };
    run(&server.url(), VERSION_1).await;
    run(&server.url(), ROWS).await;
    // The former gateway's role knows the tables of that time and no others.
    run(
        &server.url(),
        "CREATE ROLE former LOGIN PASSWORD 'secret';
         GRANT SELECT, INSERT, UPDATE, DELETE ON usage_minutes, usage_days, usage_minute_counters,
         usage_day_counters, usage_writers TO former",
    )
    .await;
    let former = server.url().replace("gateway@", "former@");
    let before = server.count("SELECT sum(requests) FROM usage_days").await.unwrap();
    {
        let gateway = server.setup().start();
        ask_often(gateway.address, 6, 2).await;
        until_summed(&server).await;
        compare(&server).await;
        assert!(server.count("SELECT count(*) FROM usage_sums").await.unwrap() > 1_000);
        // It goes on: today's rows, late ones, changes, and its own removal of what is old.
        for _ in 0..2 {
            run(&former, FORMER).await;
        }
        compare(&server).await;
        run(
            &former,
            "DELETE FROM usage_days WHERE day < now() - interval '50 days';
             DELETE FROM usage_day_counters WHERE day < now() - interval '50 days';",
        )
        .await;
        compare(&server).await;
        ask_often(gateway.address, 6, 2).await;
    }
    compare(&server).await;
    let rows = answers(server.setup().config).await.remove(0);
    assert!(sum(&rows["rows"], "requests") > 12 && before > 1_000);
    // What is removed here is in no sum.
    {
        let more = "password = \"${env:PASSWORD}\"\nkeep = \"20d\"";
        let gateway = setup(&server.url(), more).start();
        ask_often(gateway.address, 4, 1).await;
        until_done(|| async {
            let sql = "SELECT count(*) FROM usage_days WHERE day < now() - interval '22 days'";
            server.count(sql).await == Some(0)
        })
        .await;
    }
    let sql = "SELECT count(*) FROM usage_sums, usage_summed WHERE first < removed";
    assert_eq!(server.count(sql).await, Some(0));
    compare(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_the_sums_goes_on_without_them() {
    let Some(server) = Server::start().await else { return };
    run(&server.url(), VERSION_1).await;
    run(&server.url(), ROWS).await;
    run(
        &server.url(),
        "CREATE ROLE writer LOGIN PASSWORD 'secret';
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer",
    )
    .await;
    let writer =
        || setup(&server.url().replace("gateway@", "writer@"), "password = \"${env:PASSWORD}\"");
    let before = server.count("SELECT sum(requests) FROM usage_days").await.unwrap();
    let all = |requests: i64| {
        let found = report(&writer().config, "consumer");
        async move { sum(&found, "requests") == requests }
    };
    let gateway = writer().start();
    ask_often(gateway.address, 6, 2).await;
    until_done(|| all(before + 6)).await;
    assert_eq!(
        server.count("SELECT count(*) WHERE to_regclass('usage_sums') IS NULL").await,
        Some(1)
    );
    // Another made them, and the role may not read them yet.
    {
        let owner = server.setup().start();
        ask_often(owner.address, 6, 2).await;
        until_summed(&server).await;
    }
    ask_often(gateway.address, 6, 2).await;
    until_done(|| all(before + 18)).await;
    // With the rights that are documented, it uses them.
    drop(gateway);
    run(
        &server.url(),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer",
    )
    .await;
    run(
        &server.url(),
        "UPDATE usage_summed SET ended = '1970-01-01'; DELETE FROM usage_sums; \
                        DELETE FROM usage_sum_counters",
    )
    .await;
    let gateway = writer().start();
    ask_often(gateway.address, 6, 2).await;
    until_summed(&server).await;
    drop(gateway);
    assert!(all(before + 24).await);
    compare(&server).await;
}
