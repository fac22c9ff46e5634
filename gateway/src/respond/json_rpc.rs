//! Refusals for clients of JSON-RPC 2.0, MCP's among them.
//!
//! The status stays that of HTTP. The whole problem document is the error's `data`.

use serde_json::json;

use super::finish::Refused;

/// The answer to a call whose id is this JSON text; null if it is not known. The id goes back letter by
/// letter: a number may have more digits than any number here.
pub(super) fn error(refusal: Refused<'_>, id: Option<&str>) -> String {
    let Refused { status, message, document, .. } = refusal;
    let code = match status.as_u16() {
        400 => -32_600,
        500 => -32_603,
        // Of the codes that JSON-RPC leaves to servers, the one without a meaning in MCP.
        _ => -32_000,
    };
    let error = json!({ "code": code, "message": message, "data": document });
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.unwrap_or("null"))
}
