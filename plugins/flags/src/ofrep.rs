//! The OpenFeature Remote Evaluation Protocol: what is asked, and how it is answered.

use gateway_flags::{ErrorCode, Evaluation, Flags, Reason};
use gateway_plugin_sdk::digest;
use gateway_plugin_sdk::prelude::Response;
use serde_json::{Map, Value, json};

const EVALUATE: &str = "/ofrep/v1/evaluate/flags";
const CONFIGURATION: &str = "/ofrep/v1/configuration";

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// One flag.
    One(String),
    /// All flags.
    All,
    /// What the service can do.
    Configuration,
}

/// Why nothing is evaluated.
struct Refused {
    status: u16,
    code: &'static str,
    details: String,
}

impl Asked {
    /// What a path asks for, whatever stands before its known end.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        if path.ends_with(CONFIGURATION) {
            return Some(Self::Configuration);
        }
        let (_, key) = path.rsplit_once(EVALUATE)?;
        match key {
            "" => Some(Self::All),
            // Also the empty key, which no flag has: an application that has lost a key is not told of all flags.
            key => key.strip_prefix('/').map(|key| Self::One(decoded(key))),
        }
    }

    /// The answer to a method that is not for this.
    pub(crate) fn wrong_method(&self, method: &str) -> Option<Response> {
        let allowed = if *self == Self::Configuration { "GET" } else { "POST" };
        (method != allowed).then(|| {
            let detail = format!("The method here is {allowed}.");
            Response::problem(405, "Method Not Allowed", detail).header("allow", allowed)
        })
    }
}

/// Answers. `context` makes the context of what the application sends of it.
pub(crate) fn answer(
    asked: &Asked,
    flags: Option<&Flags>,
    body: &[u8],
    context: impl FnOnce(Map<String, Value>) -> Map<String, Value>,
    known: Option<&str>,
    now: u64,
) -> Response {
    if *asked == Asked::Configuration {
        return tagged(&configuration(), known);
    }
    let evaluated =
        flags.ok_or_else(not_ready).and_then(|flags| Ok((flags, context(theirs(body)?))));
    let (flags, context) = match evaluated {
        Ok(evaluated) => evaluated,
        Err(refused) => return refused.answer(asked),
    };
    match asked {
        Asked::One(key) => one(flags, key, &context, now),
        _ => {
            let flags = flags.iter().filter_map(|flag| {
                let found = flag.evaluate(&context, now);
                let has_something = found.value.is_some() || found.error.is_some();
                has_something.then(|| described(flag.key(), &found))
            });
            tagged(&json!({ "flags": flags.collect::<Vec<_>>() }), known)
        }
    }
}

fn one(flags: &Flags, key: &str, context: &Map<String, Value>, now: u64) -> Response {
    let mut found = flags.evaluate(key, context, now);
    if found.reason == Reason::Disabled {
        // Providers take their own default for it, as they do for one that is not there.
        found.error = Some((ErrorCode::FlagNotFound, format!("the flag {key:?} is disabled")));
    }
    let status = match &found.error {
        None => 200,
        Some((ErrorCode::FlagNotFound, _)) => 404,
        Some(_) => 400,
    };
    json_response(status, &described(key, &found))
}

/// What is told of a flag. One without a value has an empty variant, since providers expect a name.
fn described(key: &str, found: &Evaluation<'_>) -> Value {
    let mut told = json!({ "key": key, "metadata": found.metadata });
    match &found.error {
        Some((code, details)) => {
            told["errorCode"] = code.name().into();
            told["errorDetails"] = details.as_str().into();
        }
        None => {
            told["reason"] = found.reason.name().into();
            told["variant"] = found.variant.as_deref().unwrap_or_default().into();
            if let Some(value) = found.value {
                told["value"] = value.clone();
            }
        }
    }
    told
}

fn configuration() -> Value {
    json!({
        "name": "gateway",
        "capabilities": {
            "cacheInvalidation": { "polling": { "enabled": true, "minPollingIntervalMs": 1000 } },
            "flagEvaluation": { "supportedTypes": [] },
            "caching": { "enabled": false },
        },
    })
}

/// The context that an application sends.
fn theirs(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let refused = |code, details: String| Err(Refused { status: 400, code, details });
    match serde_json::from_slice::<Value>(body) {
        Err(error) => refused("PARSE_ERROR", format!("the body is no JSON: {error}")),
        Ok(Value::Object(mut members)) => match members.remove("context") {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(context)) => Ok(context),
            Some(_) => refused("INVALID_CONTEXT", "the context is no object".to_owned()),
        },
        Ok(_) => refused("PARSE_ERROR", "the body is no object with a \"context\"".to_owned()),
    }
}

fn not_ready() -> Refused {
    let details = "there are no definitions of flags yet".to_owned();
    Refused { status: 500, code: "PROVIDER_NOT_READY", details }
}

impl Refused {
    fn answer(self, asked: &Asked) -> Response {
        let mut told = json!({ "errorCode": self.code, "errorDetails": self.details });
        if let Asked::One(key) = asked {
            told["key"] = key.as_str().into();
        }
        json_response(self.status, &told).because(self.details)
    }
}

fn json_response(status: u16, told: &Value) -> Response {
    Response::new(status).header("content-type", "application/json").body(told.to_string())
}

/// An answer with an entity tag, or without a body if that is known.
fn tagged(told: &Value, known: Option<&str>) -> Response {
    let body = told.to_string();
    let digest = digest::sha256(body.as_bytes());
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hex}\"");
    let is_known = |known: &str| {
        let mut tags = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|known| known == tag || known == "*")
    };
    if known.is_some_and(is_known) {
        return Response::new(304).header("etag", tag);
    }
    Response::new(200).header("content-type", "application/json").header("etag", tag).body(body)
}

/// Without percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex =
            tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_empty_key_is_no_flag_and_not_all_of_them() {
        assert_eq!(Asked::of_path("/x/ofrep/v1/evaluate/flags"), Some(Asked::All));
        let asked = Asked::of_path("/x/ofrep/v1/evaluate/flags/").unwrap();
        assert_eq!(asked, Asked::One(String::new()));
        let mut loading = gateway_flags::Loading::new(
            r#"{"flags":{"a":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}}"#
                .to_owned(),
        )
        .unwrap();
        while !loading.advance(100) {}
        let (flags, _) = loading.finish().unwrap();
        let answer = answer(&asked, Some(&flags), b"{}", |theirs| theirs, None, 0);
        assert_eq!(answer.status(), 404);
    }
}
