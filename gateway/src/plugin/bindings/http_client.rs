//! `http-client`: requests of plugins.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `http-client.request`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct HttpRequest {
    pub(crate) upstream: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<u64>,
    #[component(name = "response-limit")]
    pub(crate) response_limit: Option<u64>,
}

/// `http-client.response`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// `http-client.http-error`
#[derive(ComponentType, Lower, Debug, Clone, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum HttpError {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "connect")]
    Connect,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "protocol")]
    Protocol,
}
