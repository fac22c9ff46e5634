//! What a head that a plugin wrote must obey: the rules for those of clients.

use std::borrow::Cow;

use http::HeaderValue;

use super::authority;
use crate::path::{PathParameters, PathRules, normalise};

/// Whether this can be the host of a request; else why not.
pub(crate) fn check_host_value(host: &HeaderValue) -> Result<(), String> {
    let why = match host.to_str().map(authority::host) {
        Ok(Ok("")) => "it is empty".to_owned(),
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(why)) => why.to_string(),
        Err(_) => "it holds a byte outside ASCII".to_owned(),
    };
    let shown: String = String::from_utf8_lossy(host.as_bytes()).chars().take(64).collect();
    Err(format!("the value {shown:?} for the field `host` is not a host and port: {why}"))
}

/// The path that a plugin wrote, in the form that those of clients have. Escapes are brought into their
/// one form; what would be another path is refused: a route would not have taken it, and what the
/// plugin meant is not known. Encoded slashes and parameters are the upstream's own notation.
pub(crate) fn normal_path(path: &str) -> Result<Cow<'_, str>, String> {
    const RULES: PathRules =
        PathRules { parameters: PathParameters::Keep, keep_encoded_slashes: true };
    let refuse = |why: &dyn std::fmt::Display| {
        let shown: String = path.chars().take(256).collect();
        format!("the path {shown:?} is not one that a route would take: {why}")
    };
    let normal = normalise(path, RULES).map_err(|why| refuse(&why))?;
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let is_same = slashes(path) == slashes(&normal) && path.ends_with('/') == normal.ends_with('/');
    if is_same { Ok(normal) } else { Err(refuse(&"it holds a dot segment or a double slash")) }
}
