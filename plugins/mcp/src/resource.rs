//! What clients are told of the resource that a server is (RFC 9728).
//!
//! Owns the document and the paths at which it is. Must not know how tokens are checked: `auth` does that.

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::prelude::Response;
use serde_json::{Map, Value, json};

use crate::config::ResourceSpec;
use crate::refusal;

/// Where the document is, in front of the path of the resource (section 3.1).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A resource.
#[derive(Debug)]
pub(crate) struct Resource {
    origin: String,
    path: String,
    document: String,
}

impl Resource {
    pub(crate) fn new(spec: &ResourceSpec) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let (origin, path) = match split(&spec.uri) {
            Some((origin, path)) => (origin.to_owned(), path.to_owned()),
            None => {
                let message = "is no address of http or https without a query and a fragment";
                errors.push(ConfigError::at("/resource/uri", message));
                Default::default()
            }
        };
        for (index, server) in spec.authorization_servers.iter().enumerate() {
            if split(server).is_none() {
                let pointer = format!("/resource/authorization_servers/{index}");
                errors
                    .push(ConfigError::at(pointer, "is no address of an issuer, of http or https"));
            }
        }
        ConfigError::collect(errors)?;
        let mut document = Map::new();
        document.insert("resource".into(), json!(spec.uri));
        document.insert("authorization_servers".into(), json!(spec.authorization_servers));
        document.insert("bearer_methods_supported".into(), json!(["header"]));
        if !spec.scopes_supported.is_empty() {
            document.insert("scopes_supported".into(), json!(spec.scopes_supported));
        }
        if let Some(name) = &spec.name {
            document.insert("resource_name".into(), json!(name));
        }
        if let Some(documentation) = &spec.documentation {
            document.insert("resource_documentation".into(), json!(documentation));
        }
        Ok(Self { origin, path, document: Value::Object(document).to_string() })
    }

    /// The address of the document.
    pub(crate) fn address(&self) -> String {
        format!("{}{WELL_KNOWN}{}", self.origin, self.path)
    }

    /// The answer to who asks at a path of documents, where it is one.
    pub(crate) fn answer(this: Option<&Self>, method: &str, path: &str) -> Option<Response> {
        let rest = path.strip_prefix(WELL_KNOWN)?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        // Without a path it is where clients look next.
        let known = this.filter(|it| rest.is_empty() || rest == "/" || rest == it.path);
        Some(match (known, method) {
            (Some(resource), "GET" | "HEAD") => Response::new(200)
                .header("content-type", "application/json")
                .header("cache-control", "public, max-age=300")
                // Clients in browsers ask too, and it is no secret.
                .header("access-control-allow-origin", "*")
                .body(resource.document.clone()),
            (Some(_), _) => refusal::method().header("allow", "GET, HEAD"),
            (None, _) => Response::not_found("There is no protected resource of this path."),
        })
    }
}

/// Origin and path, without a slash where that is the path.
fn split(address: &str) -> Option<(&str, &str)> {
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'?' | b'#');
    let authority = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let start = address.len() - authority.len();
    let end = authority.find('/').map_or(address.len(), |at| start + at);
    let (origin, path) = address.split_at(end);
    let is_fine = end > start && address.bytes().all(is_plain);
    is_fine.then_some((origin, if path == "/" { "" } else { path }))
}
