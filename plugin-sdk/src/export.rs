//! What [`register_plugin!`](crate::register_plugin) exports: an instance with its one configured
//! plugin, and the records of the border, moved field by field into those of the SDK and back.

use std::cell::Cell;
use std::sync::Once;
use std::time::Duration;

use crate::bindings::exports::gateway::plugin::hooks as border;
use crate::dispatch::Configured;
use crate::head_hooks::forget_outcome;
use crate::log::Level;
use crate::wire::{self, BodyChange, ChunkDecision, Decision};
use crate::{Ending, Interest, Plugin, Summary, configure, host};

/// The plugin of an instance of the component. Lives as long as the instance, so that what it
/// holds is never dropped.
pub struct Instance<P: Plugin>(Cell<Option<&'static Configured<P>>>);

impl<P: Plugin> Instance<P> {
    /// An instance that is not yet configured.
    #[expect(clippy::new_without_default, reason = "made by the macro only, in a constant")]
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// What the plugin is.
    pub fn describe(name: &str, version: &str) -> border::Description {
        border::Description {
            name: name.to_owned(),
            version: version.to_owned(),
            sdk: concat!("gateway-plugin-sdk ", env!("CARGO_PKG_VERSION")).to_owned(),
            config_schema: configure::schema::<P::Config>(),
        }
    }

    /// Configures the instance.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn configure(&self, config: &str) -> Result<border::Interest, Vec<border::ConfigError>> {
        report_panics();
        let (configured, interest) = Configured::new(config).map_err(|error| {
            let issues = error.issues().iter().cloned();
            let issue = |issue: crate::ConfigIssue| border::ConfigError {
                pointer: issue.pointer,
                message: match issue.help {
                    Some(help) => format!("{}\nhelp: {help}", issue.message),
                    None => issue.message,
                },
            };
            issues.map(issue).collect::<Vec<_>>()
        })?;
        self.0.set(Some(Box::leak(Box::new(configured))));
        Ok(interest_out(interest))
    }

    /// Serves `on-request`.
    pub fn on_request(&self, head: wire::RequestHead) -> Decision<wire::RequestChange> {
        self.configured().on_request(head)
    }

    /// Serves `on-request-body`.
    pub fn on_request_body(&self, body: Vec<u8>, context: &[u8]) -> border::RequestBodyOutcome {
        match self.configured().on_request_body(body, context) {
            Decision::Next => border::RequestBodyOutcome::Next,
            Decision::Change(BodyChange { body, head }) => {
                let change = border::RequestBodyChange { body, head: request_out(head) };
                border::RequestBodyOutcome::Change(change)
            }
            Decision::Respond(response) => border::RequestBodyOutcome::Respond(response),
        }
    }

    /// Serves `on-request-chunk`.
    pub fn on_request_chunk(
        &self,
        chunk: border::BodyChunk,
        context: &[u8],
    ) -> border::ChunkOutcome {
        chunk_out(self.configured().on_request_chunk(chunk.data, chunk.last, context))
    }

    /// Serves `on-response`.
    pub fn on_response(
        &self,
        head: wire::ResponseHead,
        context: &[u8],
    ) -> Decision<wire::ResponseChange> {
        self.configured().on_response(head, context)
    }

    /// Serves `on-response-body`.
    pub fn on_response_body(&self, body: Vec<u8>, context: &[u8]) -> border::ResponseBodyOutcome {
        match self.configured().on_response_body(body, context) {
            Decision::Next => border::ResponseBodyOutcome::Next,
            Decision::Change(BodyChange { body, head }) => {
                let change = border::ResponseBodyChange { body, head: response_out(head) };
                border::ResponseBodyOutcome::Change(change)
            }
            Decision::Respond(response) => border::ResponseBodyOutcome::Respond(response),
        }
    }

    /// Serves `on-response-chunk`.
    pub fn on_response_chunk(
        &self,
        chunk: border::BodyChunk,
        context: &[u8],
    ) -> border::ChunkOutcome {
        chunk_out(self.configured().on_response_chunk(chunk.data, chunk.last, context))
    }

    /// Serves `on-complete`.
    pub fn on_complete(&self, summary: border::Summary, context: &[u8]) {
        let summary = Summary {
            ending: match summary.ending {
                border::Ending::Complete => Ending::Complete,
                border::Ending::ClientLeft => Ending::ClientLeft,
                border::Ending::UpstreamFailed => Ending::UpstreamFailed,
                border::Ending::PluginFailed => Ending::PluginFailed,
                border::Ending::GatewayFailed => Ending::GatewayFailed,
            },
            status: summary.status,
            upstream: summary.upstream,
            duration: Duration::from_nanos(summary.duration),
            time_to_head: Duration::from_nanos(summary.time_to_head),
            request_bytes: summary.request_bytes,
            response_bytes: summary.response_bytes,
        };
        self.configured().on_complete(&summary, context);
    }

    fn configured(&self) -> &'static Configured<P> {
        forget_outcome();
        self.0.get().expect("the gateway configures an instance before it calls a hook")
    }
}

/// Sends the message and the place of a panic to the gateway's log: the trap that follows has
/// neither. Once for each instance.
fn report_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("no message");
            let line = match panic.location() {
                Some(location) => format!("panicked at {location}: {message}"),
                None => format!("panicked: {message}"),
            };
            host::log_write(Level::Error, &line);
        }));
    });
}

fn interest_out(interest: Interest) -> border::Interest {
    let mut hooks = border::HookSet::empty();
    hooks.set(border::HookSet::REQUEST, interest.request);
    hooks.set(border::HookSet::RESPONSE, interest.response);
    hooks.set(border::HookSet::COMPLETE, interest.complete);
    let mut request_parts = border::RequestParts::empty();
    request_parts.set(border::RequestParts::METHOD, interest.method);
    request_parts.set(border::RequestParts::PATH, interest.path);
    request_parts.set(border::RequestParts::QUERY, interest.query);
    border::Interest {
        hooks,
        request_parts,
        request_fields: interest.request_fields,
        response_fields: interest.response_fields,
        attributes: interest.attributes,
        request_body: interest.request_body,
        response_body: interest.response_body,
        every_request: interest.every_request,
        every_response: interest.every_response,
        never_waits: interest.never_waits,
    }
}

fn request_out(change: wire::RequestChange) -> border::RequestChange {
    border::RequestChange {
        method: change.method,
        path: change.path,
        query: change.query,
        fields: change.fields,
        attributes: change.attributes.into_iter().map(attribute_out).collect(),
        response_fields: change.response_fields,
        upstream: change.upstream,
        request_body: change.request_body,
        response_body: change.response_body,
        context: change.context,
        reuse_for: change.reuse_for,
    }
}

fn attribute_out(attribute: wire::NewAttribute) -> wire::Attribute {
    wire::Attribute { name: (*attribute.name).into(), value: (*attribute.value).into() }
}

fn response_out(change: wire::ResponseChange) -> border::ResponseChange {
    border::ResponseChange {
        status: change.status,
        fields: change.fields,
        response_body: change.response_body,
        context: change.context,
    }
}

fn chunk_out(decision: ChunkDecision) -> border::ChunkOutcome {
    match decision {
        ChunkDecision::Next => border::ChunkOutcome::Next,
        ChunkDecision::Change { data, context } => {
            border::ChunkOutcome::Change(border::ChunkChange { data, context })
        }
        ChunkDecision::Abort(reason) => border::ChunkOutcome::Abort(reason),
    }
}

/// The exports of a plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    ($plugin:ty) => {
        const _: () = {
            use $crate::bindings::exports::gateway::plugin::hooks as border;

            ::std::thread_local! {
                static INSTANCE: $crate::export::Instance<$plugin> =
                    const { $crate::export::Instance::new() };
            }

            struct Exported;

            impl border::Guest for Exported {
                fn describe() -> border::Description {
                    $crate::export::Instance::<$plugin>::describe(
                        ::core::env!("CARGO_PKG_NAME"),
                        ::core::env!("CARGO_PKG_VERSION"),
                    )
                }

                fn configure(
                    config: ::std::string::String,
                ) -> ::core::result::Result<border::Interest, ::std::vec::Vec<border::ConfigError>>
                {
                    INSTANCE.with(|instance| instance.configure(&config))
                }

                fn on_request(_: border::RequestHead) -> border::RequestOutcome {
                    ::core::unreachable!("`HeadHooks` exports it")
                }

                fn on_request_body(
                    body: ::std::vec::Vec<u8>,
                    context: ::std::vec::Vec<u8>,
                ) -> border::RequestBodyOutcome {
                    INSTANCE.with(|instance| instance.on_request_body(body, &context))
                }

                fn on_request_chunk(
                    chunk: border::BodyChunk,
                    context: ::std::vec::Vec<u8>,
                ) -> border::ChunkOutcome {
                    INSTANCE.with(|instance| instance.on_request_chunk(chunk, &context))
                }

                fn on_response(
                    _: border::ResponseHead,
                    _: ::std::vec::Vec<u8>,
                ) -> border::ResponseOutcome {
                    ::core::unreachable!("`HeadHooks` exports it")
                }

                fn on_response_body(
                    body: ::std::vec::Vec<u8>,
                    context: ::std::vec::Vec<u8>,
                ) -> border::ResponseBodyOutcome {
                    INSTANCE.with(|instance| instance.on_response_body(body, &context))
                }

                fn on_response_chunk(
                    chunk: border::BodyChunk,
                    context: ::std::vec::Vec<u8>,
                ) -> border::ChunkOutcome {
                    INSTANCE.with(|instance| instance.on_response_chunk(chunk, &context))
                }

                fn on_complete(summary: border::Summary, context: ::std::vec::Vec<u8>) {
                    INSTANCE.with(|instance| instance.on_complete(summary, &context));
                }
            }

            impl $crate::bindings::exports::gateway::plugin::arguments::Guest for Exported {
                fn block() -> $crate::bindings::exports::gateway::plugin::arguments::MemoryBlock {
                    $crate::head_hooks::block()
                }
            }

            impl $crate::head_hooks::HeadHooks for Exported {
                fn on_request(
                    head: $crate::wire::RequestHead,
                ) -> $crate::wire::Decision<$crate::wire::RequestChange> {
                    INSTANCE.with(|instance| instance.on_request(head))
                }

                fn on_response(
                    head: $crate::wire::ResponseHead,
                    context: &[u8],
                ) -> $crate::wire::Decision<$crate::wire::ResponseChange> {
                    INSTANCE.with(|instance| instance.on_response(head, context))
                }
            }

    $crate::bindings::export_hooks!(Exported with_types_in $crate::head_hooks);
        };
    };
}
