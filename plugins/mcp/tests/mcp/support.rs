//! The plugin with a few rules, and requests to it.

use gateway_plugin_sdk::testing::{self, Harness, RequestBuilder, ResponseBuilder};
use mcp::Mcp;
use serde_json::{Value, json};

/// The newest revision.
pub(crate) const NEW: &str = "2026-07-28";

/// Everybody may `add`, and with a scope `wipe`; no prompt; documents.
pub(crate) fn config() -> Value {
    json!({
        "rules": [
            { "tools": ["add", "files_*"], "deny_tools": ["files_delete"], "prompts": [],
              "resources": ["docs://*"] },
            { "scopes": ["admin"], "tools": ["wipe"] },
            { "consumers": ["root"], "claims": { "mfa": ["true"] }, "tools": ["*"] },
        ],
        "resource": {
            "uri": "https://api.example.com/mcp",
            "authorization_servers": ["https://id.example.com"],
            "scopes_supported": ["tools"],
        },
    })
}

pub(crate) fn plugin(config: Value) -> Harness<Mcp> {
    Harness::new(config).expect("the configuration is valid")
}

/// A POST of this body by a consumer.
pub(crate) fn post(body: impl Into<Vec<u8>>) -> RequestBuilder {
    post_as("application/json", body)
}

/// The same of another media type.
pub(crate) fn post_as(media_type: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
    testing::request()
        .method("POST")
        .path("/mcp")
        .header("content-type", media_type)
        .header("authorization", "Bearer of the client")
        .attribute("consumer.id", "ada")
        .body(body)
}

/// A request as the revisions before the newest have it.
pub(crate) fn old(method: &str, params: Value) -> RequestBuilder {
    post(json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string())
        .header("mcp-protocol-version", "2025-11-25")
}

/// A request of the newest revision.
pub(crate) fn new(method: &str, mut params: Value) -> RequestBuilder {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "check", "version": "1" },
    });
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let request =
        post(request.to_string()).header("mcp-protocol-version", NEW).header("mcp-method", method);
    match params["name"].as_str().or(params["uri"].as_str()) {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

pub(crate) fn json_answer(body: &Value) -> ResponseBuilder {
    testing::response().header("content-type", "application/json").body(body.to_string())
}

pub(crate) fn stream(pieces: &[&str]) -> ResponseBuilder {
    let response = testing::response().header("content-type", "text/event-stream");
    response.chunks(pieces.iter().map(|piece| piece.as_bytes().to_vec()))
}
