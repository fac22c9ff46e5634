//! `GET` and `PUT /log-level`.
//!
//! Owns the form in which a filter is asked for. Who has the log takes it.

use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::audit::Entry;
use super::call::{Answer, Call, Refusal, Reply};
use super::operator::Operator;

/// Characters of a filter, at most.
const MOST: usize = 1_000;

fn operator(admin: &Admin) -> Result<&dyn Operator, Refusal> {
    let none = || Refusal::new(StatusCode::NOT_IMPLEMENTED, "the log is not this gateway's own");
    admin.0.operator.as_deref().ok_or_else(none)
}

pub(super) fn get(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    Ok(shown(operator(admin)?))
}

fn shown(operator: &dyn Operator) -> Reply {
    Reply::json(json!({ "filter": operator.log_filter() }))
}

/// Takes `{"filter": "debug"}`.
pub(super) fn put(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let operator = operator(admin)?;
    let filter = filter(&call.body)?;
    let entry = Entry::of(admin, call, "log-level", json!({ "filter": filter }))?;
    match operator.set_log_filter(&filter) {
        Ok(()) => {
            entry.done("changed");
            Ok(shown(operator))
        }
        Err(why) => {
            entry.done("refused");
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why))
        }
    }
}

fn filter(body: &[u8]) -> Result<String, Refusal> {
    let wrong = || {
        let why = format!("the body is `{{\"filter\": \"info\"}}`, with 1 to {MOST} characters");
        Refusal::bad(why)
    };
    let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else { return Err(wrong()) };
    match (members.remove("filter"), members.is_empty()) {
        (Some(Value::String(filter)), true)
            if !filter.trim().is_empty() && filter.chars().count() <= MOST =>
        {
            Ok(filter)
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_comes_as_json() {
        let read = |body: &str| filter(body.as_bytes()).ok();
        assert_eq!(
            read(r#"{"filter": "warn,plugin=debug"}"#).as_deref(),
            Some("warn,plugin=debug")
        );
        for wrong in
            ["", "{}", "[]", r#"{"filter": 1}"#, r#"{"filter": " "}"#, r#"{"filter": "a", "b": 1}"#]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
