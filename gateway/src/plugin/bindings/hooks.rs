//! `hooks`: what a plugin is and wants to see, and what it hears at the end.

use wasmtime::component::{ComponentType, Lift, Lower, flags};

use super::messages::BodyMode;
use crate::plugin::edits::Edits;

/// `hooks.description`
#[derive(ComponentType, Lift, Debug, Clone)]
#[component(record)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sdk: String,
    #[component(name = "config-schema")]
    pub(crate) config_schema: String,
}

/// `hooks.config-error`
#[derive(ComponentType, Lift, Debug, Clone)]
#[component(record)]
pub(crate) struct ConfigError {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

// `hooks.hook-set`
flags! {
    HookSet {
        #[component(name = "request")]
        const REQUEST;
        #[component(name = "response")]
        const RESPONSE;
        #[component(name = "complete")]
        const COMPLETE;
    }
}

// `hooks.request-parts`
flags! {
    RequestParts {
        #[component(name = "method")]
        const METHOD;
        #[component(name = "path")]
        const PATH;
        #[component(name = "query")]
        const QUERY;
    }
}

/// `hooks.interest`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Interest {
    pub(crate) hooks: HookSet,
    #[component(name = "request-parts")]
    pub(crate) request_parts: RequestParts,
    #[component(name = "request-fields")]
    pub(crate) request_fields: Vec<String>,
    #[component(name = "response-fields")]
    pub(crate) response_fields: Vec<String>,
    pub(crate) attributes: Vec<String>,
    #[component(name = "request-body")]
    pub(crate) request_body: BodyMode,
    #[component(name = "response-body")]
    pub(crate) response_body: BodyMode,
    #[component(name = "every-request")]
    pub(crate) every_request: Edits,
    #[component(name = "every-response")]
    pub(crate) every_response: Edits,
    #[component(name = "never-waits")]
    pub(crate) never_waits: bool,
}

/// `hooks.ending`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Ending {
    #[component(name = "complete")]
    Complete,
    #[component(name = "client-left")]
    ClientLeft,
    #[component(name = "upstream-failed")]
    UpstreamFailed,
    #[component(name = "plugin-failed")]
    PluginFailed,
    #[component(name = "gateway-failed")]
    GatewayFailed,
}

/// `hooks.summary`
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Summary<'a> {
    pub(crate) ending: Ending,
    pub(crate) status: u16,
    pub(crate) upstream: Option<&'a str>,
    pub(crate) duration: u64,
    #[component(name = "time-to-head")]
    pub(crate) time_to_head: u64,
    #[component(name = "request-bytes")]
    pub(crate) request_bytes: u64,
    #[component(name = "response-bytes")]
    pub(crate) response_bytes: u64,
}
