//! The records of the plugin interface, as they cross the border.
//!
//! Owns the shapes only: the generated bindings use the first five as they are, the others are
//! moved field by field. No rule about their content lives here.

use std::rc::Rc;

use crate::arrived::{Text, Values};

/// A header field line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name, in lower case when it comes from the gateway.
    pub name: String,
    /// The value, without the white space around it; it need not be UTF-8 (RFC 9110 section 5.5).
    pub value: Vec<u8>,
}

impl Field {
    /// The value, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }
}

/// An attribute of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// An attribute that a hook sets. What it is made of may be the plugin's, which sets the same for many exchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttribute {
    /// The name.
    pub name: Rc<str>,
    /// The value.
    pub value: Rc<str>,
}

/// How a plugin wants a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyMode {
    /// Not at all: the body streams past the plugin. The default.
    #[default]
    None,
    /// Whole, in one call, up to this many bytes. A longer request body is refused with 413; a
    /// longer response body fails the exchange as the configuration's `on_error` says.
    Buffered(u64),
    /// Chunk by chunk, as it arrives.
    Chunks,
}

/// A change to the fields of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldEdit {
    /// One line with this value, in place of all lines of this name.
    Set(Field),
    /// One more line.
    Append(Field),
    /// No line of this name.
    Remove(String),
}

impl FieldEdit {
    /// The name that the edit is about.
    pub fn name(&self) -> &str {
        match self {
            FieldEdit::Set(field) | FieldEdit::Append(field) => &field.name,
            FieldEdit::Remove(name) => name,
        }
    }
}

/// A whole answer, made by a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code, 200 to 599.
    pub status: u16,
    /// The fields.
    pub fields: Vec<Field>,
    /// The body.
    pub body: Vec<u8>,
}

/// What `on-request` is called with.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The method, if it was declared.
    pub method: Option<Text>,
    /// The path, if it was declared.
    pub path: Option<Text>,
    /// The query without its `?`, if it was declared and is there.
    pub query: Option<Text>,
    /// The declared fields, by position.
    pub fields: Values,
    /// The declared attributes, by position. They are UTF-8.
    pub attributes: Values,
}

/// What `on-response` is called with.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The declared fields, by position.
    pub fields: Values,
}

/// A changed request.
#[derive(Debug, Default)]
pub struct RequestChange {
    /// A new method.
    pub method: Option<String>,
    /// A new path.
    pub path: Option<String>,
    /// A new query; the empty string removes it.
    pub query: Option<String>,
    /// Changes to the fields.
    pub fields: Vec<FieldEdit>,
    /// Attributes to set.
    pub attributes: Vec<NewAttribute>,
    /// Changes to the fields of the response.
    pub response_fields: Vec<FieldEdit>,
    /// Another upstream.
    pub upstream: Option<String>,
    /// How the plugin wants this request's body.
    pub request_body: Option<BodyMode>,
    /// How the plugin wants this exchange's response body.
    pub response_body: Option<BodyMode>,
    /// The context for the next hook.
    pub context: Option<Vec<u8>>,
    /// For how many nanoseconds the same change may be made again.
    pub reuse_for: Option<u64>,
}

/// A changed response.
#[derive(Debug, Default)]
pub struct ResponseChange {
    /// A new status code.
    pub status: Option<u16>,
    /// Changes to the fields.
    pub fields: Vec<FieldEdit>,
    /// How the plugin wants this response's body.
    pub response_body: Option<BodyMode>,
    /// The context for the next hook.
    pub context: Option<Vec<u8>>,
}

/// A change to a head and to the buffered body behind it.
#[derive(Debug)]
pub struct BodyChange<H> {
    /// A new body.
    pub body: Option<Vec<u8>>,
    /// Changes to the head.
    pub head: H,
}

/// What a hook that sees a head or a whole body decides.
#[derive(Debug)]
pub enum Decision<C> {
    /// Go on with everything as it is.
    Next,
    /// Go on, changed.
    Change(C),
    /// Answer at once.
    Respond(Response),
}

/// What a hook that sees a chunk decides.
#[derive(Debug)]
pub enum ChunkDecision {
    /// Pass it on as it is.
    Next,
    /// Pass it on changed.
    Change {
        /// What is passed on in its place.
        data: Option<Vec<u8>>,
        /// The context for the next hook.
        context: Option<Vec<u8>>,
    },
    /// End the exchange.
    Abort(String),
}
