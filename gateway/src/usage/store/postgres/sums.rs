//! Sums over days in PostgreSQL.
//!
//! Owns their tables, how a day is added to them, and the triggers that add what comes for it later or is taken
//! away, also by a gateway of the former version, or by hand.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient, Transaction};

use super::{DAY, StoreError};
use crate::usage::sums::{SUMS, Sum, Summed, Unit};

const SCHEMA: &str = include_str!("sums.sql");
const LATE: &str = include_str!("late.sql");

/// An amount of a sum goes so far both ways, so that adding two of them never overflows.
const MAX_SUM: i64 = 1 << 60;

const KEY: [&str; 6] = ["unit", "first", "consumer", "route", "status", "upstream"];
const NUMBERS: [&str; 4] = ["requests", "request_bytes", "response_bytes", "duration_us"];

/// One of the two tables of sums.
#[derive(Debug, Clone, Copy)]
struct Kind {
    days: &'static str,
    sums: &'static str,
    /// Beside those of all.
    key: &'static [&'static str],
    values: &'static [&'static str],
}

const KINDS: [Kind; 2] = [
    Kind { days: DAY.rows, sums: "usage_sums", key: &[], values: &NUMBERS },
    Kind { days: DAY.counters, sums: "usage_sum_counters", key: &["counter"], values: &["amount"] },
];

impl Kind {
    fn columns(self) -> String {
        [&KEY[..], self.key].concat().join(", ")
    }

    fn values(self, value: impl Fn(&str) -> String) -> String {
        let values: Vec<_> = self.values.iter().map(|name| value(name)).collect();
        [self.key.iter().map(|name| format!("d.{name}")).collect(), values].concat().join(", ")
    }

    fn add(self) -> String {
        let add =
            |name: &&str| format!("{name} = {}", bounded(&format!("u.{name} + excluded.{name}")));
        self.values.iter().map(add).collect::<Vec<_>>().join(", ")
    }

    /// What makes a trigger for what happens to rows by day.
    fn late(self, schema: &str, event: &str) -> String {
        let added = format!("SELECT 1 AS sign, * FROM new_{}", self.days);
        let gone = format!("SELECT -1 AS sign, * FROM old_{}", self.days);
        let (new, old) =
            (format!("NEW TABLE AS new_{}", self.days), format!("OLD TABLE AS old_{}", self.days));
        let (changes, tables) = match event {
            "INSERT" => (added, new),
            "DELETE" => (gone, old),
            _ => (format!("{added} UNION ALL {gone}"), format!("{old} {new}")),
        };
        let key: Vec<_> = KEY.iter().map(|name| format!("s.{name}")).collect();
        let key = [key, self.key.iter().map(|name| format!("d.{name}")).collect()].concat();
        let units = SUMS.map(|sum| format!("({})", one(sum, "d.", &first(sum.unit)))).join(", ");
        let replace: [(&str, String); 11] = [
            ("{function}", format!("{}_{}", self.days, event.to_lowercase())),
            ("{schema}", schema.to_owned()),
            ("{sums}", self.sums.to_owned()),
            ("{deltas}", self.values(|name| bounded(&format!("sum(d.sign * d.{name})")))),
            ("{changes}", changes),
            ("{units}", units),
            ("{key}", key.join(", ")),
            ("{columns}", self.columns()),
            ("{add}", self.add()),
            ("{event}", event.to_owned()),
            ("{tables}", tables),
        ];
        let text = LATE.replace("{days}", self.days);
        replace.iter().fold(text, |text, (name, value)| text.replace(name, value))
    }
}

fn bounded(sum: &str) -> String {
    format!("least({MAX_SUM}, greatest(-{MAX_SUM}, {sum}))::int8")
}

/// The first day of the unit of a row's day.
fn first(unit: Unit) -> String {
    let month = "date_trunc('month', d.day)::date";
    match unit {
        Unit::Day => "d.day".to_owned(),
        Unit::Third => format!("{month} + least((d.day - {month}) / 10, 2) * 10"),
        Unit::Month => month.to_owned(),
    }
}

/// The key of a sum, out of columns of this table.
fn one(sum: &Sum, table: &str, first: &str) -> String {
    let column = |name: &str, is_one: bool, none: &str| match is_one {
        true => format!("{table}{name}"),
        false => none.to_owned(),
    };
    let columns = [
        format!("{}::int2", sum.code),
        first.to_owned(),
        column("consumer", sum.by_consumer, "''"),
        column("route", sum.by_place, "''"),
        column("status", sum.by_place, "0::int2"),
        column("upstream", sum.by_place, "''"),
    ];
    columns.join(", ")
}

/// Makes the tables and the triggers, unless they are there or this role may not; `false` then. Rows of days that
/// are there are summed later.
pub(super) async fn create(client: &mut Client) -> Result<bool, StoreError> {
    if are_there(client).await? {
        return Ok(true);
    }
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock(1199011187)", &[]).await?;
    if are_there(&transaction).await? {
        return Ok(true);
    }
    let there = "SELECT to_regclass('usage_sums') IS NOT NULL";
    let why = match transaction.query_one(there, &[]).await?.get(0) {
        true => {
            "this role may not read `usage_sums`, `usage_sum_counters` and `usage_summed`: grant \
                 SELECT, INSERT, UPDATE and DELETE on them"
                .to_owned()
        }
        false => match make(&transaction).await {
            Ok(()) => {
                transaction.commit().await?;
                return Ok(true);
            }
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => format!(
                "the tables of sums are missing, and this role may not make them: start a gateway \
                 once with the role that owns `usage_days` ({})",
                super::words(&error)
            ),
            Err(error) => return Err(error.into()),
        },
    };
    tracing::warn!("questions about usage of many days take longer: {why}");
    Ok(false)
}

async fn make(transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    let schema = "SELECT quote_ident(current_schema())";
    let schema: String = transaction.query_one(schema, &[]).await?.get(0);
    transaction.batch_execute(SCHEMA).await?;
    for kind in KINDS {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            transaction.batch_execute(&kind.late(&schema, event)).await?;
        }
    }
    Ok(())
}

/// Whether there are sums that this role may read.
async fn are_there(client: &impl GenericClient) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT coalesce(bool_and(has_table_privilege(to_regclass(name), 'SELECT')), false) \
               FROM unnest(ARRAY['usage_sums', 'usage_sum_counters', 'usage_summed']) AS t (name) \
               HAVING bool_and(to_regclass(name) IS NOT NULL)";
    Ok(client.query_opt(sql, &[]).await?.is_some_and(|row| row.get(0)))
}

/// Which days are in the sums, of which there may be none.
pub(super) async fn summed(client: &impl GenericClient) -> Result<Summed, tokio_postgres::Error> {
    if !are_there(client).await? {
        return Ok(Summed::default());
    }
    let sql = "SELECT (removed - DATE '1970-01-01')::int8, (ended - DATE '1970-01-01')::int8 \
               FROM usage_summed";
    let row = client.query_one(sql, &[]).await?;
    Ok(Summed { removed: row.try_get(0)?, end: row.try_get(1)? })
}

/// Adds the oldest day that is not in the sums, if it is none after `last`. `false` if there is none.
pub(super) async fn add_a_day(client: &mut Client, last: i64) -> Result<bool, StoreError> {
    let transaction = client.transaction().await?;
    // Nobody adds to a day while it goes into the sums: what came before is seen here, and what comes after sees
    // that the day is in them.
    transaction
        .batch_execute(
            "SET LOCAL lock_timeout = '10s'; LOCK TABLE usage_days, usage_day_counters IN SHARE ROW EXCLUSIVE MODE",
        )
        .await?;
    let Summed { removed, end } = summed(&transaction).await?;
    let sql = format!(
        "SELECT (min(day) - DATE '1970-01-01')::int8 FROM usage_days WHERE day >= {}",
        DAY.value(&end.max(removed).to_string())
    );
    let oldest: Option<i64> = transaction.query_one(&sql, &[]).await?.try_get(0)?;
    let Some(day) = oldest.filter(|day| *day <= last) else {
        let sql = format!(
            "UPDATE usage_summed SET ended = {0} WHERE ended < {0}",
            DAY.value(&(last + 1).to_string())
        );
        transaction.execute(&sql, &[]).await?;
        transaction.commit().await?;
        return Ok(false);
    };
    for sum in SUMS {
        let first = sum.unit.first(day);
        // What began before the oldest day is not whole, and so of no use.
        if first < removed {
            continue;
        }
        for kind in KINDS {
            transaction.execute(&add_to(kind, sum, first, day), &[]).await?;
        }
    }
    let ended = DAY.value(&(day + 1).to_string());
    transaction.execute(&format!("UPDATE usage_summed SET ended = {ended}"), &[]).await?;
    transaction.commit().await?;
    Ok(true)
}

fn add_to(kind: Kind, sum: &Sum, first: i64, day: i64) -> String {
    let by = match (sum.by_consumer, sum.by_place) {
        (true, false) => &["consumer"][..],
        (false, true) => &["route", "status", "upstream"],
        _ => &["consumer", "route", "status", "upstream"],
    };
    let by = [by, kind.key].concat().join(", ");
    format!(
        "INSERT INTO {sums} AS u SELECT {key}, {values} FROM {days} AS d WHERE day = {day}
         GROUP BY {by} ORDER BY {by} ON CONFLICT ({columns}) DO UPDATE SET {add}",
        sums = kind.sums,
        key = one(sum, "d.", &DAY.value(&first.to_string())),
        values = kind.values(|name| bounded(&format!("sum(d.{name})"))),
        days = kind.days,
        day = DAY.value(&day.to_string()),
        columns = kind.columns(),
        add = kind.add(),
    )
}

/// Days before this one are about to be removed: what has any of them is no sum any more. The triggers leave
/// those days alone from here on.
pub(super) async fn remove_before(
    transaction: &Transaction<'_>,
    first: i64,
) -> Result<(), tokio_postgres::Error> {
    let first = DAY.value(&first.to_string());
    let sql = format!("UPDATE usage_summed SET removed = {first} WHERE removed < {first}");
    transaction.execute(&sql, &[]).await?;
    let codes = SUMS.map(|sum| sum.code.to_string()).join(", ");
    for kind in KINDS {
        let sql = format!("DELETE FROM {} WHERE unit IN ({codes}) AND first < {first}", kind.sums);
        transaction.execute(&sql, &[]).await?;
    }
    Ok(())
}
