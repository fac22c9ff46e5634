//! `types` and `hooks`: heads and bodies on their way to a plugin, and what it makes of them.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::plugin::boxed::Boxed;
use crate::plugin::edits::{Attributes, Edits};
use crate::plugin::values::Values;

/// `types.body-mode`
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum BodyMode {
    #[component(name = "none")]
    None,
    #[component(name = "buffered")]
    Buffered(u64),
    #[component(name = "chunks")]
    Chunks,
}

/// `types.attribute`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// `types.field`, from a plugin.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

/// `types.field`, to a plugin.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct FieldOut {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

/// `types.field-edit`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum FieldEdit {
    #[component(name = "set")]
    Set(Field),
    #[component(name = "append")]
    Append(Field),
    #[component(name = "remove")]
    Remove(String),
}

/// `types.response`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
}

/// `hooks.request-head`
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) query: Option<&'a str>,
    pub(crate) fields: Values<'a, &'a [u8]>,
    pub(crate) attributes: Values<'a, &'a str>,
}

/// `hooks.request-change`, which `changes.rs` reads.
#[derive(ComponentType, Debug, Clone)]
#[component(record)]
pub(crate) struct RequestChange {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) fields: Edits,
    pub(crate) attributes: Attributes,
    #[component(name = "response-fields")]
    pub(crate) response_fields: Edits,
    pub(crate) upstream: Option<String>,
    #[component(name = "request-body")]
    pub(crate) request_body: Option<BodyMode>,
    #[component(name = "response-body")]
    pub(crate) response_body: Option<BodyMode>,
    pub(crate) context: Option<Vec<u8>>,
    #[component(name = "reuse-for")]
    pub(crate) reuse_for: Option<u64>,
}

/// The same as it is derived, where texts are not UTF-8.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(in crate::plugin) struct RequestChangeByParts {
    pub(in crate::plugin) method: Option<String>,
    pub(in crate::plugin) path: Option<String>,
    pub(in crate::plugin) query: Option<String>,
    pub(in crate::plugin) fields: Edits,
    pub(in crate::plugin) attributes: Attributes,
    #[component(name = "response-fields")]
    pub(in crate::plugin) response_fields: Edits,
    pub(in crate::plugin) upstream: Option<String>,
    #[component(name = "request-body")]
    pub(in crate::plugin) request_body: Option<BodyMode>,
    #[component(name = "response-body")]
    pub(in crate::plugin) response_body: Option<BodyMode>,
    pub(in crate::plugin) context: Option<Vec<u8>>,
    #[component(name = "reuse-for")]
    pub(in crate::plugin) reuse_for: Option<u64>,
}

impl RequestChange {
    /// How many fields and attributes it writes.
    pub(crate) fn parts(&self) -> usize {
        self.fields.count() + self.response_fields.count() + self.attributes.count()
    }

    /// Whether it changes nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        let has_text = self.method.is_some() || self.path.is_some() || self.query.is_some();
        let has_more =
            self.upstream.is_some() || self.request_body.is_some() || self.response_body.is_some();
        !has_text && !has_more && self.parts() == 0 && self.bytes() == 0
    }

    /// Bytes of all that it writes.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.method, &self.path, &self.query, &self.upstream];
        texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self.context.as_ref().map_or(0, Vec::len)
            + self.fields.bytes()
            + self.response_fields.bytes()
            + self.attributes.bytes()
    }
}

/// `hooks.request-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum RequestOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(Boxed<RequestChange>),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.request-body-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct RequestBodyChange {
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) head: Boxed<RequestChange>,
}

/// `hooks.request-body-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum RequestBodyOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(RequestBodyChange),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.response-head`
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: u16,
    pub(crate) fields: Values<'a, &'a [u8]>,
}

/// `hooks.response-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct ResponseChange {
    pub(crate) status: Option<u16>,
    pub(crate) fields: Edits,
    #[component(name = "response-body")]
    pub(crate) response_body: Option<BodyMode>,
    pub(crate) context: Option<Vec<u8>>,
}

/// `hooks.response-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum ResponseOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(ResponseChange),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.response-body-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct ResponseBodyChange {
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) head: ResponseChange,
}

/// `hooks.response-body-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum ResponseBodyOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(ResponseBodyChange),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.body-chunk`
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct BodyChunk<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) last: bool,
}

/// `hooks.chunk-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct ChunkChange {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) context: Option<Vec<u8>>,
}

/// `hooks.chunk-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum ChunkOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(ChunkChange),
    #[component(name = "abort")]
    Abort(String),
}
