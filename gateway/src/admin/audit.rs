//! Who changed what.
//!
//! Owns a line for each change that is made through the API: in the log of the process with the target
//! `audit`, and in the file of `audit`. A change that cannot be written down is not made.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::call::{Call, Refusal};

/// A change that is about to be made.
#[derive(Debug)]
pub(super) struct Entry {
    who: &'static str,
    from: SocketAddr,
    action: &'static str,
    what: Value,
    request_id: String,
    file: Option<File>,
}

/// Opens the file of `audit`, to append to it. Others may not read it.
///
/// # Errors
/// Those of the system.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Entry {
    /// Writes down that a change is about to be made.
    ///
    /// # Errors
    /// 503 where that cannot be written to the file.
    pub(super) fn of(
        admin: &Admin,
        call: &Call,
        action: &'static str,
        what: Value,
    ) -> Result<Self, Refusal> {
        let in_force = admin.in_force();
        let path = in_force.config.admin.as_ref().and_then(|admin| admin.audit.as_deref());
        let unwritten = |error: io::Error| {
            tracing::error!(target: "audit", %error, "the file of `audit` cannot be written");
            let why = "the change is not made, since it cannot be written to the file of `audit`";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
        };
        let file = path.map(open).transpose().map_err(unwritten)?;
        let (who, from, request_id) = (call.who, call.peer, call.id.clone());
        let mut entry = Self { who, from, action, what, request_id, file };
        entry.write("begun").map_err(unwritten)?;
        Ok(entry)
    }

    /// Writes down what became of it.
    pub(super) fn done(mut self, result: &str) {
        let Self { who, from, action, what, request_id, .. } = &self;
        tracing::info!(target: "audit", who, %from, action, %what, result, request_id, "change");
        if let Err(error) = self.write(result) {
            tracing::error!(target: "audit", %error, "the file of `audit` cannot be written");
        }
    }

    fn write(&mut self, result: &str) -> io::Result<()> {
        let Self { who, from, action, what, request_id, file } = self;
        let Some(file) = file else { return Ok(()) };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        let line = json!({
            "at": at, "who": who, "from": from.to_string(), "action": action, "what": what,
            "result": result, "request_id": request_id,
        });
        // In one piece, so that lines of two processes do not mix.
        file.write_all(format!("{line}\n").as_bytes())
    }
}
