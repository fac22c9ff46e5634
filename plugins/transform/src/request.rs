//! Changes to the head of a request.
//!
//! Owns their order and what happens when values make no valid head. Bodies are `body`'s.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::body::{BodyRules, BodyState, Described, Refusal, Start};
use crate::coding::{self, DecodeError};
use crate::encode;
use crate::fields::FieldEdits;
use crate::query::QueryEdits;
use crate::template::Template;
use crate::values::Values;

/// The rules for requests.
#[derive(Debug, Default)]
pub(crate) struct RequestRules {
    pub(crate) method: Option<Template>,
    pub(crate) host: Option<Template>,
    pub(crate) path: Option<Template>,
    pub(crate) query: QueryEdits,
    pub(crate) fields: FieldEdits,
    pub(crate) body: Option<BodyRules>,
    /// What the upstream is asked for, since the response's body will be changed.
    pub(crate) asks: Asks,
}

/// What a request asks of the response to it. A part of a body must not be changed in any case: it
/// would be cut at the borders of the original.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Asks {
    /// What the client asks.
    #[default]
    Nothing,
    /// A whole body without coding.
    Plain,
    /// A whole body with the codings that the client takes, as far as they can be decoded here.
    Codings {
        /// And put on again.
        put_on: bool,
    },
}

impl RequestRules {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.is_empty_but_for_fields()
    }

    fn is_empty_but_for_fields(&self) -> bool {
        self.method.is_none()
            && self.host.is_none()
            && self.path.is_none()
            && self.query.is_empty()
            && self.body.is_none()
            && self.asks == Asks::Nothing
    }

    /// Whether they are edits of fields alone that are the same for every request.
    pub(crate) fn are_constant(&self) -> bool {
        self.is_empty_but_for_fields() && self.fields.constants().is_some()
    }

    /// Applies the rules. The body's state goes into `state` if the body is to be read.
    pub(crate) fn apply(
        &self,
        request: &mut Request,
        values: &Values,
        state: &mut BodyState,
    ) -> Result<(), Response> {
        let path = self.path.as_ref().and_then(|path| path.fill_path(values));
        if path.as_deref().is_some_and(encode::is_unsafe_path) {
            return Err(Response::bad_request("the request's values make no valid path"));
        }
        // Before the fields are changed: the body is still what the client called it.
        self.start_body(request, values, state)?;
        if let Some(path) = path {
            request.set_path(path);
        }
        if !self.query.is_empty()
            && let Some(query) = self.query.apply(request.query(), values)
        {
            request.set_query(query);
        }
        self.apply_method(request, values);
        self.asks.apply(request);
        self.apply_host(request, values);
        self.fields.apply(request, values);
        Ok(())
    }

    fn start_body(
        &self,
        request: &mut Request,
        values: &Values,
        state: &mut BodyState,
    ) -> Result<(), Response> {
        let Some(rules) = &self.body else {
            return Ok(());
        };
        let described = Described {
            content_type: request.header("content-type"),
            content_encoding: request.header("content-encoding"),
        };
        match BodyState::start([(0, rules)], described, values) {
            // The interest of rules that decode asks for bodies.
            Start::Pass if rules.may_read_whole() => request.want_request_body(BodyMode::None),
            Start::Pass => {}
            Start::Refuse(accepted) => {
                return Err(Response::problem(
                    415,
                    "Unsupported Media Type",
                    "a body with this content-encoding is not taken here",
                )
                .header("accept-encoding", accepted));
            }
            Start::RefuseCharset => {
                let detail = "a body with this charset is not taken here";
                return Err(Response::problem(415, "Unsupported Media Type", detail));
            }
            Start::Read(mode, started) => {
                request.want_request_body(mode);
                if started.loses_codings() {
                    request.remove_header("content-encoding");
                }
                *state = started;
            }
        }
        Ok(())
    }

    fn apply_method(&self, request: &mut Request, values: &Values) {
        let Some(method) = self.method.as_ref().and_then(|method| method.fill(values)) else {
            return;
        };
        if method.is_empty() || !method.bytes().all(encode::is_token) {
            log::warn!("the method is left as it is: its new value is not a method");
            return;
        }
        request.set_method(method);
    }

    fn apply_host(&self, request: &mut Request, values: &Values) {
        let Some(host) = self.host.as_ref().and_then(|host| host.fill(values)) else {
            return;
        };
        if !encode::is_authority(&host) {
            log::warn!("the host is left as it is: its new value is not a host");
            return;
        }
        request.set_header("host", host.as_bytes());
    }
}

impl Asks {
    fn apply(self, request: &mut Request) {
        let accepted = match self {
            Self::Nothing => return,
            Self::Plain => "identity".to_owned(),
            Self::Codings { put_on } => {
                coding::acceptable(request.header("accept-encoding"), put_on)
            }
        };
        request.set_header("accept-encoding", accepted);
        request.remove_header("range");
        request.remove_header("if-range");
    }
}

/// The answer to a request whose body is refused.
pub(crate) fn refusal(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Unreadable(reason) => Response::bad_request(reason),
        Refusal::Encoded(DecodeError::Broken(reason)) => Response::bad_request(format!(
            "the body is not what its content-encoding says: {reason}"
        )),
        Refusal::Encoded(DecodeError::TooLarge(limit)) => Response::problem(
            413,
            "Content Too Large",
            format!("the decoded body is larger than {limit} bytes"),
        ),
        Refusal::Encoded(DecodeError::NoRoom(window)) => {
            log::warn!("a request is refused: {}", coding::no_room(*window));
            let detail = "the content-encoding takes more memory than there is to decode it";
            Response::problem(413, "Content Too Large", detail)
        }
    }
}
