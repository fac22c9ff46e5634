//! `GET /requests` and `GET /requests/ID`: what happened to single requests, as JSON.
//!
//! Owns the form of both answers, and of what is wrong with a question. The records are
//! [`crate::recorder`]'s.

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::Admin;
use crate::recorder::{Filter, Record};

/// A status, a content type and a text.
type Page = (StatusCode, &'static str, String);

const PATH: &str = "/requests";

/// Whether this module answers for a path.
pub(super) fn is_of_requests(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Admin {
    pub(super) fn requests(&self, path: &str, query: &str) -> Page {
        let id = path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/')).unwrap_or("");
        if id.is_empty() {
            return match Filter::parse(query) {
                Ok(filter) => self.list(&filter),
                Err(why) => problem(StatusCode::BAD_REQUEST, &why),
            };
        }
        let id = percent_decode_str(id).decode_utf8_lossy();
        match self.recorder.find(&id) {
            Some(record) => page(&record.json()),
            None => problem(
                StatusCode::NOT_FOUND,
                &format!(
                    "no record of a request with the id `{id}` is kept: it was not recorded, or gave \
                          way to newer ones"
                ),
            ),
        }
    }

    fn list(&self, filter: &Filter) -> Page {
        let (records, last) = self.recorder.list(filter);
        let records: Vec<_> =
            records.iter().map(|record: &std::sync::Arc<Record>| record.summary()).collect();
        page(&json!({ "requests": records, "last": last }))
    }
}

fn page(json: &serde_json::Value) -> Page {
    (StatusCode::OK, "application/json", format!("{json}\n"))
}

/// A problem document (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Page {
    let json = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, "application/problem+json", format!("{json}\n"))
}
