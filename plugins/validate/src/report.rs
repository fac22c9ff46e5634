//! What is told of what is wrong: to clients in an answer, to operators in the log.

use gateway_plugin_sdk::prelude::Response;
use serde::Serialize;

/// A place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The place of a parameter, and its name.
    pub(crate) parameter: Option<(&'static str, String)>,
    /// A JSON Pointer into the body, or into the parameter's value.
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

impl Finding {
    pub(crate) fn body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { parameter: None, pointer: pointer.into(), detail: detail.into() }
    }
}

/// A finding as clients have it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "in")]
    place: Option<&'static str>,
    pointer: &'a str,
    detail: &'a str,
}

/// Why a message is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    NoPath,
    /// With the methods that there are.
    NoMethod(String),
    /// The `content-type` is none of the operation's.
    WrongType,
    Wrong(Vec<Finding>),
    /// The plugin's memory has no room for the body.
    NoRoom,
    /// There is nothing yet to check by.
    NotReady,
}

impl Verdict {
    /// The answer to a request.
    pub(crate) fn refuse(&self) -> Response {
        match self {
            Self::NoPath => Response::not_found("There is no operation at this path."),
            Self::NoMethod(allowed) => {
                let detail = "The path has no operation for this method.";
                Response::problem(405, "Method Not Allowed", detail).header("allow", &**allowed)
            }
            Self::WrongType => {
                let detail = "The operation takes no body of this type.";
                Response::problem(415, "Unsupported Media Type", detail)
            }
            Self::Wrong(findings) => {
                let told: Vec<Told<'_>> = findings
                    .iter()
                    .map(|it| Told {
                        parameter: it.parameter.as_ref().map(|(_, name)| name.as_str()),
                        place: it.parameter.as_ref().map(|(place, _)| *place),
                        pointer: &it.pointer,
                        detail: &it.detail,
                    })
                    .collect();
                let detail = "The request is not as it has to be; `errors` has each place.";
                Response::bad_request(detail).extension("errors", &told)
            }
            Self::NoRoom => {
                let detail = "The body has more values than can be checked.";
                Response::problem(413, "Content Too Large", detail)
            }
            Self::NotReady => {
                Response::service_unavailable("Requests cannot be checked at the moment.")
            }
        }
    }

    /// What operators read.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::NoPath => "no operation has this path".to_owned(),
            Self::NoMethod(allowed) => format!("the path has no such method, only {allowed}"),
            Self::WrongType => "the operation has no such content-type".to_owned(),
            Self::NoRoom => "the body takes more than the plugin's memory has room for; raise \
                             `limits.memory` for such bodies"
                .to_owned(),
            Self::NotReady => "the document is not there yet".to_owned(),
            Self::Wrong(findings) => {
                let told: Vec<String> = findings
                    .iter()
                    .map(|it| match &it.parameter {
                        Some((place, name)) => {
                            format!("{place} {name}{} {}", it.pointer, it.detail)
                        }
                        None if it.pointer.is_empty() => format!("the body {}", it.detail),
                        None => format!("{} {}", it.pointer, it.detail),
                    })
                    .collect();
                told.join("; ")
            }
        }
    }
}
