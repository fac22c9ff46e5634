//! A question about records: which of them.
//!
//! Owns how the question comes in a URL, and the words for what is wrong with it.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::Record;
use crate::config;

/// Records of an answer where nothing else is said, and at most.
const LIMIT: usize = 50;
const MOST: usize = 1_000;

/// Which records. What is not given fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    route: Option<String>,
    status: Option<Status>,
    slower: Option<Duration>,
    consumer: Option<String>,
    after: u64,
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Exact(u16),
    Class(u16),
    /// The client was not answered.
    None,
}

impl Filter {
    /// Reads `route`, `status`, `slower`, `consumer`, `limit` and `after`.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self { limit: LIMIT, ..Self::default() };
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value =
                percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
            if seen.contains(&name) {
                return Err(format!("the parameter `{name}` is there twice"));
            }
            seen.push(name);
            match name {
                "route" => filter.route = Some(value),
                "consumer" => filter.consumer = Some(value),
                "status" => filter.status = Some(status(&value)?),
                "slower" => {
                    let read = config::duration(&value).map_err(|why| {
                        format!("`slower={value}` is not a duration: {why}; write it like 200ms")
                    });
                    filter.slower = Some(read?);
                }
                "limit" => {
                    let read = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    let wrong = || format!("`limit={value}` is not a number from 1 to {MOST}");
                    filter.limit = read.ok_or_else(wrong)?;
                }
                "after" => {
                    let wrong = |_| format!("`after={value}` is not the number of a record");
                    filter.after = value.parse().map_err(wrong)?;
                }
                _ => {
                    return Err(format!(
                        "there is no `{name}`, but `route`, `status`, `slower`, `consumer`, `limit` \
                         and `after`"
                    ));
                }
            }
        }
        Ok(filter)
    }

    /// The newest of one route.
    pub(crate) fn of_route(route: &str, limit: usize) -> Self {
        Self { route: Some(route.to_owned()), limit, ..Self::default() }
    }

    pub(super) fn fits(&self, record: &Record) -> bool {
        let route = record.route.as_ref().map_or("", |route| &route.name);
        record.sequence > self.after
            && self.route.as_deref().is_none_or(|wanted| wanted == route)
            && self.status.is_none_or(|wanted| match (wanted, record.status) {
                (Status::Exact(wanted), Some(status)) => wanted == status,
                (Status::Class(wanted), Some(status)) => wanted == status / 100,
                (Status::None, status) => status.is_none(),
                (_, None) => false,
            })
            && self.slower.is_none_or(|least| u128::from(record.duration_ns) >= least.as_nanos())
            && self
                .consumer
                .as_deref()
                .is_none_or(|wanted| wanted == record.consumer.as_deref().unwrap_or_default())
    }
}

fn status(text: &str) -> Result<Status, String> {
    let class = text.strip_suffix("xx").and_then(|class| class.parse().ok());
    match (text, class, text.parse()) {
        ("none", ..) => Ok(Status::None),
        (_, Some(class), _) if (1..=5).contains(&class) => Ok(Status::Class(class)),
        (_, None, Ok(status)) if (100..=599).contains(&status) => Ok(Status::Exact(status)),
        _ => Err(format!("`status={text}` is not a status such as 404, 5xx or none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_question_out_of_a_url() {
        let read = Filter::parse("route=a%20b&status=5xx&slower=200ms&consumer=x&limit=7&after=9");
        let expected = Filter {
            route: Some("a b".into()),
            status: Some(Status::Class(5)),
            slower: Some(Duration::from_millis(200)),
            consumer: Some("x".into()),
            after: 9,
            limit: 7,
        };
        assert_eq!(read, Ok(expected));
        assert_eq!(Filter::parse(""), Ok(Filter { limit: LIMIT, ..Filter::default() }));
        assert_eq!(Filter::parse("status=404").unwrap().status, Some(Status::Exact(404)));
        assert_eq!(Filter::parse("status=none").unwrap().status, Some(Status::None));
    }

    #[test]
    fn says_what_is_wrong() {
        for (query, says) in [
            ("status=6xx", "`status=6xx` is not a status"),
            ("status=1000", "`status=1000` is not a status"),
            ("slower=200", "`slower=200` is not a duration: a number in it has no unit"),
            ("limit=0", "`limit=0` is not a number from 1 to 1000"),
            ("after=x", "`after=x` is not the number"),
            ("limit=1&limit=2", "the parameter `limit` is there twice"),
            ("of=x", "there is no `of`, but `route`"),
        ] {
            let why = Filter::parse(query).unwrap_err();
            assert!(why.starts_with(says), "{why}");
        }
    }
}
