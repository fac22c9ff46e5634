//! What is asked of the store.
//!
//! Owns the words of a question and whether it can be answered from the rows by day, which are few, or
//! needs those by minute.

use std::time::Duration;

use thiserror::Error;

use super::report::Report;
use super::rows::DAY;
use super::store::{self, StoreError};
use super::{time, time::show_minute};
use crate::config;

/// By what usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// Each minute.
    Minute,
    /// Each hour.
    Hour,
    /// Each day, in UTC.
    Day,
    /// Each month of the calendar, in UTC.
    Month,
    /// Each route.
    Route,
    /// Each consumer.
    Consumer,
    /// Each class of status.
    Status,
    /// Each upstream.
    Upstream,
}

/// All of them with their names.
const ALL: [(&str, By); 8] = [
    ("minute", By::Minute),
    ("hour", By::Hour),
    ("day", By::Day),
    ("month", By::Month),
    ("route", By::Route),
    ("consumer", By::Consumer),
    ("status", By::Status),
    ("upstream", By::Upstream),
];

impl By {
    /// As in a question, and as the name of a column.
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, by)| *by == self).map_or("", |(name, _)| name)
    }

    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::Minute | Self::Hour | Self::Day | Self::Month)
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(super) by: Vec<By>,
    /// Minutes since 1970; this one too.
    pub(super) from: Option<i64>,
    /// Minutes since 1970; not this one.
    pub(super) to: Option<i64>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The question is not one.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be read.
    #[error("usage cannot be read: {0}")]
    Store(String),
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl Query {
    /// Reads a question: names of [`By`] with commas between them, and times such as `2026-11-01` or
    /// `2026-11-01T10:30`, in UTC. `to` is the first that does not belong to it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(by: &str, from: Option<&str>, to: Option<&str>) -> Result<Self, QueryError> {
        let by = by.split(',').map(|name| parse_by(name.trim())).collect::<Result<Vec<_>, _>>()?;
        if let Some((index, by)) = by.iter().enumerate().find(|(at, it)| by[..*at].contains(it)) {
            let name = by.name();
            let place = index + 1;
            return Err(QueryError::Invalid(format!("`by` has `{name}` twice, again at {place}")));
        }
        if by.iter().filter(|by| by.is_time()).count() > 1 {
            let error = "`by` has at most one of `minute`, `hour`, `day` and `month`";
            return Err(QueryError::Invalid(error.to_owned()));
        }
        let read = |name: &str, text: Option<&str>| match text {
            None => Ok(None),
            Some(text) => time::parse(text).map(Some).ok_or_else(|| {
                QueryError::Invalid(format!(
                    "`{name}` is no time: `{text}`. Write it like `2026-11-01` or \
                     `2026-11-01T10:30`, in UTC"
                ))
            }),
        };
        let (from, to) = (read("from", from)?, read("to", to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            let (from, to) = (show_minute(from), show_minute(to));
            let error = format!("nothing is from {from} on and before {to}");
            return Err(QueryError::Invalid(error));
        }
        Ok(Self { by, from, to })
    }

    /// Asks the store of a configuration, and waits for so long.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(&self, usage: &config::Usage, timeout: Duration) -> Result<Report, QueryError> {
        Ok(store::read(usage, self, timeout)?)
    }

    /// Whether the rows by day answer it.
    pub(super) fn is_by_day(&self) -> bool {
        let is_midnight = |time: Option<i64>| time.is_none_or(|minute| minute % DAY == 0);
        let is_finer = self.by.iter().any(|by| matches!(by, By::Minute | By::Hour));
        !is_finer && is_midnight(self.from) && is_midnight(self.to)
    }
}

fn parse_by(name: &str) -> Result<By, QueryError> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, by)| *by).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|(known, _)| format!("`{known}`")).collect();
        let closest = config::closest(name, ALL.iter().map(|(known, _)| *known));
        let hint = closest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let error = format!("nothing is counted by `{name}`, but by {}{hint}", known.join(", "));
        QueryError::Invalid(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_questions() {
        let query = Query::parse("day, consumer", Some("1970-01-02"), Some("1970-01-03")).unwrap();
        let expected =
            Query { by: vec![By::Day, By::Consumer], from: Some(DAY), to: Some(2 * DAY) };
        assert_eq!(query, expected);
        assert!(query.is_by_day());
        assert!(!Query::parse("hour", None, None).unwrap().is_by_day());
        assert!(!Query::parse("route", Some("2026-11-01T10:00"), None).unwrap().is_by_day());
    }

    #[test]
    fn says_what_is_wrong_with_one() {
        let error = |by, from, to| Query::parse(by, from, to).unwrap_err().to_string();
        assert!(error("consumers", None, None).ends_with("did you mean `consumer`?"));
        assert!(error("", None, None).starts_with("nothing is counted by ``"));
        assert!(error("route,route", None, None).contains("twice"));
        assert!(error("day,hour", None, None).contains("at most one"));
        assert!(error("route", Some("yesterday"), None).contains("`from` is no time"));
        let same = Some("2026-11-01");
        assert!(error("route", same, same).starts_with("nothing is from 2026-11-01T00:00Z on"));
    }
}
