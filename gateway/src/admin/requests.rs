//! `GET /requests` and `GET /requests/{id}`: what happened to single requests.
//!
//! Owns the form of both answers. The records are [`crate::recorder`]'s, and so is what may be asked for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use crate::recorder::{Filter, Record};

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let filter = Filter::parse(&call.query).map_err(Refusal::bad)?;
    let (records, last) = admin.0.recorder.list(&filter);
    let records: Vec<Value> = records.iter().map(|record: &Arc<Record>| record.summary()).collect();
    Ok(Reply::json(json!({ "requests": records, "last": last })))
}

pub(super) fn one(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let id = &call.path[0];
    let record = admin.0.recorder.find(id).ok_or_else(|| {
        Refusal::not_found(format!(
            "no record of a request with the id `{id}` is kept: it was not recorded, or gave way to newer \
             ones"
        ))
    })?;
    Ok(Reply::json(record.json()))
}
