//! Sums over days in the SQLite file.
//!
//! Owns their tables, how a day is added to them, and the triggers that add what comes for it later or is taken
//! away, also by a gateway of the former version that has the file open.

use rusqlite::{Connection, Transaction, params};

use crate::usage::sums::{SUMS, Sum, Summed, Unit};

const SCHEMA: &str = include_str!("sums.sql");

/// An amount of a sum goes so far both ways, so that adding two of them never overflows.
const MAX_SUM: i64 = 1 << 60;

const NUMBERS: [&str; 4] = ["requests", "request_bytes", "response_bytes", "duration_us"];

/// Makes the tables and the triggers. Rows of days that are there are summed later.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    for (name, event, sign) in [
        ("added", "INSERT", "NEW.{}"),
        ("changed", "UPDATE", "NEW.{} - OLD.{}"),
        ("gone", "DELETE", "-OLD.{}"),
    ] {
        let row = if event == "DELETE" { "OLD" } else { "NEW" };
        let delta = |column: &str| sign.replace("{}", column);
        for (table, late) in
            [("day_rows", late_numbers(row, &delta)), ("day_amounts", late_amounts(row, &delta))]
        {
            connection.execute_batch(&format!(
                "CREATE TRIGGER {table}_{name} AFTER {event} ON {table}
                 WHEN {row}.day < (SELECT ended FROM summed)
                     AND {row}.day >= (SELECT removed FROM summed)
                 BEGIN {late} END"
            ))?;
        }
    }
    Ok(())
}

fn late_numbers(row: &str, delta: &dyn Fn(&str) -> String) -> String {
    let numbers = NUMBERS.map(delta).join(", ");
    let add = add_numbers();
    let one = |sum: &Sum| {
        let key = key(sum, &format!("{row}."), &first(sum.unit, row));
        format!("INSERT INTO sums VALUES ({key}, {numbers}) {add};")
    };
    SUMS.map(one).join(" ")
}

fn late_amounts(row: &str, delta: &dyn Fn(&str) -> String) -> String {
    let (amount, add) = (delta("amount"), add_amount());
    let one = |sum: &Sum| {
        let key = key(sum, &format!("{row}."), &first(sum.unit, row));
        format!("INSERT INTO sum_amounts VALUES ({key}, {row}.counter, {amount}) {add};")
    };
    SUMS.map(one).join(" ")
}

/// The first day of the unit of a row's day.
fn first(unit: Unit, row: &str) -> String {
    let month = format!("(unixepoch({row}.day * 86400, 'unixepoch', 'start of month') / 86400)");
    match unit {
        Unit::Day => format!("{row}.day"),
        Unit::Third => format!("{month} + min(({row}.day - {month}) / 10, 2) * 10"),
        Unit::Month => month,
    }
}

/// The key of a sum, out of columns of this table.
fn key(sum: &Sum, table: &str, first: &str) -> String {
    let column = |name: &str, is_one: bool| match is_one {
        true => format!("{table}{name}"),
        false => "0".to_owned(),
    };
    let place = ["route", "status", "upstream"].map(|name| column(name, sum.by_place));
    format!("{}, {first}, {}, {}", sum.code, column("consumer", sum.by_consumer), place.join(", "))
}

fn add_numbers() -> String {
    let add = NUMBERS.map(|name| format!("{name} = {name} + excluded.{name}"));
    format!("ON CONFLICT DO UPDATE SET {}", add.join(", "))
}

fn add_amount() -> String {
    format!(
        "ON CONFLICT DO UPDATE SET
             amount = max(-{MAX_SUM}, min({MAX_SUM}, amount + excluded.amount))"
    )
}

/// Which days are in the sums.
pub(super) fn summed(connection: &Connection) -> rusqlite::Result<Summed> {
    connection.query_row("SELECT removed, ended FROM summed", [], |row| {
        Ok(Summed { removed: row.get(0)?, end: row.get(1)? })
    })
}

/// Adds the oldest day that is not in the sums, if it is none after `last`. `false` if there is none.
pub(super) fn add_a_day(transaction: &Transaction<'_>, last: i64) -> rusqlite::Result<bool> {
    let Summed { removed, end } = summed(transaction)?;
    let oldest = "SELECT min(day) FROM day_rows WHERE day >= ?1";
    let oldest: Option<i64> =
        transaction.query_row(oldest, [end.max(removed)], |row| row.get(0))?;
    let Some(day) = oldest.filter(|day| *day <= last) else {
        // Days without rows need nothing, but what comes for them later does.
        let sql = "UPDATE summed SET ended = ?1 WHERE ended < ?1";
        transaction.execute(sql, [last + 1])?;
        return Ok(false);
    };
    for sum in SUMS {
        let first = sum.unit.first(day);
        // What began before the oldest day is not whole, and so of no use.
        if first < removed {
            continue;
        }
        let key = key(sum, "", "?2");
        let by = match (sum.by_consumer, sum.by_place) {
            (true, false) => "consumer",
            (false, true) => "route, status, upstream",
            _ => "consumer, route, status, upstream",
        };
        let total = |name| format!("CAST(total({name}) AS INTEGER)");
        let (numbers, add) = (NUMBERS.map(total).join(", "), add_numbers());
        let sql = format!(
            "INSERT INTO sums SELECT {key}, {numbers} FROM day_rows WHERE day = ?1 GROUP BY {by} {add}"
        );
        transaction.execute(&sql, params![day, first])?;
        let sql = format!(
            "INSERT INTO sum_amounts
             SELECT {key}, counter, max(-{MAX_SUM}, min({MAX_SUM}, CAST(total(amount) AS INTEGER)))
             FROM day_amounts WHERE day = ?1 GROUP BY {by}, counter {}",
            add_amount()
        );
        transaction.execute(&sql, params![day, first])?;
    }
    transaction.execute("UPDATE summed SET ended = ?1", [day + 1])?;
    Ok(true)
}

/// Days before this one are about to be removed: what has any of them is no sum any more. The triggers leave
/// those days alone from here on.
pub(super) fn remove_before(transaction: &Transaction<'_>, first: i64) -> rusqlite::Result<()> {
    transaction.execute("UPDATE summed SET removed = ?1 WHERE removed < ?1", [first])?;
    for sum in SUMS {
        for table in ["sums", "sum_amounts"] {
            let sql = format!("DELETE FROM {table} WHERE unit = ?1 AND first < ?2");
            transaction.execute(&sql, params![sum.code, first])?;
        }
    }
    Ok(())
}
