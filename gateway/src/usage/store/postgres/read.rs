//! Questions to PostgreSQL.
//!
//! Owns the SQL. The server adds up; a question has its own connection.

use std::time::Duration;

use tokio_postgres::{IsolationLevel, Row};

use super::{DAY, MINUTE, connect, runtime, within};
use crate::config::PostgresStore;
use crate::usage::query::{By, Query};
use crate::usage::report::{Part, Report, Totals};
use crate::usage::rows;
use crate::usage::store::StoreError;

/// Answers a question.
pub(in crate::usage::store) fn read(
    store: &PostgresStore,
    query: &Query,
    timeout: Duration,
) -> Result<Report, StoreError> {
    let is_by_day = query.is_by_day();
    let time = if is_by_day { DAY } else { MINUTE };
    let column = |by: &By| match by {
        By::Day if is_by_day => "(day - DATE '1970-01-01')::int8".to_owned(),
        By::Minute => unit(60),
        By::Hour => unit(3_600),
        By::Day => unit(86_400),
        By::Status => "status::int8".to_owned(),
        By::Route | By::Consumer | By::Upstream => by.name().to_owned(),
    };
    let by: Vec<_> = query.by.iter().map(column).collect();
    let (by, count) = (by.join(", "), by.len());
    let scale = if is_by_day { rows::DAY } else { 1 };
    let bound = |operator: &str, time_: Option<i64>| {
        let value = time.value(&(time_? / scale).to_string());
        Some(format!("{} {operator} {value}", time.column))
    };
    let bounds: Vec<_> =
        [bound(">=", query.from), bound("<", query.to)].into_iter().flatten().collect();
    let condition = match bounds.is_empty() {
        true => String::new(),
        false => format!("WHERE {}", bounds.join(" AND ")),
    };
    let numbers = format!(
        "SELECT {by}, sum(requests)::float8, sum(request_bytes)::float8, \
         sum(response_bytes)::float8, sum(duration_us)::float8 FROM {} {condition} GROUP BY {by}",
        time.rows
    );
    let amounts = format!(
        "SELECT {by}, counter, sum(amount)::float8 FROM {} {condition} GROUP BY {by}, counter",
        time.counters
    );
    let runtime = runtime()?;
    within(&runtime, timeout, async {
        let mut client = connect(store).await?;
        let transaction = client.build_transaction().read_only(true);
        // One moment for all that is read.
        let transaction = transaction.isolation_level(IsolationLevel::RepeatableRead);
        let transaction = transaction.start().await?;
        let found = transaction.query(&numbers, &[]).await?;
        let mut totals = Vec::with_capacity(found.len());
        for row in &found {
            let number = |index: usize| row.try_get::<_, f64>(count + index).map(|it| it as i64);
            let numbers = Totals {
                requests: number(0)?,
                request_bytes: number(1)?,
                response_bytes: number(2)?,
                duration_us: number(3)?,
            };
            totals.push((group(query, row)?, numbers));
        }
        let found = transaction.query(&amounts, &[]).await?;
        let mut added = Vec::with_capacity(found.len());
        for row in &found {
            let amount = row.try_get::<_, f64>(count + 1)? as i64;
            added.push((group(query, row)?, row.try_get(count)?, amount));
        }
        Ok(Report::new(query, totals, added))
    })
}

fn unit(seconds: u32) -> String {
    format!("(extract(epoch FROM minute)::int8 / {seconds})")
}

fn group(query: &Query, row: &Row) -> Result<Vec<Part>, tokio_postgres::Error> {
    let part = |(index, by): (usize, &By)| match by {
        By::Minute | By::Hour | By::Day | By::Status => row.try_get(index).map(Part::Number),
        By::Route | By::Consumer | By::Upstream => row.try_get(index).map(Part::Name),
    };
    query.by.iter().enumerate().map(part).collect()
}
