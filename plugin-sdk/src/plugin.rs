//! The trait that a plugin implements, and what its hooks decide.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Body, Chunk, ConfigError, Interest, Request, Response, ResponseHead, Summary};

/// A plugin: configured once for each instance, then called for each exchange.
///
/// A hook is called only if [`interest`](Plugin::interest) names it, the body hooks only if a
/// [`BodyMode`](crate::BodyMode) asks for them and the message has a body. On the way in the plugins of a route run first to
/// last, on the way out last to first. If a hook panics, its request fails: the message and the
/// place go to the gateway's log, and the request is answered as the configuration's `on_error`
/// says.
pub trait Plugin: Sized + 'static {
    /// The configuration: what stands under `config` in the gateway's file. Its JSON Schema goes
    /// into the component. [`NoConfig`](crate::NoConfig) or `()` for none.
    type Config: DeserializeOwned + JsonSchema;

    /// What the hooks of one exchange pass to one another: it begins as the default, each hook may
    /// change it, and the next hook sees the change. `()` for none, which costs nothing. A hook
    /// that answers with a response, or cuts a body off, leaves it as it was.
    type Context: Serialize + DeserializeOwned + Default;

    /// Makes the plugin from its configuration. Must give the same result for the same
    /// configuration, since every instance is configured again.
    ///
    /// # Errors
    /// What is wrong with the configuration, all of it at once if possible.
    fn configure(config: Self::Config) -> Result<Self, ConfigError>;

    /// What the plugin wants to see. Asked once, after `configure`.
    fn interest(&self) -> Interest;

    /// Sees the head of a request.
    fn on_request(&self, request: &mut Request, context: &mut Self::Context) -> Outcome {
        let _ = (request, context);
        Outcome::Next
    }

    /// Sees the whole body of a request, before the next plugin sees its head.
    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        context: &mut Self::Context,
    ) -> Outcome {
        let _ = (request, body, context);
        Outcome::Next
    }

    /// Sees a piece of the body of a request that is on its way to the upstream.
    fn on_request_chunk(&self, chunk: &mut Chunk, context: &mut Self::Context) -> ChunkOutcome {
        let _ = (chunk, context);
        ChunkOutcome::Next
    }

    /// Sees the head of a response.
    fn on_response(&self, response: &mut ResponseHead, context: &mut Self::Context) -> Outcome {
        let _ = (response, context);
        Outcome::Next
    }

    /// Sees the whole body of a response, before its head is sent on.
    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        context: &mut Self::Context,
    ) -> Outcome {
        let _ = (response, body, context);
        Outcome::Next
    }

    /// Sees a piece of the body of a response that is on its way to the client.
    fn on_response_chunk(&self, chunk: &mut Chunk, context: &mut Self::Context) -> ChunkOutcome {
        let _ = (chunk, context);
        ChunkOutcome::Next
    }

    /// Sees the finished exchange, after the last byte. Nothing can be changed any more.
    fn on_complete(&self, summary: &Summary, context: &Self::Context) {
        let _ = (summary, context);
    }
}

/// What a hook that sees a head or a whole body decides.
#[derive(Debug)]
pub enum Outcome {
    /// Go on, with the changes that the hook made to its views.
    Next,
    /// Answer with this instead. On the way in, later plugins and the upstream do not see the
    /// request; the response hooks of the plugins before still run.
    Respond(Box<Response>),
}

impl Outcome {
    /// Answer with this response.
    pub fn respond(response: Response) -> Self {
        Outcome::Respond(Box::new(response))
    }
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Outcome::respond(response)
    }
}

/// What a hook that sees a chunk decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkOutcome {
    /// Pass the chunk on, with the changes that the hook made to it.
    Next,
    /// End the exchange: the body is cut off in a way that the receiver can distinguish from its end.
    /// The text is logged.
    Abort(String),
}
