//! What a store answered, for people and for machines.
//!
//! Owns the order of rows, and the three forms: a table, CSV (RFC 4180) and JSON.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use foldhash::fast::RandomState;
use serde_json::{Map, Value, json};

use super::query::{By, Query};
use super::time::{show_day, show_minute, show_month};

/// The gateway's own numbers of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) requests: i64,
    pub(super) request_bytes: i64,
    pub(super) response_bytes: i64,
    pub(super) duration_us: i64,
}

impl Totals {
    pub(super) fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.duration_us = self.duration_us.saturating_add(other.duration_us);
    }
}

/// What a group is of: a time in its unit, a class of status, or a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Part {
    Number(i64),
    Name(String),
}

/// A group.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    group: Vec<Part>,
    totals: Totals,
    amounts: Vec<(String, i64)>,
}

impl Line {
    /// What plugins added under a name.
    fn amount(&self, name: &str) -> i64 {
        self.amounts.iter().find(|(known, _)| known == name).map_or(0, |(_, amount)| *amount)
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone)]
pub struct Report {
    query: Query,
    counters: Vec<String>,
    lines: Vec<Line>,
}

impl Report {
    /// The answer out of groups with their totals, and with what plugins added.
    pub(super) fn new(
        query: &Query,
        totals: impl IntoIterator<Item = (Vec<Part>, Totals)>,
        amounts: impl IntoIterator<Item = (Vec<Part>, String, i64)>,
    ) -> Self {
        let mut lines: Vec<Line> = totals
            .into_iter()
            .map(|(group, totals)| Line { group, totals, amounts: Vec::new() })
            .collect();
        let mut counters = BTreeSet::new();
        let mut amounts = amounts.into_iter().peekable();
        // Often there are none, and then no place is looked for.
        if amounts.peek().is_some() {
            let places: HashMap<_, _, RandomState> =
                lines.iter().enumerate().map(|(at, line)| (line.group.clone(), at)).collect();
            for (group, name, amount) in amounts {
                // Each amount is beside a row of numbers.
                let Some(line) = places.get(&group).and_then(|at| lines.get_mut(*at)) else {
                    continue;
                };
                if !counters.contains(&name) {
                    counters.insert(name.clone());
                }
                match line.amounts.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum += amount,
                    None => line.amounts.push((name, amount)),
                }
            }
        }
        let has_time = query.by.iter().any(|by| by.is_time());
        let key = |line: &Line| if has_time { 0 } else { -line.totals.requests };
        // No two groups are the same.
        lines
            .sort_unstable_by(|one, other| (key(one), &one.group).cmp(&(key(other), &other.group)));
        Self { query: query.clone(), counters: counters.into_iter().collect(), lines }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn columns(&self) -> Vec<&str> {
        let own = ["requests", "request_bytes", "response_bytes", "duration_ms"];
        let by = self.query.by.iter().map(|by| by.name());
        by.chain(own).chain(self.counters.iter().map(String::as_str)).collect()
    }

    /// Shows a row, cell by cell, each in the same buffer: an answer has a million of them at times.
    fn show(&self, line: &Line, cell: &mut String, mut each: impl FnMut(usize, &str)) {
        let Totals { requests, request_bytes, response_bytes, duration_us } = line.totals;
        let mut at = 0;
        let mut next = |write: &dyn Fn(&mut String)| {
            cell.clear();
            write(cell);
            each(at, cell);
            at += 1;
        };
        for (by, part) in self.query.by.iter().zip(&line.group) {
            match part {
                Part::Name(name) => next(&|cell| cell.push_str(name)),
                Part::Number(_) => next(&|cell| cell.push_str(&show(*by, part))),
            }
        }
        for number in [requests, request_bytes, response_bytes] {
            next(&|cell| push(cell, number));
        }
        next(&|cell| {
            push(cell, duration_us / 1_000);
            let _infallible = write!(cell, ".{:03}", duration_us % 1_000);
        });
        for name in &self.counters {
            next(&|cell| push(cell, line.amount(name)));
        }
    }

    /// For people: columns, names to the left and numbers to the right.
    #[must_use]
    pub fn table(&self) -> String {
        let columns = self.columns();
        let width = |text: &str| if text.is_ascii() { text.len() } else { text.chars().count() };
        let mut widths: Vec<_> = columns.iter().map(|name| width(name)).collect();
        let mut cell = String::new();
        for line in &self.lines {
            self.show(line, &mut cell, |at, text| widths[at] = widths[at].max(width(text)));
        }
        let names = self.query.by.len();
        let size = (widths.iter().sum::<usize>() + 2 * widths.len()) * (self.lines.len() + 1);
        let mut page = String::with_capacity(size);
        let put = |page: &mut String, at: usize, text: &str| {
            let blank = widths[at] - width(text);
            let (before, after) = if at < names { (0, blank) } else { (blank, 0) };
            let gap = if at == 0 { 0 } else { 2 };
            page.extend(std::iter::repeat_n(' ', gap + before));
            page.push_str(text);
            page.extend(std::iter::repeat_n(' ', after));
        };
        for (at, name) in columns.iter().enumerate() {
            put(&mut page, at, name);
        }
        page.push('\n');
        for line in &self.lines {
            // The last column is a number, which has no blanks behind it.
            self.show(line, &mut cell, |at, text| put(&mut page, at, text));
            page.push('\n');
        }
        page
    }

    /// For spreadsheets: RFC 4180, with a head.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut page = self.columns().join(",") + "\r\n";
        let mut cell = String::new();
        for line in &self.lines {
            self.show(line, &mut cell, |at, text| {
                if at > 0 {
                    page.push(',');
                }
                match text.contains(['"', ',', '\r', '\n']) {
                    true => page.extend(["\"", &text.replace('"', "\"\""), "\""]),
                    false => page.push_str(text),
                }
            });
            page.push_str("\r\n");
        }
        page
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let by: Vec<_> = self.query.by.iter().map(|by| by.name()).collect();
        let rows: Vec<_> = self.lines.iter().map(|line| self.object(line)).collect();
        json!({
            "by": by,
            "from": self.query.from.map(show_minute),
            "to": self.query.to.map(show_minute),
            "counters": self.counters,
            "rows": rows,
        })
    }

    fn object(&self, line: &Line) -> Value {
        let mut object = Map::new();
        for (by, part) in self.query.by.iter().zip(&line.group) {
            object.insert(by.name().to_owned(), show(*by, part).into());
        }
        let Totals { requests, request_bytes, response_bytes, duration_us } = line.totals;
        object.insert("requests".to_owned(), requests.into());
        object.insert("request_bytes".to_owned(), request_bytes.into());
        object.insert("response_bytes".to_owned(), response_bytes.into());
        object.insert("duration_ms".to_owned(), (duration_us as f64 / 1_000.0).into());
        for name in &self.counters {
            // Plugins may add under `month`; what the answer is by comes first.
            object.entry(name.clone()).or_insert_with(|| line.amount(name).into());
        }
        object.into()
    }
}

fn show(by: By, part: &Part) -> String {
    match (by, part) {
        (_, Part::Name(name)) => name.clone(),
        (By::Minute, Part::Number(minute)) => show_minute(*minute),
        (By::Hour, Part::Number(hour)) => show_minute(hour * 60),
        (By::Day, Part::Number(day)) => show_day(*day),
        (By::Month, Part::Number(day)) => show_month(*day),
        (By::Status, Part::Number(0)) => "none".to_owned(),
        (By::Status, Part::Number(class)) => format!("{class}xx"),
        (By::Route | By::Consumer | By::Upstream, Part::Number(number)) => number.to_string(),
    }
}

/// The digits of a number.
fn push(cell: &mut String, number: i64) {
    let _infallible = write!(cell, "{number}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let query = Query { by: vec![By::Consumer, By::Status], from: Some(1440), to: None };
        let group = |name: &str, status| vec![Part::Name(name.to_owned()), Part::Number(status)];
        let totals =
            |requests| Totals { requests, request_bytes: 5, response_bytes: 6, duration_us: 1_500 };
        let lines = [(group("a, \"b\"", 2), totals(1)), (group("é", 0), totals(20))];
        Report::new(&query, lines, [(group("é", 0), "tokens".to_owned(), 7)])
    }

    #[test]
    fn shows_a_table_with_the_busiest_first() {
        let expected = "\
            consumer  status  requests  request_bytes  response_bytes  duration_ms  tokens\n\
            é         none          20              5               6        1.500       7\n\
            a, \"b\"    2xx            1              5               6        1.500       0\n";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn writes_csv_and_json() {
        let csv = report().csv();
        assert!(csv.ends_with("\r\n\"a, \"\"b\"\"\",2xx,1,5,6,1.500,0\r\n"), "{csv}");
        let json = report().json();
        assert_eq!((&json["from"], &json["to"]), (&json!("1970-01-02T00:00Z"), &Value::Null));
        let first = json!({
            "consumer": "é", "status": "none", "requests": 20, "request_bytes": 5,
            "response_bytes": 6, "duration_ms": 1.5, "tokens": 7,
        });
        assert_eq!(json["rows"][0], first);
    }
}
