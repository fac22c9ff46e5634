//! Questions to the SQLite file.
//!
//! Owns how they are put so that SQLite neither sorts nor adds up: rows are read as they are, in the order of the
//! time, consumer, route, status and upstream, and added up here.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::{BUSY, Kind, inspect, sums};
use crate::usage::query::{By, Query};
use crate::usage::report::{Part, Report, Totals};
use crate::usage::store::StoreError;
use crate::usage::sums::{Slice, Source, Summed, Unit, plan};

/// Instructions of SQLite between two looks at the clock.
const LOOK: i32 = 100_000;

/// Groups above which reading all names is quicker than looking for each.
const MANY: usize = 1_000;

/// The numbers of what a question is by, in its order: a time, and all others.
type Group = [i64; 5];
type Groups = HashMap<Group, Totals, RandomState>;
type Amounts = HashMap<(Group, i64), i64, RandomState>;

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
    let until = Instant::now() + timeout;
    connection.progress_handler(LOOK, Some(move || Instant::now() >= until))?;
    // One moment for all that is read.
    let connection = connection.transaction()?;
    let summed = match inspect(&connection).map_err(named)? {
        // No gateway of this version wrote to it yet.
        Kind::Ours(1) => Summed::default(),
        Kind::Ours(_) => sums::summed(&connection)?,
        Kind::New => return Ok(Report::new(query, [], [])),
        Kind::Foreign(why) => return Err(StoreError::Other(format!("{shown}: {why}"))),
    };
    let (mut groups, mut amounts) = (Groups::default(), Amounts::default());
    for slice in plan(query, summed) {
        let question = Question::new(query, slice);
        question.numbers(&connection, &mut groups)?;
        question.amounts(&connection, &mut amounts)?;
    }
    forget_nothing(&mut groups, &mut amounts);
    let mut names = Names { connection: &connection, known: HashMap::default() };
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

/// Sums out of which all was taken again have no row and perhaps no name any more.
fn forget_nothing(groups: &mut Groups, amounts: &mut Amounts) {
    if groups.values().all(|totals| totals.requests != 0) {
        return;
    }
    amounts.retain(|_, amount| *amount != 0);
    let with_amounts: HashSet<_> = amounts.keys().map(|(group, _)| *group).collect();
    groups.retain(|group, totals| *totals != Totals::default() || with_amounts.contains(group));
}

/// The SQL of a question to some of the rows.
struct Question {
    rows: &'static str,
    amounts: &'static str,
    by: String,
    count: usize,
    condition: String,
    /// Which of what it is by is a month, read as a day.
    month: Option<usize>,
}

impl Question {
    fn new(query: &Query, slice: Slice) -> Self {
        let (rows, amounts, time) = match slice.source {
            Source::Minutes => ("minute_rows", "minute_amounts", "minute"),
            Source::Days => ("day_rows", "day_amounts", "day"),
            Source::Sums(_) => ("sums", "sum_amounts", "first"),
        };
        let column = |by: &By| match by {
            By::Minute => "minute",
            By::Hour => "minute / 60",
            By::Day | By::Month if slice.source == Source::Minutes => "minute / 1440",
            By::Day | By::Month => time,
            By::Route | By::Consumer | By::Status | By::Upstream => by.name(),
        };
        let by: Vec<_> = query.by.iter().map(column).collect();
        let mut conditions = Vec::new();
        if let Source::Sums(sum) = slice.source {
            conditions.push(format!("unit = {}", sum.code));
        }
        conditions.push(format!("{time} >= {}", slice.from.unwrap_or(0)));
        if let Some(end) = slice.end {
            conditions.push(format!("{time} < {end}"));
        }
        Self {
            rows,
            amounts,
            by: by.join(", "),
            count: by.len(),
            condition: conditions.join(" AND "),
            month: query.by.iter().position(|by| *by == By::Month),
        }
    }

    fn numbers(&self, connection: &Connection, groups: &mut Groups) -> rusqlite::Result<()> {
        let Self { rows, by, count, condition, .. } = self;
        let mut statement = connection.prepare(&format!(
            "SELECT {by}, requests, request_bytes, response_bytes, duration_us FROM {rows} \
             WHERE {condition}"
        ))?;
        let mut rows = statement.query([])?;
        // Rows of one group are often beside each other.
        let mut last: Option<(Group, Totals)> = None;
        let mut take = |last: Option<(Group, Totals)>| {
            if let Some((group, totals)) = last {
                groups.entry(group).or_default().add(totals);
            }
        };
        while let Some(row) = rows.next()? {
            let totals = Totals {
                requests: whole(row, *count)?,
                request_bytes: whole(row, count + 1)?,
                response_bytes: whole(row, count + 2)?,
                duration_us: whole(row, count + 3)?,
            };
            let group = self.group(row)?;
            match &mut last {
                Some((known, sum)) if *known == group => sum.add(totals),
                _ => take(last.replace((group, totals))),
            }
        }
        take(last);
        Ok(())
    }

    fn amounts(&self, connection: &Connection, amounts: &mut Amounts) -> rusqlite::Result<()> {
        let Self { amounts: table, by, count, condition, .. } = self;
        let sql = format!("SELECT {by}, counter, amount FROM {table} WHERE {condition}");
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let sum = amounts.entry((self.group(row)?, row.get(*count)?)).or_default();
            *sum = sum.saturating_add(whole(row, count + 1)?);
        }
        Ok(())
    }

    fn group(&self, row: &Row<'_>) -> rusqlite::Result<Group> {
        let mut group = Group::default();
        for (index, part) in group.iter_mut().enumerate().take(self.count) {
            *part = row.get(index)?;
        }
        if let Some(month) = self.month {
            group[month] = Unit::Month.first(group[month]);
        }
        Ok(group)
    }
}

/// A number. SQLite makes a float of what is too large, so that adding never fails.
fn whole(row: &Row<'_>, index: usize) -> rusqlite::Result<i64> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(number) => number,
        ValueRef::Real(total) => total as i64,
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => 0,
    })
}

struct Names<'c> {
    connection: &'c Connection,
    known: HashMap<i64, String, RandomState>,
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
            By::Minute | By::Hour | By::Day | By::Month | By::Status => Ok(Part::Number(*number)),
            By::Route | By::Consumer | By::Upstream => self.name(*number).map(Part::Name),
        };
        query.by.iter().zip(group).map(part).collect()
    }
}
