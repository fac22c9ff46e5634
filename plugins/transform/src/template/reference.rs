//! What `${...}` can mean.
//!
//! Owns the names, and the table of those that a configuration uses. It must not read a request
//! or a response: that is the business of `values`.

use crate::encode;

/// What a `${...}` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `request.method`
    Method,
    /// `request.path`
    Path,
    /// `request.query`: the whole query as it was sent.
    Query,
    /// `request.query.NAME`: the first parameter of this name, percent-decoded.
    QueryParameter(String),
    /// `request.header.NAME`, in lower case.
    RequestHeader(String),
    /// An attribute of the exchange.
    Attribute(String),
    /// `response.status`
    Status,
    /// `response.header.NAME`, in lower case.
    ResponseHeader(String),
}

/// Where the value of a [`Reference`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The head of the request as it came to this plugin.
    Request,
    /// The attributes of the exchange.
    Attributes,
    /// The head of the response as it came to this plugin.
    Response,
}

impl Reference {
    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::Method
            | Self::Path
            | Self::Query
            | Self::QueryParameter(_)
            | Self::RequestHeader(_) => Origin::Request,
            Self::Attribute(_) => Origin::Attributes,
            Self::Status | Self::ResponseHeader(_) => Origin::Response,
        }
    }
}

/// Which hooks a template is filled in by: only those for responses know a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// The distinct references of a configuration; templates name them by index.
#[derive(Debug, Default)]
pub(crate) struct References {
    known: Vec<Reference>,
    /// For each direction, the indices that its templates name, in order of first use.
    request: Vec<usize>,
    response: Vec<usize>,
}

impl References {
    /// The references, by index.
    pub(crate) fn table(&self) -> &[Reference] {
        &self.known
    }

    /// The indices that templates of this direction name.
    pub(crate) fn used(&self, direction: Direction) -> &[usize] {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    pub(super) fn index(&mut self, reference: Reference, direction: Direction) -> usize {
        let index = self.known.iter().position(|known| *known == reference).unwrap_or_else(|| {
            self.known.push(reference);
            self.known.len() - 1
        });
        let used = match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        if !used.contains(&index) {
            used.push(index);
        }
        index
    }
}

/// The attributes that the gateway sets, besides the captures.
const GATEWAY_ATTRIBUTES: [&str; 11] = [
    "client.address",
    "client.port",
    "listener.name",
    "request.host",
    "request.id",
    "request.scheme",
    "route.name",
    "route.pattern",
    "route.splits",
    "route.variant",
    "upstream.name",
];

/// The reference of a name. The error says what is wrong with it, in a sentence.
pub(super) fn parse_reference(name: &str) -> Result<Reference, String> {
    if GATEWAY_ATTRIBUTES.contains(&name) {
        return Ok(Reference::Attribute(name.to_owned()));
    }
    match name {
        "" => return Err("`${}` names nothing".to_owned()),
        "request.method" => return Ok(Reference::Method),
        "request.path" => return Ok(Reference::Path),
        "request.query" => return Ok(Reference::Query),
        "response.status" => return Ok(Reference::Status),
        _ => {}
    }
    if let Some(name) = name.strip_prefix("request.header.") {
        return field_name(name).map(Reference::RequestHeader);
    }
    if let Some(name) = name.strip_prefix("response.header.") {
        return field_name(name).map(Reference::ResponseHeader);
    }
    if let Some(name) = name.strip_prefix("request.query.").filter(|name| !name.is_empty()) {
        return Ok(Reference::QueryParameter(name.to_owned()));
    }
    if let Some(name) = name.strip_prefix("attribute.").filter(|name| !name.is_empty()) {
        return Ok(Reference::Attribute(name.to_owned()));
    }
    let by_itself = ["capture.", "consumer."]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    if by_itself { Ok(Reference::Attribute(name.to_owned())) } else { Err(unknown(name)) }
}

fn field_name(name: &str) -> Result<String, String> {
    if name.is_empty() || !name.bytes().all(encode::is_token) {
        return Err(format!("`{name}` is not a header name"));
    }
    Ok(name.to_ascii_lowercase())
}

fn unknown(name: &str) -> String {
    let (namespace, _) = name.split_once('.').unwrap_or((name, ""));
    let names = match namespace {
        "request" => {
            "`method`, `path`, `query`, `query.NAME`, `header.NAME`, `id`, `host`, `scheme`"
        }
        "response" => "`status`, `header.NAME`",
        "client" => "`address`, `port`",
        "listener" | "upstream" => "`name`",
        "route" => "`name`, `pattern`, `splits`, `variant`",
        _ => {
            return format!(
                "`${{{name}}}` is not known: names begin with `request.`, `response.`, \
                 `capture.`, `consumer.`, `client.`, `route.`, `listener.` or `upstream.`; any \
                 other attribute is `${{attribute.{name}}}`"
            );
        }
    };
    let other = match namespace {
        "request" | "response" => String::new(),
        _ => format!("; any other attribute is `${{attribute.{name}}}`"),
    };
    format!("`${{{name}}}` is not known: after `{namespace}.` comes one of {names}{other}")
}
