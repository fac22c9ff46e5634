//! `GET /certificates`.

use serde_json::{Value, json};

use super::Admin;
use super::call::{Answer, Call, Reply};
use crate::config::CertificateFacts;

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let all = admin.in_force().config.certificates();
    let shown: Vec<Value> = all.iter().map(show).collect();
    Ok(Reply::json(json!({ "certificates": shown })))
}

fn show(certificate: &CertificateFacts) -> Value {
    json!({
        "listener": certificate.listener,
        "admin": certificate.listener.is_none(),
        "names": certificate.names,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "sha256": certificate.sha256,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "chain_length": certificate.chain_length,
    })
}
