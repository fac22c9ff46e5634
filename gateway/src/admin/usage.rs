//! `GET /usage`: who used how much, as JSON.
//!
//! Owns how a question comes in a URL, and that few are answered at a time: each reads the store on a
//! thread of its own.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::Admin;
use super::call::{Answer, Call, Reply};
use super::router::Waiting;
use crate::usage::{Query, QueryError};

/// How long the store may take: less than the connection may.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a question waits for those before it; with the former less than the connection may take.
const WAIT: Duration = Duration::from_secs(1);

pub(super) fn usage<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        let answer: Answer = Ok(match answer(admin, &call.query).await {
            Ok(text) => Reply::text("application/json", text),
            Err((status, text)) => Reply::text("text/plain", text + "\n").with(status),
        });
        answer
    })
}

async fn answer(admin: &Admin, query: &str) -> Result<String, (StatusCode, String)> {
    let query = parse(query).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let settings = admin.0.usage.settings().ok_or_else(|| {
        (StatusCode::NOT_FOUND, "no usage is recorded: there is no `[usage]`".to_owned())
    })?;
    let place = Arc::clone(&admin.0.places.questions).acquire_owned();
    let Ok(Ok(place)) = tokio::time::timeout(WAIT, place).await else {
        let why = "as many questions as may be are being answered".to_owned();
        return Err((StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        query.read(&settings, PATIENCE)
    });
    let unavailable = |error: &dyn Display| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let report = read.await.map_err(|error| unavailable(&error))?;
    let report = report.map_err(|error| unavailable(&error))?;
    Ok(format!("{}\n", report.json()))
}

/// Reads `by`, `from` and `to`.
fn parse(query: &str) -> Result<Query, String> {
    let (mut by, mut from, mut to) = (None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "by" => by = Some(value),
            "from" => from = Some(value),
            "to" => to = Some(value),
            _ => return Err(format!("there is no `{name}`, but `by`, `from` and `to`")),
        }
    }
    let by = by.as_deref().unwrap_or("consumer");
    Query::parse(by, from.as_deref(), to.as_deref()).map_err(|error: QueryError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_question_out_of_a_url() {
        let read = parse("by=day%2Cconsumer&from=2026-11-01T10%3A30&to=2026-12-01");
        let expected = Query::parse("day,consumer", Some("2026-11-01T10:30"), Some("2026-12-01"));
        assert_eq!(read.unwrap(), expected.unwrap());
        assert_eq!(parse("").unwrap(), Query::parse("consumer", None, None).unwrap());
        assert!(parse("of=route").is_err() && parse("by=all").is_err());
    }
}
