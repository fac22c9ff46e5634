//! One live instance: a store, and the hooks of the component in it.
//!
//! Owns the call of a hook: the deadline, the exchange that host functions see meanwhile, and the
//! reading of what went wrong. Must not decide what becomes of the request, nor of the instance.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{self, ComponentNamedList, Func, Lift, Lower, TypedFunc};
use wasmtime::{Store, Trap};

use super::Failure;
use super::bindings::{
    BodyChunk, ChunkOutcome, ConfigError, Description, Interest, RequestBodyOutcome, RequestHead,
    RequestOutcome, ResponseBodyOutcome, ResponseHead, ResponseOutcome, Summary,
};
use super::ends::RecordedEnd;
use super::engine;
use super::host::{Asked, HasToWait, HostState};
use super::in_place::{InPlace, MemoryBlock};
use super::load::Plugin;
use super::outbound::Caller;
use super::reset::Saved;
use super::trap::{self, Meanwhile, is_deadline, is_full, meanwhile, trap_text};
use crate::heads::ExchangeView;
use crate::recorder::Written;
use crate::share::Turn;
use crate::usage::Amounts;

/// Data that one call may hand to the host, besides bodies that were asked for.
const HOSTCALL_FUEL: usize = 1 << 20;

/// A function that plugins export, and its type.
pub(crate) trait Hook {
    /// What it takes.
    type Params<'a>: ComponentNamedList + Lower;
    /// What it returns.
    type Results: ComponentNamedList + Lift + 'static;
    /// Its place in [`HOOK_NAMES`].
    const INDEX: usize;

    /// Whether it may send requests to upstreams: those that an exchange has at most one of, and the one for pieces
    /// of a response, whose upstream waits meanwhile.
    const CALLS_OUT: bool = matches!(Self::INDEX, 2 | 3 | 5 | 6 | 7);

    /// Bytes of body that a call hands to the guest.
    fn body(_params: &Self::Params<'_>) -> usize {
        0
    }

    /// Has what fits laid down in the block that the guest keeps for it.
    fn place(_params: &mut Self::Params<'_>, _block: MemoryBlock) {}
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
    ($($index:literal $name:ident($params:ty) -> $results:ty $(, $body:expr $(, $place:expr)?)?;)*) => {$(
        pub(crate) struct $name;
        impl Hook for $name {
            type Params<'a> = $params;
            type Results = $results;
            const INDEX: usize = $index;
            $(fn body(params: &Self::Params<'_>) -> usize {
                let bytes: fn(&Self::Params<'_>) -> usize = $body;
                bytes(params)
            }
            $(fn place(params: &mut Self::Params<'_>, mut block: MemoryBlock) {
                let place: fn(&mut Self::Params<'_>, &mut MemoryBlock) = $place;
                place(params, &mut block);
            })?)?
        }
    )*};
}

hooks! {
    0 Describe(()) -> (Description,);
    1 Configure((&'a str,)) -> (Result<Interest, Vec<ConfigError>>,);
    2 OnRequest((InPlace<RequestHead<'a>>,)) -> (RequestOutcome,), |_| 0, |it, block| it.0.place(block);
    3 OnRequestBody((&'a [u8], &'a [u8])) -> (RequestBodyOutcome,), |it| it.0.len();
    4 OnRequestChunk((BodyChunk<'a>, &'a [u8])) -> (ChunkOutcome,), |it| it.0.data.len();
    5 OnResponse((InPlace<ResponseHead<'a>>, InPlace<&'a [u8]>)) -> (ResponseOutcome,), |_| 0, |it, block| {
        it.0.place(block);
        it.1.place(block);
    };
    6 OnResponseBody((&'a [u8], &'a [u8])) -> (ResponseBodyOutcome,), |it| it.0.len();
    7 OnResponseChunk((BodyChunk<'a>, &'a [u8])) -> (ChunkOutcome,), |it| it.0.data.len();
    8 OnComplete((Summary<'a>, &'a [u8])) -> ();
}

/// An instance of a plugin.
pub(crate) struct Instance {
    /// The state that it can be put back into. Before the store, since it has to end first.
    saved: Option<Box<Saved>>,
    store: Store<HostState>,
    made: component::Instance,
    hooks: [Func; HOOK_NAMES.len()],
    /// Where its hooks take arguments over.
    block: Option<MemoryBlock>,
    waits: bool,
    ticks: u64,
    uses: u32,
    /// Bytes of body that the plugin may return, independent of what it was given.
    bodies: usize,
}

/// What a hook returned, and the attributes that it set.
pub(crate) struct Called<R> {
    pub(crate) results: R,
    pub(crate) attributes: Vec<(String, String)>,
    /// The context that it keeps for every decision.
    pub(crate) context: Option<Vec<u8>>,
    /// What it added to the usage of the exchange.
    pub(crate) usage: Option<Box<Amounts>>,
    /// What it had recorded of the end of the exchange.
    pub(crate) ends: Option<Box<RecordedEnd>>,
    /// The slots that it asked for.
    pub(crate) slots: Option<Box<Asked>>,
    /// Whether anything but its arguments can have decided.
    pub(crate) impure: bool,
}

impl Instance {
    /// Makes an instance that is not configured yet.
    pub(super) async fn new(plugin: &Plugin) -> Result<Self, Failure> {
        let data = HostState::new(plugin.identity.clone(), plugin.memory);
        let mut store = Store::new(plugin.pre.engine(), data);
        store.limiter(|data| &mut data.memory);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        plugin.identity.clock.is_needed();
        let look = store.data_mut().budget.begin(engine::ticks(plugin.configure));
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
        let instance = match made {
            Ok(instance) => instance,
            Err(error) => return Err(not_made(&mut store, plugin.configure, &error)),
        };
        let mut hooks = Vec::with_capacity(HOOK_NAMES.len());
        for export in &plugin.exports {
            let hook = instance.get_func(&mut store, export);
            hooks.push(hook.ok_or_else(|| Failure::breach("a hook is not exported"))?);
        }
        let hooks = hooks.try_into().map_err(|_| Failure::breach("a hook is not exported"))?;
        let block = match block(plugin, &mut store, &instance).await {
            Ok(block) => block,
            Err(error) => return Err(not_made(&mut store, plugin.configure, &error)),
        };
        Ok(Self {
            block,
            saved: None,
            store,
            made: instance,
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

    /// Gives the instance its configuration. Its time has its own bound: it runs once, not for
    /// each request.
    pub(super) async fn configure(
        &mut self,
        plugin: &Plugin,
    ) -> Result<Result<Interest, Vec<ConfigError>>, Failure> {
        let ticks = engine::ticks(plugin.configure);
        let called = self.call_within::<Configure>(plugin, ticks, None, (&plugin.config,)).await;
        let called = called.map_err(|failure| match failure {
            Failure::Deadline(_, why) => Failure::Configure(plugin.configure, why),
            other => other,
        });
        Ok(called?.results.0)
    }

    /// Keeps the state that it has now, if it could be put back into it. `is_trusted`: as in
    /// [`Saved::of`].
    pub(super) fn save(&mut self, is_trusted: bool) {
        self.saved = Saved::of(&mut self.store, &self.made, is_trusted).map(Box::new);
    }

    /// Puts it back into the state that was kept. `false` if that cannot be done, so that nobody may
    /// use it any more who must not know what it knows.
    pub(super) fn reset(&mut self) -> bool {
        self.saved.as_mut().is_some_and(|saved| saved.load(&mut self.store))
    }

    /// Lets its hooks send requests to upstreams.
    pub(super) fn belongs_to(&mut self, caller: Caller) {
        self.store.data_mut().outbound.belongs_to(caller);
    }

    /// Lets bodies of this size pass from the guest to the host.
    pub(super) fn allow_bodies(&mut self, bytes: usize) {
        self.bodies = bytes;
    }

    /// Calls a hook that keeps nobody waiting.
    pub(super) async fn call<H: Hook>(
        &mut self,
        plugin: &Plugin,
        heads: Option<Arc<ExchangeView>>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        self.call_within::<H>(plugin, self.ticks, heads, params).await
    }

    /// Calls a hook on behalf of an exchange, in turns. It has the first one.
    pub(super) async fn call_in_turn<H: Hook>(
        &mut self,
        plugin: &Plugin,
        heads: Arc<ExchangeView>,
        mut params: H::Params<'_>,
        turn: &mut Turn,
    ) -> Result<Called<H::Results>, Failure> {
        self.place::<H>(&mut params);
        self.begin(self.ticks, Some(heads), H::body(&params), H::INDEX);
        let hook = typed::<H>(self.hooks[H::INDEX]);
        if !self.waits && !turn.is_sliced() {
            let result = turn.take(|| hook.call(&mut self.store, params));
            return self.end(plugin, result);
        }
        let data = self.store.data_mut();
        data.outbound.begin(H::CALLS_OUT);
        let slices = data.budget.slices();
        if turn.is_sliced() {
            let look = data.budget.begin_sliced(self.ticks);
            self.store.set_epoch_deadline(look);
        }
        let result = turn.take_all(hook.call_async(&mut self.store, params), &slices).await;
        self.end(plugin, result)
    }

    /// Calls a hook of a plugin that never waits.
    pub(super) fn call_now<H: Hook>(
        &mut self,
        plugin: &Plugin,
        heads: Arc<ExchangeView>,
        mut params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        self.place::<H>(&mut params);
        self.begin(self.ticks, Some(heads), H::body(&params), H::INDEX);
        let result = typed::<H>(self.hooks[H::INDEX]).call(&mut self.store, params);
        self.end(plugin, result)
    }

    async fn call_within<H: Hook>(
        &mut self,
        plugin: &Plugin,
        ticks: u64,
        heads: Option<Arc<ExchangeView>>,
        mut params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        self.place::<H>(&mut params);
        self.begin(ticks, heads, H::body(&params), H::INDEX);
        let hook = typed::<H>(self.hooks[H::INDEX]);
        let result = if self.waits {
            self.store.data_mut().outbound.begin(H::CALLS_OUT);
            hook.call_async(&mut self.store, params).await
        } else {
            hook.call(&mut self.store, params)
        };
        self.end(plugin, result)
    }

    fn place<H: Hook>(&self, params: &mut H::Params<'_>) {
        if let Some(block) = self.block {
            H::place(params, block);
        }
    }

    /// `body` is how many bytes of body the guest is given: it may hand back twice as many, and as much of the body of
    /// a request that it can have sent again.
    fn begin(&mut self, ticks: u64, heads: Option<Arc<ExchangeView>>, body: usize, hook: usize) {
        self.uses += 1;
        let received = heads.as_ref().and_then(|heads| heads.received.as_ref());
        let body = received.map_or(body, |received| body.max(received.len()));
        let bodies = self.bodies.max(body.saturating_mul(2));
        self.store.set_hostcall_fuel(HOSTCALL_FUEL.saturating_add(bodies));
        let data = self.store.data_mut();
        data.identity.clock.is_needed();
        let look = data.budget.begin(ticks);
        data.heads = heads;
        data.hook = hook;
        data.impure.set(false);
        // A guest may do without what it was refused before.
        data.memory.refused = None;
        data.begin_output();
        self.store.set_epoch_deadline(look);
    }

    fn end<R>(
        &mut self,
        plugin: &Plugin,
        result: wasmtime::Result<R>,
    ) -> Result<Called<R>, Failure> {
        let data = self.store.data_mut();
        let results = result.map_err(|error| explain(data, plugin.deadline, &error));
        data.end_output();
        data.heads = None;
        let attributes = std::mem::take(&mut data.attributes);
        let (context, usage) = (data.context.take(), data.usage.take());
        let (ends, slots) = (data.ends.take(), data.slots.take());
        let impure = data.impure.get() || data.is_seeded.get();
        results.map(|results| Called { results, attributes, context, usage, ends, slots, impure })
    }

    /// Whether the instance is worn: it served very many hooks, or its memory, which never
    /// shrinks, came near its limit.
    pub(super) fn should_retire(&self, memory: usize) -> bool {
        const MAX_USES: u32 = 1_000_000;
        self.uses >= MAX_USES || self.store.data().memory.peak > memory / 4 * 3
    }

    /// The names of documents that it was granted and has not asked for.
    pub(super) fn unasked_documents(&self) -> Vec<&str> {
        self.store.data().unasked_documents()
    }

    /// The last lines that the hook wrote to the log.
    pub(super) fn take_written(&mut self) -> Option<Box<Written>> {
        self.store.data_mut().take_written()
    }

    /// How many hooks it served, and the largest size of its memory.
    pub(super) fn wear(&self) -> (u32, usize) {
        (self.uses, self.store.data().memory.peak)
    }
}

/// What it means that a call failed. What the guest said of it is taken out of what goes to the log
/// as its own lines.
#[cold]
fn explain(data: &mut HostState, deadline: Duration, error: &wasmtime::Error) -> Failure {
    if error.is::<HasToWait>() {
        return Failure::HasToWait;
    }
    if let Some(refused) = data.memory.take_refusal() {
        let said = data.take_failure_report().map(|failure_report| format!(": {failure_report}"));
        return Failure::Memory(refused, said.unwrap_or_default().into());
    }
    if is_full(error) {
        return Failure::NoPlace(trap::root(error).into());
    }
    if is_deadline(error) {
        let failure_report = data.peek_failure_report();
        let why =
            meanwhile(error, failure_report.as_ref()).map(|why| match (why, failure_report) {
                (Meanwhile::Telling, Some(failure_report)) if failure_report.is_interpreted => {
                    data.take_failure_report();
                    format!("; {why}: {failure_report}")
                }
                _ => format!("; {why}"),
            });
        return Failure::Deadline(deadline, why.unwrap_or_default().into());
    }
    Failure::Trap(trap_text(data.take_failure_report(), data.last_error(), error).into())
}

/// Asks the guest for the block that it keeps for arguments, if it has one.
async fn block(
    plugin: &Plugin,
    store: &mut Store<HostState>,
    instance: &component::Instance,
) -> wasmtime::Result<Option<MemoryBlock>> {
    let block = plugin.block.and_then(|export| instance.get_func(&mut *store, export));
    let Some(block) = block.and_then(|block| block.typed::<(), (MemoryBlock,)>(&*store).ok())
    else {
        return Ok(None);
    };
    let (block,) = if plugin.waits {
        block.call_async(&mut *store, ()).await?
    } else {
        block.call(&mut *store, ())?
    };
    Ok(block.checked())
}

/// Why no instance was made.
fn not_made(store: &mut Store<HostState>, bound: Duration, error: &wasmtime::Error) -> Failure {
    let data = store.data_mut();
    let failure = match data.memory.take_refusal() {
        Some(refused) => Failure::Memory(refused, "".into()),
        None if is_full(error) => Failure::NoPlace(trap::root(error).into()),
        None if is_deadline(error) => Failure::Configure(bound, "".into()),
        None if error.is::<Trap>() => Failure::Instantiate(
            trap_text(data.take_failure_report(), data.last_error(), error).into(),
        ),
        None => Failure::Instantiate(trap::root(error).into()),
    };
    data.end_output();
    failure
}

/// The hook with its type.
#[expect(unsafe_code, reason = "`check_types` has checked this type when the component was loaded")]
fn typed<'a, H: Hook>(hook: Func) -> TypedFunc<H::Params<'a>, H::Results> {
    // SAFETY: a lifetime is no part of a component type, so that the check of the 'static form
    // speaks for every other, and an index leads to the same export in each instance.
    unsafe { TypedFunc::new_unchecked(hook) }
}
