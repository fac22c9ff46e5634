//! What a configured plugin wants to see, parsed.
//!
//! Owns the step from the guest's own words to names that the chain can look up without parsing.

use http::HeaderName;

use super::bindings::{self, BodyMode, HookSet, RequestParts};
use super::edits::{Edit, Edits};
use crate::heads::AttributeName;

/// Names that a plugin may declare, at most of each kind.
const MAX_NAMES: usize = 64;
/// Changes of every request, and of every response.
const MAX_EDITS: usize = 64;

/// A plugin's interest.
#[derive(Debug, Clone)]
pub(crate) struct Interest {
    /// Whether `on-request` is wanted.
    pub(crate) request: bool,
    /// Whether `on-response` is wanted.
    pub(crate) response: bool,
    /// Whether `on-complete` is wanted.
    pub(crate) complete: bool,
    /// Whether the method goes with `on-request`.
    pub(crate) method: bool,
    /// Whether the path does.
    pub(crate) path: bool,
    /// Whether the query does.
    pub(crate) query: bool,
    /// Fields that go with `on-request`.
    pub(crate) request_fields: Box<[HeaderName]>,
    /// Fields that go with `on-response`.
    pub(crate) response_fields: Box<[HeaderName]>,
    /// Attributes that go with `on-request`.
    pub(crate) attributes: Box<[AttributeName]>,
    /// How it wants request bodies unless a hook says otherwise.
    pub(crate) request_body: BodyMode,
    /// How it wants response bodies unless a hook says otherwise.
    pub(crate) response_body: BodyMode,
    /// What becomes of every request.
    pub(crate) every_request: Vec<Edit>,
    /// What becomes of every response.
    pub(crate) every_response: Vec<Edit>,
    /// Whether it promised that no hook waits.
    pub(crate) never_waits: bool,
}

impl Interest {
    /// No interest at all: that of a plugin that is not configured yet.
    pub(super) fn none() -> Self {
        Self {
            request: false,
            response: false,
            complete: false,
            method: false,
            path: false,
            query: false,
            request_fields: Box::default(),
            response_fields: Box::default(),
            attributes: Box::default(),
            request_body: BodyMode::None,
            response_body: BodyMode::None,
            every_request: Vec::new(),
            every_response: Vec::new(),
            never_waits: false,
        }
    }
}

impl TryFrom<bindings::Interest> for Interest {
    type Error = String;

    fn try_from(raw: bindings::Interest) -> Result<Self, String> {
        let interest = Self {
            request: raw.hooks.contains(HookSet::REQUEST),
            response: raw.hooks.contains(HookSet::RESPONSE),
            complete: raw.hooks.contains(HookSet::COMPLETE),
            method: raw.request_parts.contains(RequestParts::METHOD),
            path: raw.request_parts.contains(RequestParts::PATH),
            query: raw.request_parts.contains(RequestParts::QUERY),
            request_fields: names(&raw.request_fields)?,
            response_fields: names(&raw.response_fields)?,
            attributes: raw.attributes.into_iter().map(AttributeName::new).collect(),
            request_body: raw.request_body,
            response_body: raw.response_body,
            every_request: edits(raw.every_request, "request")?,
            every_response: edits(raw.every_response, "response")?,
            never_waits: raw.never_waits,
        };
        if interest.attributes.len() > MAX_NAMES {
            return Err(format!("it declares more than {MAX_NAMES} attributes"));
        }
        Ok(interest)
    }
}

fn edits(raw: Edits, head: &str) -> Result<Vec<Edit>, String> {
    let edits =
        raw.checked().map_err(|breach| format!("what it does to every {head}: {breach}"))?;
    if edits.len() > MAX_EDITS {
        return Err(format!("it has more than {MAX_EDITS} changes for every {head}"));
    }
    Ok(edits)
}

fn names(raw: &[String]) -> Result<Box<[HeaderName]>, String> {
    if raw.len() > MAX_NAMES {
        return Err(format!("it declares more than {MAX_NAMES} fields"));
    }
    let parse = |name: &String| {
        HeaderName::try_from(name).map_err(|_| format!("it declares the field name `{name:?}`"))
    };
    raw.iter().map(parse).collect()
}
