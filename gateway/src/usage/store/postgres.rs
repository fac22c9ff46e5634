//! Usage in PostgreSQL, which several gateways may share.
//!
//! Owns the connection and its times, the tables, and that a batch counts once: its number is written in
//! the same transaction, so that one whose end was not heard of is not added again.

mod read;
mod sums;
mod tls;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Transaction};

pub(super) use self::read::read;
use self::tls::Tls;
use super::{Batch, StoreError};
use crate::config::PostgresStore;
use crate::usage::amounts::MAX_AMOUNT;
use crate::usage::rows::{Key, Named, Numbers, Sized};

/// To be connected.
const CONNECT: Duration = Duration::from_secs(5);
/// For a batch, or for what is too old.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a day that is added to the sums.
const LONG: Duration = Duration::from_secs(120);
/// Rows of one statement.
const CHUNK: usize = 5_000;

const SCHEMA: &str = include_str!("postgres/schema.sql");

/// A connection.
pub(in crate::usage) struct Postgres {
    runtime: Runtime,
    client: Client,
    /// Whether there are sums over days.
    has_sums: bool,
}

/// What PostgreSQL said: the server's own words are behind the library's.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        }
    }
}

/// Runs a step on a runtime of this thread, for so long.
fn within<T>(
    runtime: &Runtime,
    time: Duration,
    step: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    runtime.block_on(async {
        let ended = tokio::time::timeout(time, step).await;
        ended.unwrap_or_else(|_| {
            Err(StoreError::Other(format!("PostgreSQL: no answer within {} s", time.as_secs())))
        })
    })
}

fn runtime() -> Result<Runtime, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| StoreError::Other(error.to_string()))
}

async fn connect(store: &PostgresStore) -> Result<Client, StoreError> {
    let mut config = Config::from_str(&store.url)?;
    if let Some(password) = &store.password {
        config.password(password);
    }
    config.connect_timeout(CONNECT).application_name("gateway");
    let (client, connection) = config.connect(Tls::new(store)?).await?;
    tokio::spawn(async move {
        // The user of the client gets the error.
        let _ended = connection.await;
    });
    Ok(client)
}

impl Postgres {
    pub(super) fn open(store: &PostgresStore) -> Result<Self, StoreError> {
        let runtime = runtime()?;
        let (client, has_sums) = within(&runtime, CONNECT * 2, async {
            let mut client = connect(store).await?;
            create(&mut client).await?;
            let has_sums = sums::create(&mut client).await?;
            Ok((client, has_sums))
        })?;
        Ok(Self { runtime, client, has_sums })
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let client = &mut self.client;
        within(&self.runtime, PATIENCE, async {
            let transaction = client.transaction().await?;
            let sql = "INSERT INTO usage_writers AS w (writer, batch, at) VALUES ($1, $2, now()) \
                       ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, at = now() \
                       WHERE w.batch < excluded.batch";
            if transaction.execute(sql, &[&&*batch.writer, &batch.number]).await? == 0 {
                // It was added already, and only the answer was lost.
                return Ok(());
            }
            add_numbers(&transaction, MINUTE, &batch.rows.minutes).await?;
            add_numbers(&transaction, DAY, &batch.rows.days).await?;
            add_amounts(&transaction, MINUTE, &batch.rows.minute_counters).await?;
            add_amounts(&transaction, DAY, &batch.rows.day_counters).await?;
            transaction.commit().await?;
            Ok(())
        })
    }

    /// Adds a day that has ended to the sums. Whether there may be another.
    pub(super) fn add_to_sums(&mut self, last_day: i64) -> Result<bool, StoreError> {
        match self.has_sums {
            true => within(&self.runtime, LONG, sums::add_a_day(&mut self.client, last_day)),
            false => Ok(false),
        }
    }

    pub(super) fn sweep(&mut self, first_minute: i64, first_day: i64) -> Result<(), StoreError> {
        let (client, has_sums) = (&mut self.client, self.has_sums);
        within(&self.runtime, PATIENCE, async {
            for (time, first) in [(MINUTE, first_minute), (DAY, first_day)] {
                let (column, first_sql) = (time.column, time.value(&first.to_string()));
                let transaction = client.transaction().await?;
                let sql =
                    format!("SELECT 1 FROM {} WHERE {column} < {first_sql} LIMIT 1", time.rows);
                if has_sums
                    && time.column == DAY.column
                    && !transaction.query(&sql, &[]).await?.is_empty()
                {
                    sums::remove_before(&transaction, first).await?;
                }
                for table in [time.rows, time.counters] {
                    let sql = format!("DELETE FROM {table} WHERE {column} < {first_sql}");
                    transaction.execute(&sql, &[]).await?;
                }
                transaction.commit().await?;
            }
            let sql = "DELETE FROM usage_writers WHERE at < now() - interval '7 days'";
            client.execute(sql, &[]).await?;
            Ok(())
        })
    }
}

/// Makes the tables, unless they are there: a role that may only write to them needs no more.
async fn create(client: &mut Client) -> Result<(), StoreError> {
    let there = "SELECT to_regclass('usage_day_counters') IS NOT NULL";
    if client.query_one(there, &[]).await?.get(0) {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // Two gateways that begin at the same time would make them both.
    transaction.execute("SELECT pg_advisory_xact_lock(1199011187)", &[]).await?;
    transaction.batch_execute(SCHEMA).await?;
    transaction.commit().await?;
    Ok(())
}

/// The tables of one unit of time.
#[derive(Debug, Clone, Copy)]
struct Time {
    rows: &'static str,
    counters: &'static str,
    column: &'static str,
}

const MINUTE: Time =
    Time { rows: "usage_minutes", counters: "usage_minute_counters", column: "minute" };
const DAY: Time = Time { rows: "usage_days", counters: "usage_day_counters", column: "day" };

impl Time {
    /// The SQL for a number of units since 1970.
    fn value(self, number: &str) -> String {
        match self.column {
            "minute" => format!("to_timestamp({number} * 60)"),
            _ => format!("(DATE '1970-01-01' + ({number})::int)"),
        }
    }
}

/// The columns of keys, as the arrays that a statement takes.
#[derive(Default)]
struct Keys<'r> {
    times: Vec<i64>,
    consumers: Vec<&'r str>,
    routes: Vec<&'r str>,
    statuses: Vec<i16>,
    upstreams: Vec<&'r str>,
}

impl<'r> Keys<'r> {
    fn push(&mut self, time: i64, key: &'r Key) {
        self.times.push(time);
        self.consumers.push(&key.consumer);
        self.routes.push(&key.route);
        self.statuses.push(key.status);
        self.upstreams.push(&key.upstream);
    }

    fn columns(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![&self.times, &self.consumers, &self.routes, &self.statuses, &self.upstreams]
    }
}

async fn add_numbers(
    transaction: &Transaction<'_>,
    time: Time,
    rows: &Sized<Numbers>,
) -> Result<(), StoreError> {
    let Time { rows: table, column, .. } = time;
    let value = time.value("t");
    let sql = format!(
        "INSERT INTO {table} AS u ({column}, consumer, route, status, upstream, requests,
             request_bytes, response_bytes, duration_us)
         SELECT {value}, c, r, s, p, n, q, a, d
         FROM unnest($1::int8[], $2::text[], $3::text[], $4::int2[], $5::text[], $6::int8[],
             $7::int8[], $8::int8[], $9::int8[]) AS new (t, c, r, s, p, n, q, a, d)
         ON CONFLICT ({column}, consumer, route, status, upstream) DO UPDATE SET
             requests = u.requests + excluded.requests,
             request_bytes = u.request_bytes + excluded.request_bytes,
             response_bytes = u.response_bytes + excluded.response_bytes,
             duration_us = u.duration_us + excluded.duration_us"
    );
    let statement = transaction.prepare(&sql).await?;
    let rows: Vec<_> = rows.iter().collect();
    for chunk in rows.chunks(CHUNK) {
        let mut keys = Keys::default();
        let mut numbers: [Vec<i64>; 4] = Default::default();
        for ((time, key), all) in chunk {
            keys.push(*time, key);
            let all = [all.requests, all.request_bytes, all.response_bytes, all.duration_us];
            numbers.iter_mut().zip(all).for_each(|(column, number)| column.push(number));
        }
        let mut columns = keys.columns();
        columns.extend(numbers.iter().map(|column| column as &(dyn ToSql + Sync)));
        transaction.execute(&statement, &columns).await?;
    }
    Ok(())
}

async fn add_amounts(
    transaction: &Transaction<'_>,
    time: Time,
    rows: &Named,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let Time { counters: table, column, .. } = time;
    let value = time.value("t");
    let sql = format!(
        "INSERT INTO {table} AS u ({column}, consumer, route, status, upstream, counter, amount)
         SELECT {value}, c, r, s, p, n, a
         FROM unnest($1::int8[], $2::text[], $3::text[], $4::int2[], $5::text[], $6::text[],
             $7::int8[]) AS new (t, c, r, s, p, n, a)
         ON CONFLICT ({column}, consumer, route, status, upstream, counter) DO UPDATE SET
             amount = greatest(-{MAX_AMOUNT}, least({MAX_AMOUNT}, u.amount + excluded.amount))"
    );
    let statement = transaction.prepare(&sql).await?;
    let rows: Vec<_> = rows.iter().collect();
    for chunk in rows.chunks(CHUNK) {
        let mut keys = Keys::default();
        let (mut names, mut amounts) = (Vec::<&Arc<str>>::new(), Vec::new());
        for (((time, key), name), amount) in chunk {
            keys.push(*time, key);
            names.push(name);
            amounts.push(**amount);
        }
        let names: Vec<&str> = names.iter().map(|name| &***name).collect();
        let mut columns = keys.columns();
        columns.extend([&names as &(dyn ToSql + Sync), &amounts]);
        transaction.execute(&statement, &columns).await?;
    }
    Ok(())
}
