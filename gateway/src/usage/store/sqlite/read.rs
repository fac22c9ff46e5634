//! Questions to the SQLite file.
//!
//! Owns how they are put so that SQLite sorts nothing: rows are in the order of day, consumer, route,
//! status and upstream. Where that is the order of the question, each day is grouped as it is read;
//! otherwise rows are read as they are. Both are added up here.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Params, Row};

use super::{BUSY, Kind, inspect};
use crate::usage::query::{By, Query};
use crate::usage::report::{Part, Report, Totals};
use crate::usage::rows::DAY;
use crate::usage::store::StoreError;

/// Instructions of SQLite between two looks at the clock.
const LOOK: i32 = 100_000;

/// Groups above which reading all names is quicker than looking for each.
const MANY: usize = 1_000;

type Groups = HashMap<Vec<i64>, Totals>;
type Amounts = HashMap<(Vec<i64>, i64), i64>;

/// Answers a query, beside the writer.
pub(in crate::usage::store) fn read(
    path: &Path,
    query: &Query,
    timeout: Duration,
) -> Result<Report, StoreError> {
    let shown = path.display();
    if !path.exists() {
        return Err(StoreError::Other(format!("there is no {shown}: nothing was recorded yet")));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let named = |error| StoreError::Other(format!("{shown}: {error}"));
    let mut connection = Connection::open_with_flags(path, flags).map_err(named)?;
    connection.busy_timeout(BUSY).map_err(named)?;
    match inspect(&connection).map_err(named)? {
        Kind::Ours => {}
        Kind::New => return Ok(Report::new(query, [], [])),
        Kind::Foreign(why) => return Err(StoreError::Other(format!("{shown}: {why}"))),
    }
    let until = Instant::now() + timeout;
    connection.progress_handler(LOOK, Some(move || Instant::now() >= until))?;
    // One moment for all that is read.
    let connection = connection.transaction()?;
    let (mut groups, mut amounts) = (Groups::new(), Amounts::new());
    for (condition, first, end) in slices(&connection, query)? {
        let question = Question::new(query, condition);
        question.numbers(&connection, [first, end], &mut groups)?;
        question.amounts(&connection, [first, end], &mut amounts)?;
    }
    let mut names = Names { connection: &connection, known: HashMap::new() };
    if groups.len() > MANY {
        names.read_all()?;
    }
    let mut totals = Vec::with_capacity(groups.len());
    for (group, numbers) in groups {
        totals.push((names.group(query, &group)?, numbers));
    }
    let mut added = Vec::with_capacity(amounts.len());
    for ((group, counter), amount) in amounts {
        added.push((names.group(query, &group)?, names.name(counter)?, amount));
    }
    Ok(Report::new(query, totals, added))
}

/// Which rows are read at once: each day by itself, or a range of minutes. The two times are bound.
fn slices(
    connection: &Connection,
    query: &Query,
) -> rusqlite::Result<Vec<(&'static str, i64, i64)>> {
    if !query.is_by_day() {
        let condition = "minute >= ?1 AND minute < ?2";
        return Ok(vec![(condition, query.from.unwrap_or(0), query.to.unwrap_or(i64::MAX))]);
    }
    // Each by itself, which the order of rows answers; both at once read all rows.
    let sql = "SELECT (SELECT min(day) FROM day_rows), (SELECT max(day) FROM day_rows)";
    let ends: (Option<i64>, Option<i64>) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(oldest), Some(newest)) = ends else { return Ok(Vec::new()) };
    let first = query.from.map_or(oldest, |from| oldest.max(from / DAY));
    let end = query.to.map_or(newest + 1, |to| (newest + 1).min(to / DAY));
    Ok((first..end).map(|day| ("day >= ?1 AND day = ?2", day, day)).collect())
}

/// The SQL of a question, but for its times.
struct Question {
    table: &'static str,
    by: String,
    count: usize,
    condition: &'static str,
    /// Whether rows come in the order of the groups.
    is_ordered: bool,
}

impl Question {
    fn new(query: &Query, condition: &'static str) -> Self {
        let is_by_day = query.is_by_day();
        let column = |by: &By| match by {
            By::Minute => "minute",
            By::Hour => "minute / 60",
            By::Day if is_by_day => "day",
            By::Day => "minute / 1440",
            By::Route | By::Consumer | By::Status | By::Upstream => by.name(),
        };
        let by: Vec<_> = query.by.iter().map(column).collect();
        let table = if is_by_day { "day" } else { "minute" };
        let order = [By::Consumer, By::Route, By::Status, By::Upstream];
        let others = query.by.iter().filter(|by| !by.is_time()).count();
        let is_prefix = order[..others].iter().all(|by| query.by.contains(by));
        let is_ordered = is_by_day && others > 0 && is_prefix;
        Self { table, by: by.join(", "), count: by.len(), condition, is_ordered }
    }

    fn numbers(
        &self,
        connection: &Connection,
        times: impl Params,
        groups: &mut Groups,
    ) -> rusqlite::Result<()> {
        let Self { table, by, count, condition, is_ordered } = self;
        let sql = match is_ordered {
            true => format!(
                "SELECT {by}, total(requests), total(request_bytes), total(response_bytes), \
                 total(duration_us) FROM {table}_rows WHERE {condition} GROUP BY {by}"
            ),
            false => format!(
                "SELECT {by}, requests, request_bytes, response_bytes, duration_us \
                 FROM {table}_rows WHERE {condition}"
            ),
        };
        let mut group = Vec::with_capacity(*count);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(times)?;
        while let Some(row) = rows.next()? {
            let totals = Totals {
                requests: whole(row, *count)?,
                request_bytes: whole(row, count + 1)?,
                response_bytes: whole(row, count + 2)?,
                duration_us: whole(row, count + 3)?,
            };
            read_group(row, *count, &mut group)?;
            match groups.get_mut(&group[..]) {
                Some(known) => known.add(totals),
                None => drop(groups.insert(group.clone(), totals)),
            }
        }
        Ok(())
    }

    fn amounts(
        &self,
        connection: &Connection,
        times: impl Params,
        amounts: &mut Amounts,
    ) -> rusqlite::Result<()> {
        let Self { table, by, count, condition, .. } = self;
        let sql = format!("SELECT {by}, counter, amount FROM {table}_amounts WHERE {condition}");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(times)?;
        while let Some(row) = rows.next()? {
            let mut group = Vec::with_capacity(*count);
            read_group(row, *count, &mut group)?;
            let sum = amounts.entry((group, row.get(*count)?)).or_default();
            *sum = sum.saturating_add(whole(row, count + 1)?);
        }
        Ok(())
    }
}

fn read_group(row: &Row<'_>, count: usize, group: &mut Vec<i64>) -> rusqlite::Result<()> {
    group.clear();
    for index in 0..count {
        group.push(row.get(index)?);
    }
    Ok(())
}

/// A sum, or a number. `total`, unlike `sum`, never fails for its size; up to 2^53 it is exact.
fn whole(row: &Row<'_>, index: usize) -> rusqlite::Result<i64> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(number) => number,
        ValueRef::Real(total) => total as i64,
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => 0,
    })
}

struct Names<'c> {
    connection: &'c Connection,
    known: HashMap<i64, String>,
}

impl Names<'_> {
    fn read_all(&mut self) -> rusqlite::Result<()> {
        let mut all = self.connection.prepare("SELECT id, name FROM names")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            self.known.insert(row.get(0)?, row.get(1)?);
        }
        Ok(())
    }

    fn name(&mut self, number: i64) -> rusqlite::Result<String> {
        if let Some(known) = self.known.get(&number) {
            return Ok(known.clone());
        }
        let mut find = self.connection.prepare_cached("SELECT name FROM names WHERE id = ?1")?;
        let name: String = find.query_row([number], |row| row.get(0))?;
        self.known.insert(number, name.clone());
        Ok(name)
    }

    fn group(&mut self, query: &Query, group: &[i64]) -> rusqlite::Result<Vec<Part>> {
        let part = |(by, number): (&By, &i64)| match by {
            By::Minute | By::Hour | By::Day | By::Status => Ok(Part::Number(*number)),
            By::Route | By::Consumer | By::Upstream => self.name(*number).map(Part::Name),
        };
        query.by.iter().zip(group).map(part).collect()
    }
}
