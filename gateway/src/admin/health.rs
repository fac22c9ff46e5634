//! `GET /healthz`, `/livez`, `/readyz` and `/version`.
//!
//! Owns what probes are told. All of it is known without asking a worker.

use std::sync::atomic::Ordering;

use http::StatusCode;
use serde_json::json;

use super::Admin;
use super::call::{Answer, Call, Reply};

/// As text, for probes that look at the status alone.
#[expect(clippy::unnecessary_wraps, reason = "all endpoints answer so")]
pub(super) fn healthz(admin: &Admin, _: &Call) -> Answer {
    Ok(match admin.is_draining() {
        true => Reply::text("text/plain", "draining\n").with(StatusCode::SERVICE_UNAVAILABLE),
        false => Reply::text("text/plain", "ok\n"),
    })
}

pub(super) fn livez(_: &Admin, call: &Call) -> Answer {
    call.known([])?;
    Ok(Reply::json(json!({ "status": "live" })))
}

/// 503 with every reason for which no request is served now.
pub(super) fn readyz(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let mut reasons = Vec::new();
    if admin.is_draining() {
        reasons.push(json!({
            "reason": "draining",
            "detail": "the process ends: it takes no new connections",
        }));
    }
    let all = admin.0.workers.load(Ordering::Relaxed);
    let running = admin.0.metrics.running_workers();
    if running < all {
        reasons.push(json!({
            "reason": "starting",
            "detail": format!("{running} of {all} workers have begun"),
        }));
    }
    // One whose set was added by a reload served before, and goes on.
    for set in admin.0.key_sets.never_read() {
        let detail =
            format!("the keys `{}` have not been read yet: who has one is refused", set.name());
        reasons.push(json!({ "reason": "keys", "detail": detail }));
    }
    let is_ready = reasons.is_empty();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Reply::json(json!({ "ready": is_ready, "reasons": reasons })).with(status))
}

pub(super) fn version(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let metrics = &admin.0.metrics;
    Ok(Reply::json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "plugin_interface": crate::plugin::INTERFACE_VERSION,
        "process_id": std::process::id(),
        "started_at": metrics.began(),
        "workers": metrics.running_workers(),
    })))
}
