//! The plugins of a route, in their order: forward over the request, back over the response.
//!
//! Owns when which hook is called, what becomes of its outcome, and the context that each plugin
//! keeps between its hooks. Each plugin is done with a request, its whole body too if it asked for
//! that, before the next one sees the head. A plugin that answers, and one that fails, ends the
//! way forward; the response hooks of those before it still run, last to first. Must not know
//! Wasm: [`crate::plugin`] does.

mod collect;
mod complete;
mod edit;
mod filter;
mod record;
mod request;
mod response;

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use self::collect::{CollectError, collect};
pub(crate) use self::complete::{End, Ended, complete, on_complete, wants_complete};
pub(crate) use self::request::{Stop, on_request};
pub(crate) use self::response::{ResponseFailed, on_response};
use crate::config::{OnError, PluginId};
use crate::heads::{Heads, RequestHead};
use crate::plugin::bindings::BodyMode;
pub(crate) use crate::plugin::bindings::Ending;
use crate::plugin::edits::Edit;
use crate::plugin::{Failure, Pool};
use crate::trace::Recording;
use http::HeaderMap;

/// The plugins of one route, as one worker runs them.
pub(crate) struct Chain {
    pools: Box<[Rc<Pool>]>,
    /// Whether a later hook may ask for the request's head, so that it must outlive the request.
    keeps_request: bool,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("plugins", &self.pools.len()).finish()
    }
}

impl Chain {
    /// The chain of these plugins, out of all of a worker's pools.
    pub(crate) fn new(plugins: &[PluginId], pools: &[Rc<Pool>]) -> Self {
        let pools: Box<[_]> = plugins.iter().map(|id| pools[id.0].clone()).collect();
        let keeps_request = pools.iter().any(|pool| {
            let plugin = pool.plugin();
            let interest = &plugin.interest;
            let later =
                interest.response || interest.complete || interest.response_body != BodyMode::None;
            plugin.reads_request && later
        });
        Self { pools, keeps_request }
    }

    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }
}

/// One exchange on its way through a chain.
pub(crate) struct Run {
    chain: Rc<Chain>,
    heads: RefCell<Arc<Heads>>,
    links: RefCell<Box<[Link]>>,
    /// The plugins whose response hooks are still to run: those before this index.
    respondents: Cell<usize>,
    /// The plugins that saw the request: those before this index.
    entered: Cell<usize>,
    /// The upstream that a plugin chose.
    upstream: RefCell<Option<String>>,
    /// The plugin that chose it.
    chooser: Cell<usize>,
    /// Where what plugins do is written, if anybody wants to read it.
    recording: Option<Rc<Recording>>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// What the exchange keeps for one plugin.
struct Link {
    context: Vec<u8>,
    request_body: BodyMode,
    response_body: BodyMode,
    /// What its request hooks want written into the response.
    response_edits: Vec<Edit>,
}

impl Link {
    fn keep_edits(&mut self, edits: Vec<Edit>) {
        if self.response_edits.is_empty() {
            self.response_edits = edits;
        } else {
            self.response_edits.extend(edits);
        }
    }
}

impl Run {
    /// Starts a run over these heads. What the plugins do is traced if there is a recording.
    pub(crate) fn start(
        chain: &Rc<Chain>,
        heads: Arc<Heads>,
        recording: Option<Rc<Recording>>,
    ) -> Rc<Self> {
        let link = |pool: &Rc<Pool>| Link {
            context: Vec::new(),
            request_body: pool.plugin().interest.request_body,
            response_body: pool.plugin().interest.response_body,
            response_edits: Vec::new(),
        };
        Rc::new(Self {
            chain: chain.clone(),
            links: RefCell::new(chain.pools.iter().map(link).collect()),
            heads: RefCell::new(heads),
            respondents: Cell::new(0),
            entered: Cell::new(0),
            upstream: RefCell::default(),
            chooser: Cell::new(0),
            recording,
        })
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

    /// The upstream that a plugin chose does not exist: `Ok` if the route's own serves instead.
    pub(crate) fn upstream_is_unknown(&self, name: &str) -> Result<(), PluginFailed> {
        let why = format!("it chose the upstream `{name}`, which is not configured");
        self.judge(self.chooser.get(), "on-request", Failure::breach(why))
    }

    /// Notes the upstream for `upstream.name`.
    pub(crate) fn forwarded_to(&self, upstream: &Arc<str>) {
        self.change(|heads| heads.facts.upstream = Some(upstream.clone()));
    }

    /// The heads, to hand to a hook.
    fn heads(&self) -> Arc<Heads> {
        self.heads.borrow().clone()
    }

    /// Changes the heads. They are copied only if a hook that waits still holds them.
    fn change<T>(&self, edit: impl FnOnce(&mut Heads) -> T) -> T {
        edit(Arc::make_mut(&mut self.heads.borrow_mut()))
    }

    fn keep_attributes(&self, attributes: Vec<(String, String)>) {
        if attributes.is_empty() {
            return;
        }
        self.change(|heads| {
            for (name, value) in attributes {
                heads.set_attribute(name.into(), value);
            }
        });
    }

    fn pool(&self, index: usize) -> &Rc<Pool> {
        &self.chain.pools[index]
    }

    fn context(&self, index: usize) -> Vec<u8> {
        // Most plugins carry nothing, and an empty vector costs nothing to copy.
        self.links.borrow()[index].context.clone()
    }

    fn keep_context(&self, index: usize, context: Option<Vec<u8>>) {
        if let Some(context) = context {
            self.links.borrow_mut()[index].context = context;
        }
    }

    fn request_body(&self, index: usize) -> BodyMode {
        self.links.borrow()[index].request_body
    }

    fn response_body(&self, index: usize) -> BodyMode {
        self.links.borrow()[index].response_body
    }

    /// What a plugin's failure means for the exchange: `Ok` if it goes on without the plugin.
    fn judge(
        &self,
        index: usize,
        hook: &'static str,
        failure: Failure,
    ) -> Result<(), PluginFailed> {
        let plugin = self.pool(index).plugin();
        plugin.failed(&failure);
        let heads = self.heads.borrow();
        let (name, request_id) = (&*plugin.name, heads.facts.request_id());
        match plugin.on_error {
            OnError::Open => {
                tracing::warn!(
                    plugin = name,
                    hook,
                    request_id,
                    fault = "plugin",
                    "the request goes on without the plugin, since on_error is open: {failure}"
                );
                Ok(())
            }
            OnError::Closed => {
                tracing::error!(
                    plugin = name,
                    hook,
                    request_id,
                    fault = "plugin",
                    "the request is refused, since on_error is closed: {failure}"
                );
                Err(PluginFailed { plugin: plugin.name.clone(), failure })
            }
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
