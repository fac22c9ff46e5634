//! One live instance: a store, and the hooks of the component in it.
//!
//! Owns the call of a hook: the deadline, the exchange that host functions see meanwhile, and the
//! reading of what went wrong. Must not decide what becomes of the request, nor of the instance.

use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Func, Lift, Lower, TypedFunc};
use wasmtime::{Store, Trap};

use super::Failure;
use super::backtrace;
use super::bindings::{
    BodyChunk, ChunkOutcome, ConfigError, Description, Interest, RequestBodyOutcome, RequestHead,
    RequestOutcome, ResponseBodyOutcome, ResponseHead, ResponseOutcome, Summary,
};
use super::engine;
use super::host::HostState;
use super::load::Plugin;
use super::outbound::Caller;
use crate::heads::Heads;

/// Data that one call may hand to the host, besides bodies that were asked for.
const HOSTCALL_FUEL: usize = 1 << 20;
/// What `configure` may take, if the deadline is shorter: it runs once, not for each request.
const CONFIGURE: std::time::Duration = std::time::Duration::from_millis(500);

/// A function that plugins export, and its type.
pub(crate) trait Hook {
    /// What it takes.
    type Params<'a>: ComponentNamedList + Lower;
    /// What it returns.
    type Results: ComponentNamedList + Lift + 'static;
    /// Its place in [`HOOK_NAMES`].
    const INDEX: usize;

    /// Whether it may send requests to upstreams: those that an exchange has at most one of.
    const CALLS_OUT: bool = matches!(Self::INDEX, 2 | 3 | 5 | 6);

    /// Bytes of body that a call hands to the guest.
    fn body(_params: &Self::Params<'_>) -> usize {
        0
    }
}

/// The exported functions by name.
pub(crate) const HOOK_NAMES: [&str; 9] = [
    "describe",
    "configure",
    "on-request",
    "on-request-body",
    "on-request-chunk",
    "on-response",
    "on-response-body",
    "on-response-chunk",
    "on-complete",
];

macro_rules! hooks {
    ($($index:literal $name:ident($params:ty) -> $results:ty $(, $body:expr)?;)*) => {$(
        pub(crate) struct $name;
        impl Hook for $name {
            type Params<'a> = $params;
            type Results = $results;
            const INDEX: usize = $index;
            $(fn body(params: &Self::Params<'_>) -> usize {
                let bytes: fn(&Self::Params<'_>) -> usize = $body;
                bytes(params)
            })?
        }
    )*};
}

hooks! {
    0 Describe(()) -> (Description,);
    1 Configure((&'a str,)) -> (Result<Interest, Vec<ConfigError>>,);
    2 OnRequest((RequestHead<'a>,)) -> (RequestOutcome,);
    3 OnRequestBody((&'a [u8], &'a [u8])) -> (RequestBodyOutcome,), |it| it.0.len();
    4 OnRequestChunk((BodyChunk<'a>, &'a [u8])) -> (ChunkOutcome,), |it| it.0.data.len();
    5 OnResponse((ResponseHead<'a>, &'a [u8])) -> (ResponseOutcome,);
    6 OnResponseBody((&'a [u8], &'a [u8])) -> (ResponseBodyOutcome,), |it| it.0.len();
    7 OnResponseChunk((BodyChunk<'a>, &'a [u8])) -> (ChunkOutcome,), |it| it.0.data.len();
    8 OnComplete((Summary<'a>, &'a [u8])) -> ();
}

/// An instance of a plugin.
pub(crate) struct Instance {
    store: Store<HostState>,
    hooks: [Func; HOOK_NAMES.len()],
    waits: bool,
    ticks: u64,
    uses: u32,
    /// Bytes of body that the plugin may hand back whatever it was given.
    bodies: usize,
}

/// What a hook returned, and the attributes that it set.
pub(crate) struct Called<R> {
    pub(crate) results: R,
    pub(crate) attributes: Vec<(String, String)>,
    /// Whether anything but its arguments can have decided.
    pub(crate) reached_out: bool,
}

impl Instance {
    /// Makes an instance that is not configured yet.
    pub(super) async fn new(plugin: &Plugin) -> Result<Self, Failure> {
        let data = HostState::new(plugin.identity.clone(), plugin.memory);
        let mut store = Store::new(plugin.pre.engine(), data);
        store.limiter(|data| &mut data.memory);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        plugin.identity.clock.is_needed();
        let look = store.data_mut().budget.begin(engine::ticks(plugin.deadline.max(CONFIGURE)));
        store.set_epoch_deadline(look);
        store.epoch_deadline_callback(|mut store| {
            let data = store.data_mut();
            data.identity.clock.is_needed();
            Ok(data.budget.look())
        });
        let made = if plugin.waits {
            plugin.pre.instantiate_async(&mut store).await
        } else {
            plugin.pre.instantiate(&mut store)
        };
        let instance = made.map_err(|error| Failure::Instantiate(root(&error).into()))?;
        let mut hooks = Vec::with_capacity(HOOK_NAMES.len());
        for export in &plugin.exports {
            let hook = instance.get_func(&mut store, export);
            hooks.push(hook.ok_or_else(|| Failure::breach("a hook is not exported"))?);
        }
        let hooks = hooks.try_into().map_err(|_| Failure::breach("a hook is not exported"))?;
        Ok(Self {
            store,
            hooks,
            waits: plugin.waits,
            ticks: plugin.identity.ticks,
            uses: 0,
            bodies: 0,
        })
    }

    /// Checks that each hook has the type that `wit/` says. Done once for a component, before
    /// any other call.
    pub(super) fn check_types(&self) -> wasmtime::Result<()> {
        self.check::<Describe>()?;
        self.check::<Configure>()?;
        self.check::<OnRequest>()?;
        self.check::<OnRequestBody>()?;
        self.check::<OnRequestChunk>()?;
        self.check::<OnResponse>()?;
        self.check::<OnResponseBody>()?;
        self.check::<OnResponseChunk>()?;
        self.check::<OnComplete>()
    }

    fn check<H: Hook>(&self) -> wasmtime::Result<()> {
        let typed = self.hooks[H::INDEX].typed::<H::Params<'static>, H::Results>(&self.store);
        typed.map(drop).map_err(|error| error.context(HOOK_NAMES[H::INDEX]))
    }

    /// Gives the instance its configuration. Its time is bounded by the larger of the deadline
    /// and half a second.
    pub(super) async fn configure(
        &mut self,
        plugin: &Plugin,
    ) -> Result<Result<Interest, Vec<ConfigError>>, Failure> {
        let ticks = engine::ticks(plugin.deadline.max(CONFIGURE));
        let called = self.call_within::<Configure>(plugin, ticks, None, (&plugin.config,)).await?;
        Ok(called.results.0)
    }

    /// Lets its hooks send requests to upstreams.
    pub(super) fn belongs_to(&mut self, caller: Caller) {
        self.store.data_mut().outbound.belongs_to(caller);
    }

    /// Lets bodies of this size pass from the guest to the host.
    pub(super) fn allow_bodies(&mut self, bytes: usize) {
        self.bodies = bytes;
    }

    /// Calls a hook on behalf of an exchange.
    pub(super) async fn call<H: Hook>(
        &mut self,
        plugin: &Plugin,
        heads: Option<Arc<Heads>>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        self.call_within::<H>(plugin, self.ticks, heads, params).await
    }

    /// Calls a hook of a plugin that never waits.
    pub(super) fn call_now<H: Hook>(
        &mut self,
        plugin: &Plugin,
        heads: Arc<Heads>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        self.begin(self.ticks, Some(heads), H::body(&params));
        let result = typed::<H>(self.hooks[H::INDEX]).call(&mut self.store, params);
        self.end(plugin, result)
    }

    async fn call_within<H: Hook>(
        &mut self,
        plugin: &Plugin,
        ticks: u64,
        heads: Option<Arc<Heads>>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        self.begin(ticks, heads, H::body(&params));
        let hook = typed::<H>(self.hooks[H::INDEX]);
        let result = if self.waits {
            self.store.data_mut().outbound.begin(H::CALLS_OUT);
            hook.call_async(&mut self.store, params).await
        } else {
            hook.call(&mut self.store, params)
        };
        self.end(plugin, result)
    }

    /// `body` is how many bytes of body the guest is given: it may hand back twice as many.
    fn begin(&mut self, ticks: u64, heads: Option<Arc<Heads>>, body: usize) {
        self.uses += 1;
        let bodies = self.bodies.max(body.saturating_mul(2));
        self.store.set_hostcall_fuel(HOSTCALL_FUEL.saturating_add(bodies));
        let data = self.store.data_mut();
        data.identity.clock.is_needed();
        let look = data.budget.begin(ticks);
        data.heads = heads;
        data.reached_out.set(false);
        data.begin_output();
        self.store.set_epoch_deadline(look);
    }

    fn end<R>(
        &mut self,
        plugin: &Plugin,
        result: wasmtime::Result<R>,
    ) -> Result<Called<R>, Failure> {
        let data = self.store.data_mut();
        data.end_output();
        data.heads = None;
        let attributes = std::mem::take(&mut data.attributes);
        let reached_out = data.reached_out.get() || self.waits;
        match result {
            Ok(results) => Ok(Called { results, attributes, reached_out }),
            Err(error) => Err(self.explain(plugin, &error)),
        }
    }

    /// Whether the instance is worn: it served very many hooks, or its memory, which never
    /// shrinks, came near its limit.
    pub(super) fn is_worn(&self, memory: usize) -> bool {
        const MAX_USES: u32 = 1_000_000;
        self.uses >= MAX_USES || self.store.data().memory.peak > memory / 4 * 3
    }

    fn explain(&mut self, plugin: &Plugin, error: &wasmtime::Error) -> Failure {
        let data = self.store.data_mut();
        if data.memory.refused {
            return Failure::Memory(plugin.memory);
        }
        if matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt)) {
            return Failure::Deadline(plugin.deadline);
        }
        Failure::Trap(trap_text(data.last_error(), error).into())
    }
}

/// What a trap was about: what the guest said last, or the trap's own words, with a backtrace.
pub(crate) fn trap_text(said: Option<String>, error: &wasmtime::Error) -> String {
    let mut text = said.unwrap_or_else(|| root(error));
    if let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() {
        backtrace::append(&mut text, backtrace);
    }
    text
}

/// The innermost cause, which is what a trap is about.
fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

/// The hook with its type.
#[expect(unsafe_code, reason = "`check_types` has checked this type when the component was loaded")]
fn typed<'a, H: Hook>(hook: Func) -> TypedFunc<H::Params<'a>, H::Results> {
    // SAFETY: a lifetime is no part of a component type, so that the check of the 'static form
    // speaks for every other, and an index leads to the same export in each instance.
    unsafe { TypedFunc::new_unchecked(hook) }
}
