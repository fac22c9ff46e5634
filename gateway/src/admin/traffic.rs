//! `GET /traffic` and `GET /traffic/stream`: what passes at the moment.
//!
//! Owns how it is asked for. The numbers are those of `live`.

use http::StatusCode;

use super::Admin;
use super::call::{Answer, Call, Content, Refusal, Reply};
use super::live::{Events, LISTENERS};

/// The last quarter of an hour.
pub(super) fn history(admin: &Admin, call: &Call) -> Answer {
    let [route, after] = call.known(["route", "after"])?;
    let wrong = || Refusal::bad("`after` is the number of a point: `last` of an earlier answer");
    let after = match after.as_deref() {
        None => 0,
        Some(text) if text.bytes().all(|it| it.is_ascii_digit()) => {
            text.parse().map_err(|_| wrong())?
        }
        Some(_) => return Err(wrong()),
    };
    Ok(Reply::json(admin.0.live.points(route.as_deref(), after)))
}

/// A snapshot a second, as server-sent events.
pub(super) fn stream(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let events = Events::of(admin).ok_or_else(|| {
        let why = format!("{LISTENERS} listen already, and no more may: close another dashboard");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    Ok(Reply { status: StatusCode::OK, content: Content::Events(events) })
}
