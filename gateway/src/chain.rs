//! The plugins of a route, in their order: forward over the request, back over the response.
//!
//! Owns when which hook is called, what becomes of its outcome, and the context that each plugin
//! keeps between its hooks. Each plugin is done with a request, its whole body too if it asked for
//! that, before the next one sees the head. A plugin that answers, and one that fails, ends the
//! way forward; the response hooks of those before it still run, last to first. Must not know
//! Wasm: [`crate::plugin`] does.

mod attempts;
mod buffer;
mod cache;
mod complete;
mod drain;
mod edit;
mod filter;
mod held;
mod keep;
mod keep_alive;
mod record;
mod request;
mod response;
mod reuse;
mod slots;
mod timeline;
mod usage;
mod view;

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

pub(crate) use self::attempts::Again;
pub(crate) use self::buffer::Pieces;
pub(crate) use self::complete::{End, Endings, record_alike, wants_complete};
pub(crate) use self::drain::Wanted as WantedDrain;
pub(crate) use self::filter::Side;
pub(crate) use self::request::{NoRoom, Stop, on_request};
pub(crate) use self::response::{ResponseFailed, on_response};
use crate::body::{KeepAlive, TrailerFilter};
use crate::config::{OnError, PluginId};
use crate::heads::{ExchangeView, RequestHead};
use crate::plugin::bindings::BodyMode;
pub(crate) use crate::plugin::bindings::Ending;
use crate::plugin::edits::Edit;
use crate::plugin::{Drain, Failure, InBackground, Plugin, Pool};
use crate::recorder::Timeline;
use crate::share::{Flow, Share};
use crate::state::slots::Held;
use crate::trace::Recording;
use crate::trailers;
use crate::usage::OfExchange;

/// The plugins of one route, as one worker runs them.
pub(crate) struct Chain {
    pools: Box<[Rc<Pool>]>,
    /// Their calls on this route, by the same index.
    flows: Box<[Rc<Flow>]>,
    /// Whether a later hook may ask for the request's head, so that it must outlive the request.
    keeps_request: bool,
    /// Whether a plugin may ask for another attempt.
    may_attempt: bool,
    /// Whether a plugin may have a response read to its end without its client.
    may_drain: bool,
    /// Whether a plugin may keep and serve responses.
    uses_cache: bool,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("plugins", &self.pools.len()).finish()
    }
}

impl Chain {
    /// The chain of these plugins on a route, out of all of a worker's pools.
    pub(crate) fn new(
        plugins: &[PluginId],
        pools: &[Rc<Pool>],
        share: &Rc<Share>,
        route: &str,
    ) -> Self {
        let pools: Box<[_]> = plugins.iter().map(|id| pools[id.0].clone()).collect();
        let flows = pools.iter().map(|pool| pool.flow(share, route)).collect();
        let keeps_request = pools.iter().any(|pool| {
            let plugin = pool.plugin();
            let interest = &plugin.interest;
            let later =
                interest.response || interest.complete || interest.response_body != BodyMode::None;
            plugin.reads_request && later
        });
        let may_attempt = pools.iter().any(|pool| pool.plugin().may_attempt);
        let may_drain = pools.iter().any(|pool| pool.plugin().may_drain);
        let uses_cache = pools.iter().any(|pool| pool.plugin().uses_cache);
        Self { pools, flows, keeps_request, may_attempt, may_drain, uses_cache }
    }

    /// Whether a plugin may have a response read to its end without its client.
    pub(crate) fn may_drain(&self) -> bool {
        self.may_drain
    }

    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }
}

/// One exchange on its way through a chain.
pub(crate) struct Run {
    chain: Rc<Chain>,
    heads: RefCell<Arc<ExchangeView>>,
    plugin_states: RefCell<Box<[PluginState]>>,
    /// The first plugin that sees the request: others are not concerned with one in the background.
    first: Cell<usize>,
    /// The last plugin that sees the response.
    lowest: Cell<usize>,
    /// The plugins whose response hooks are still to run: those before this index.
    respondents: Cell<usize>,
    /// The plugins that saw the request: those before this index.
    entered: Cell<usize>,
    /// The upstream that a plugin chose.
    upstream: RefCell<Option<String>>,
    /// Where what plugins do is written, if anybody wants to read it.
    recording: Option<Rc<Recording>>,
    /// What plugins do, for the flight recorder and for spans.
    timeline: Timeline,
    /// The fields that plugins wrote or removed, where trailers may follow that must not bring them.
    written: [RefCell<Vec<HeaderName>>; 2],
    /// The plugins without which the exchange continues: since too many of their calls wait, or their `only_if` is of other
    /// requests.
    left_out: RefCell<Vec<usize>>,
    has_trailers: [Cell<bool>; 2],
    /// What plugins add to its usage.
    usage: OfExchange,
    /// The slots that it holds.
    slots: RefCell<Vec<Held>>,
    /// How far plugins want the response read without its client, each by its index.
    drains: RefCell<Vec<(usize, Drain)>>,
    /// How long the head of a response is waited for, where a plugin bounds that.
    first_byte: Cell<Option<Duration>>,
    /// What the client is sent while the response is silent.
    keep_alive: RefCell<Option<Box<KeepAlive>>>,
    /// What is to be sent in the background, and for which plugin.
    background: RefCell<Option<(usize, Box<InBackground>)>>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// The state of one plugin in an exchange.
struct PluginState {
    context: Vec<u8>,
    request_body: BodyMode,
    response_body: BodyMode,
    /// What its request hooks want written into the response.
    response_edits: Vec<Edit>,
    /// What is counted of all this.
    kept: keep::Kept,
    /// The request's body as it saw it, if it may ask for another attempt.
    received: Option<Bytes>,
    /// What it has of the cache.
    cached: Option<Box<cache::OfPlugin>>,
    /// What has passed it without a call, in bytes of the string that it counts.
    passed: u64,
}

impl PluginState {
    fn keep_edits(&mut self, edits: Vec<Edit>) {
        if self.response_edits.is_empty() {
            self.response_edits = edits;
        } else {
            self.response_edits.extend(edits);
        }
    }
}

impl TrailerFilter for Run {
    fn filter(&self, trailers: &mut HeaderMap) {
        self.filter_trailers(Side::Request, trailers);
    }
}

impl Run {
    /// Starts a run over these heads. What the plugins do is traced if there is a recording, and noted
    /// for the flight recorder and for spans if they have to know when the exchange began.
    pub(crate) fn start(
        chain: &Rc<Chain>,
        heads: Arc<ExchangeView>,
        recording: Option<Rc<Recording>>,
        began: Option<Instant>,
    ) -> Rc<Self> {
        let link = |pool: &Rc<Pool>| PluginState {
            context: Vec::new(),
            request_body: pool.plugin().interest.request_body,
            response_body: pool.plugin().interest.response_body,
            response_edits: Vec::new(),
            kept: keep::Kept::default(),
            received: None,
            cached: None,
            passed: 0,
        };
        Rc::new(Self {
            chain: chain.clone(),
            plugin_states: RefCell::new(chain.pools.iter().map(link).collect()),
            heads: RefCell::new(heads),
            first: Cell::new(0),
            lowest: Cell::new(0),
            respondents: Cell::new(0),
            entered: Cell::new(0),
            upstream: RefCell::default(),
            recording,
            timeline: Timeline::new(began),
            written: Default::default(),
            left_out: RefCell::default(),
            has_trailers: Default::default(),
            usage: OfExchange::default(),
            slots: RefCell::default(),
            drains: RefCell::default(),
            first_byte: Cell::default(),
            keep_alive: RefCell::default(),
            background: RefCell::default(),
        })
    }

    /// Trailers may follow on the body of this side: what plugins write into its head is kept, by name.
    pub(crate) fn may_have_trailers(&self, side: Side) {
        self.has_trailers[side as usize].set(true);
    }

    /// Takes out of trailers what has no place there, and what plugins wrote into the head.
    pub(crate) fn filter_trailers(&self, side: Side, trailers: &mut HeaderMap) {
        trailers::filter(trailers, &self.written[side as usize].borrow());
    }

    fn writes(&self, side: Side, name: &HeaderName) {
        if self.has_trailers[side as usize].get() {
            self.written[side as usize].borrow_mut().push(name.clone());
        }
    }

    /// The body is no longer the one that its digests are of.
    fn body_changes(&self, side: Side, headers: &mut HeaderMap) {
        edit::forget_body(headers);
        edit::OF_THE_BODY.iter().for_each(|name| self.writes(side, name));
    }

    /// The request as the plugins left it, for the upstream. A copy stays only if a later hook
    /// may ask for it.
    pub(crate) fn take_request(&self) -> RequestHead {
        let mut heads = self.heads.borrow_mut();
        if self.chain.keeps_request {
            return heads.request.clone();
        }
        let request = &mut Arc::make_mut(&mut heads).request;
        RequestHead {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: std::mem::replace(&mut request.headers, HeaderMap::new()),
        }
    }

    /// The upstream that a plugin chose, if one did.
    pub(crate) fn chosen_upstream(&self) -> Ref<'_, Option<String>> {
        self.upstream.borrow()
    }

    /// How long the head of a response is waited for, where a plugin bounds that.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        self.first_byte.get()
    }

    /// Whether one of its plugins may ask for another attempt.
    pub(crate) fn may_attempt(&self) -> bool {
        self.chain.may_attempt
    }

    /// Notes the upstream for `upstream.name`, and the variant of the route for `route.variant`.
    pub(crate) fn forwarded_to(&self, upstream: &Arc<str>, variant: Option<usize>) {
        self.change(|heads| {
            heads.facts.upstream = Some(upstream.clone());
            heads.facts.variant = variant;
        });
    }

    /// The heads, to hand to a hook.
    fn heads(&self) -> Arc<ExchangeView> {
        self.heads.borrow().clone()
    }

    /// Changes the heads. They are copied only if a hook that waits still holds them.
    fn change<T>(&self, edit: impl FnOnce(&mut ExchangeView) -> T) -> T {
        edit(Arc::make_mut(&mut self.heads.borrow_mut()))
    }

    /// Lets go of the buffer that the request was read into.
    pub(crate) fn detach(&self) {
        self.change(ExchangeView::detach);
    }

    fn pool(&self, index: usize) -> &Rc<Pool> {
        &self.chain.pools[index]
    }

    fn flow(&self, index: usize) -> &Rc<Flow> {
        &self.chain.flows[index]
    }

    /// Whether the exchange continues without this plugin.
    fn is_left_out(&self, index: usize) -> bool {
        self.left_out.borrow().contains(&index)
    }

    fn context(&self, index: usize) -> Vec<u8> {
        // Most plugins carry nothing, and an empty vector costs nothing to copy.
        self.plugin_states.borrow()[index].context.clone()
    }

    fn with_context<T>(&self, index: usize, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.plugin_states.borrow()[index].context)
    }

    fn request_body(&self, index: usize) -> BodyMode {
        self.plugin_states.borrow()[index].request_body
    }

    fn response_body(&self, index: usize) -> BodyMode {
        self.plugin_states.borrow()[index].response_body
    }

    /// Applies the plugin's `on_error`: `Ok` if the exchange continues without the plugin.
    fn apply_on_error(
        &self,
        index: usize,
        hook: &'static str,
        failure: Failure,
    ) -> Result<(), PluginFailed> {
        let plugin = self.pool(index).plugin();
        plugin.failed(&failure);
        if let Failure::Busy(_) = failure {
            return self.judge_busy(index, failure);
        }
        if let Some(failure) = plugin.record(hook, &failure) {
            self.record(plugin, hook, &failure);
        }
        match plugin.on_error {
            OnError::Open => Ok(()),
            OnError::Closed => Err(PluginFailed { plugin: plugin.name.clone(), failure }),
        }
    }

    fn record(&self, plugin: &Plugin, hook: &'static str, failure: &str) {
        let heads = self.heads.borrow();
        let (name, request_id) = (&*plugin.name, heads.facts.request_id());
        match plugin.on_error {
            OnError::Open => {
                tracing::warn!(
                    plugin = name,
                    hook,
                    request_id,
                    fault = "plugin",
                    "the request continues without the plugin, since on_error is open: {failure}"
                );
            }
            OnError::Closed => {
                tracing::error!(
                    plugin = name,
                    hook,
                    request_id,
                    fault = "plugin",
                    "the request is refused, since on_error is closed: {failure}"
                );
            }
        }
    }

    /// There may be thousands a second, which the log reports as one: that the plugin is slowed.
    #[cold]
    fn judge_busy(&self, index: usize, failure: Failure) -> Result<(), PluginFailed> {
        let plugin = self.pool(index).plugin();
        match plugin.on_error {
            OnError::Open => {
                self.left_out.borrow_mut().push(index);
                Ok(())
            }
            OnError::Closed => Err(PluginFailed { plugin: plugin.name.clone(), failure }),
        }
    }
}

/// A plugin whose failure ends the exchange.
#[derive(Debug, thiserror::Error)]
#[error("the plugin `{plugin}` failed")]
pub(crate) struct PluginFailed {
    /// Which.
    pub(crate) plugin: Arc<str>,
    /// How.
    #[source]
    pub(crate) failure: Failure,
}
