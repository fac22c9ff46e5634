//! `GET /openapi.json`: the description of all endpoints.
//!
//! Owns the document, which is written by hand and held against the table of endpoints by a test.

use super::Admin;
use super::call::{Answer, Call, Reply};

/// OpenAPI 3.1.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn document(_: &Admin, call: &Call) -> Answer {
    call.known([])?;
    Ok(Reply::text("application/json", DOCUMENT))
}

#[cfg(test)]
mod tests;
