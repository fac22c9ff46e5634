//! `POST /reload`.
//!
//! Owns the form of the question and of the outcome. The program around the gateway reads the file; an
//! outcome that nobody waits for any more is written to the audit log all the same.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;

use super::Admin;
use super::audit::Entry;
use super::call::{Answer, Call, Refusal, Reply};
use super::operator::Reloaded;
use super::router::Waiting;

/// How long an outcome is waited for: less than the connection may take.
const PATIENCE: Duration = Duration::from_secs(170);

pub(super) fn reload<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(answer(admin, call))
}

async fn answer(admin: &Admin, call: &Call) -> Answer {
    let [dry_run] = call.known(["dry_run"])?;
    let dry_run = Call::flag("dry_run", dry_run.as_deref())?;
    let Some(operator) = &admin.0.operator else {
        let why = "this gateway was not read from a file";
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, why));
    };
    let began = Instant::now();
    // A dry run changes nothing.
    let entry = match dry_run {
        true => None,
        false => Some(Entry::of(admin, call, "reload", json!({}))?),
    };
    let outcome = match operator.reload(dry_run) {
        Ok(outcome) => outcome,
        Err(busy) => {
            entry.into_iter().for_each(|entry| entry.done("busy"));
            return Err(Refusal::new(StatusCode::CONFLICT, busy.to_string()));
        }
    };
    // In a task of its own: the change is made whether or not somebody waits for it.
    let outcome = tokio::task::spawn_local(async move {
        let outcome = outcome.await.ok();
        if let Some(entry) = entry {
            entry.done(match &outcome {
                Some(Reloaded { refused: None, .. }) => "in force",
                Some(_) => "refused",
                None => "unknown",
            });
        }
        outcome
    });
    let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is about to end");
    let late = || {
        let why = format!("no outcome within {} s; the log will have it", PATIENCE.as_secs());
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, why)
    };
    let outcome = tokio::time::timeout(PATIENCE, outcome).await.map_err(|_| late())?;
    let Reloaded { refused, findings } = outcome.ok().flatten().ok_or_else(gone)?;
    if let Some(why) = refused {
        let refusal = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why);
        return Err(refusal.with("findings", findings.into()));
    }
    let in_force = admin.in_force();
    Ok(Reply::json(json!({
        "result": if dry_run { "valid" } else { "in_force" },
        "dry_run": dry_run,
        "generation": in_force.generation,
        "sha256": in_force.sha256,
        "findings": findings,
        "duration_seconds": began.elapsed().as_secs_f64(),
    })))
}
