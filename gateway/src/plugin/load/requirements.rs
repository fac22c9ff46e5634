//! What a configured plugin wants, hook by hook, for people to read.
//!
//! Owns the words for an [`Interest`]. Must not decide what is called.

use crate::plugin::Interest;
use crate::plugin::bindings::BodyMode;
use crate::plugin::edits::Edit;

/// A hook that a plugin wants to be called in, or what the gateway does for it without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Its name in `wit/`.
    pub hook: &'static str,
    /// What arrives with the call, such as `method` or `field x-name`; without a hook what is
    /// done, such as `set x-name`.
    pub with: Vec<String>,
}

impl Requirement {
    /// Whether the plugin is called for it.
    #[must_use]
    pub fn is_called(&self) -> bool {
        ![EVERY_REQUEST, EVERY_RESPONSE].contains(&self.hook)
    }
}

/// What replaces a hook where none is called.
const EVERY_REQUEST: &str = "every-request";
const EVERY_RESPONSE: &str = "every-response";

/// The hooks in the order in which an exchange comes to them.
pub(super) fn list(interest: &Interest) -> Vec<Requirement> {
    let mut requirements = Vec::new();
    requirements.extend(edits(&interest.every_request, EVERY_REQUEST));
    if interest.request {
        let parts =
            [("method", interest.method), ("path", interest.path), ("query", interest.query)];
        let parts = parts.iter().filter(|(_, is_wanted)| *is_wanted);
        let mut with: Vec<_> = parts.map(|(name, _)| (*name).to_owned()).collect();
        with.extend(interest.request_fields.iter().map(|name| format!("field {name}")));
        with.extend(interest.attributes.iter().map(|name| format!("attribute {}", name.as_str())));
        requirements.push(Requirement { hook: "on-request", with });
    }
    requirements.extend(body(interest.request_body, "on-request-body", "on-request-chunk"));
    requirements.extend(edits(&interest.every_response, EVERY_RESPONSE));
    if interest.response {
        let fields = interest.response_fields.iter().map(|name| format!("field {name}"));
        requirements.push(Requirement { hook: "on-response", with: fields.collect() });
    }
    requirements.extend(body(interest.response_body, "on-response-body", "on-response-chunk"));
    if interest.complete {
        requirements.push(Requirement { hook: "on-complete", with: Vec::new() });
    }
    requirements
}

fn edits(edits: &[Edit], hook: &'static str) -> Option<Requirement> {
    let name = |edit: &Edit| match edit {
        Edit::Set(name, _) => format!("set {name}"),
        Edit::Append(name, _) => format!("append {name}"),
        Edit::Remove(name) => format!("remove {name}"),
    };
    (!edits.is_empty()).then(|| Requirement { hook, with: edits.iter().map(name).collect() })
}

fn body(mode: BodyMode, whole: &'static str, piece: &'static str) -> Option<Requirement> {
    match mode {
        BodyMode::None => None,
        BodyMode::Buffered(limit) => {
            Some(Requirement { hook: whole, with: vec![format!("up to {limit} bytes")] })
        }
        BodyMode::Chunks => Some(Requirement { hook: piece, with: Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::AttributeName;

    #[test]
    fn names_each_hook_that_is_wanted_and_what_arrives_with_it() {
        let interest = Interest {
            request: true,
            path: true,
            request_fields: [http::HeaderName::from_static("x-name")].into(),
            attributes: [AttributeName::new("client.address".to_owned())].into(),
            request_body: BodyMode::Buffered(64),
            response_body: BodyMode::Chunks,
            complete: true,
            every_response: vec![
                Edit::Remove(http::header::SERVER),
                Edit::Set(http::header::VARY, http::HeaderValue::from_static("origin")),
            ],
            ..Interest::none()
        };
        let found: Vec<_> = list(&interest)
            .into_iter()
            .map(|requirement| (requirement.hook, requirement.with.join(", ")))
            .collect();
        let expected = [
            ("on-request", "path, field x-name, attribute client.address"),
            ("on-request-body", "up to 64 bytes"),
            ("every-response", "remove server, set vary"),
            ("on-response-chunk", ""),
            ("on-complete", ""),
        ];
        assert_eq!(found, expected.map(|(hook, with)| (hook, with.to_owned())));
        let called = list(&interest).iter().filter(|requirement| requirement.is_called()).count();
        assert_eq!(called, expected.len() - 1);
        assert_eq!(list(&Interest::none()), []);
    }
}
