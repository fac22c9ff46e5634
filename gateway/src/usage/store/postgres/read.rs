//! Questions to PostgreSQL.
//!
//! Owns the SQL. The server adds up, out of the fewest rows; a question has its own connection.

use std::time::Duration;

use tokio_postgres::{IsolationLevel, Row};

use super::{DAY, MINUTE, connect, runtime, sums, within};
use crate::config::PostgresStore;
use crate::usage::query::{By, Query};
use crate::usage::report::{Part, Report, Totals};
use crate::usage::store::StoreError;
use crate::usage::sums::{Slice, Source, Summed, plan};

/// Answers a question.
pub(in crate::usage::store) fn read(
    store: &PostgresStore,
    query: &Query,
    timeout: Duration,
) -> Result<Report, StoreError> {
    let runtime = runtime()?;
    within(&runtime, timeout, async {
        let mut client = connect(store).await?;
        let transaction = client.build_transaction().read_only(true);
        // One moment for all that is read.
        let transaction = transaction.isolation_level(IsolationLevel::RepeatableRead);
        let transaction = transaction.start().await?;
        let Sql { numbers, amounts } = sql(query, sums::summed(&transaction).await?);
        let count = query.by.len();
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

/// The two statements that answer a question.
struct Sql {
    numbers: String,
    amounts: String,
}

fn sql(query: &Query, summed: Summed) -> Sql {
    let slices = plan(query, summed);
    let by: Vec<_> = (1..=query.by.len()).map(|place| format!("g{place}")).collect();
    let by = by.join(", ");
    let union = |values: &str, is_of_counters: bool| {
        let one = |slice: &Slice| select(query, *slice, values, is_of_counters);
        slices.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    };
    let rows = union("requests, request_bytes, response_bytes, duration_us", false);
    let counters = union("counter, amount", true);
    Sql {
        // A sum out of which all was taken again is none.
        numbers: format!(
            "SELECT {by}, sum(requests)::float8, sum(request_bytes)::float8, \
             sum(response_bytes)::float8, sum(duration_us)::float8 FROM ({rows}) AS r GROUP BY {by} \
             HAVING sum(requests) <> 0 OR bool_or(is_own)"
        ),
        amounts: format!(
            "SELECT {by}, counter, sum(amount)::float8 FROM ({counters}) AS r GROUP BY {by}, counter"
        ),
    }
}

/// The rows of a part of the question.
fn select(query: &Query, slice: Slice, values: &str, is_of_counters: bool) -> String {
    let (rows, counters, column) = match slice.source {
        Source::Minutes => (MINUTE.rows, MINUTE.counters, MINUTE.column),
        Source::Days => (DAY.rows, DAY.counters, DAY.column),
        Source::Sums(_) => ("usage_sums", "usage_sum_counters", "first"),
    };
    let time = if slice.source == Source::Minutes { MINUTE } else { DAY };
    let by = query.by.iter().enumerate().map(|(index, by)| {
        let value = match by {
            By::Minute => unit(60),
            By::Hour => unit(3_600),
            By::Day if time.column == MINUTE.column => unit(86_400),
            By::Month if time.column == MINUTE.column => {
                since_1970("date_trunc('month', minute AT TIME ZONE 'UTC')::date")
            }
            By::Day => since_1970(column),
            By::Month => since_1970(&format!("date_trunc('month', {column})::date")),
            By::Status => "status::int8".to_owned(),
            By::Route | By::Consumer | By::Upstream => by.name().to_owned(),
        };
        format!("{value} AS g{}", index + 1)
    });
    let mut conditions = Vec::new();
    if let Source::Sums(sum) = slice.source {
        conditions.push(format!("unit = {}", sum.code));
    }
    for (operator, at) in [(">=", slice.from), ("<", slice.end)] {
        conditions
            .extend(at.map(|at| format!("{column} {operator} {}", time.value(&at.to_string()))));
    }
    if conditions.is_empty() {
        conditions.push("true".to_owned());
    }
    format!(
        "SELECT {}, {values}, {} AS is_own FROM {} WHERE {}",
        by.collect::<Vec<_>>().join(", "),
        !matches!(slice.source, Source::Sums(_)),
        if is_of_counters { counters } else { rows },
        conditions.join(" AND ")
    )
}

fn unit(seconds: u32) -> String {
    format!("(extract(epoch FROM minute)::int8 / {seconds})")
}

fn since_1970(date: &str) -> String {
    format!("({date} - DATE '1970-01-01')::int8")
}

fn group(query: &Query, row: &Row) -> Result<Vec<Part>, tokio_postgres::Error> {
    let part = |(index, by): (usize, &By)| match by {
        By::Minute | By::Hour | By::Day | By::Month | By::Status => {
            row.try_get(index).map(Part::Number)
        }
        By::Route | By::Consumer | By::Upstream => row.try_get(index).map(Part::Name),
    };
    query.by.iter().enumerate().map(part).collect()
}
