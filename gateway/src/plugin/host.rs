//! What a plugin can reach: the host interfaces, and the data behind one instance.
//!
//! Owns [`HostState`], the data of a store, and the table of interfaces with the grant that each
//! needs. One room an interface. Must not call a guest.

mod attempts;
mod attributes;
mod cache;
mod chunks;
mod clock;
mod digest;
mod documents;
mod drain;
mod events;
mod exchange;
mod functions;
mod held_response;
mod http_client;
mod keep_alive;
mod key_value;
mod keys;
mod limiter;
mod log;
mod metrics;
mod password;
mod random;
mod secrets;
mod signature;
mod slots;
#[cfg(test)]
mod tests;
mod usage;
mod wasi;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{ResourceLimiter, StoreContextMut};

use crate::config::{self, Grant, Secret, UpstreamId};
use crate::documents::Document;
use crate::events::Sink;
use crate::heads::ExchangeView;
use crate::plugin::budget::Budget;
use crate::plugin::ends::RecordedEnd;
use crate::plugin::trap::MemoryRefused;
use crate::share::Clock;
use crate::state::cache::OfPlugin;
use crate::state::key_sets::KeySet;
use crate::state::{State, Stores};
use crate::telemetry::metrics::PluginMetrics;
use crate::usage::Amounts;

/// The data of a store: whose instance it is, and which exchange it serves at the moment.
pub(crate) struct HostState {
    /// The exchange of the hook that runs, if one does.
    pub(crate) heads: Option<Arc<ExchangeView>>,
    /// Attributes that the hook has set so far.
    pub(crate) attributes: Vec<(String, String)>,
    /// The context that the hook keeps for every decision.
    pub(crate) context: Option<Vec<u8>>,
    /// What the hook has added to the usage of the exchange so far.
    pub(crate) usage: Option<Box<Amounts>>,
    /// What the hook has had recorded of the end of the exchange so far.
    pub(crate) ends: Option<Box<RecordedEnd>>,
    /// The slots that the hook has asked for so far.
    pub(crate) slots: Option<Box<Asked>>,
    /// Which hook runs, or ran last, by its place among the exports.
    pub(crate) hook: usize,
    /// Whether the hook asked or told anything but what depends on its arguments alone.
    pub(crate) impure: Cell<bool>,
    /// The same, before it asked the limiter last.
    was_impure: Cell<bool>,
    /// How often the guest was given a handle or released one.
    pub(super) handles: Cell<u32>,
    /// Whether the guest was told a random number or the time, which no two instances have the same.
    pub(super) is_unique: Cell<bool>,
    /// Whether the guest may keep something that other instances do not have.
    pub(crate) is_seeded: Cell<bool>,
    /// Whose instance this is.
    pub(crate) identity: Arc<Identity>,
    /// Verifying keys that the guest holds, counted.
    pub(crate) keys: usize,
    /// Whether the store did not answer the last call about keys and values.
    pub(super) is_unanswered: bool,
    /// The documents that it has asked for, by their places among those that it was granted: the first 64.
    pub(super) asked_documents: Cell<u64>,
    /// Host resources that the guest holds.
    pub(crate) table: ResourceTable,
    /// The memory that it may have, and what it asked for.
    pub(crate) memory: MemoryLimit,
    /// What it wrote.
    pub(crate) output: log::Output,
    /// The series that it records.
    recorder: metrics::Recorder,
    /// What it may send to upstreams.
    pub(super) outbound: http_client::Outbound,
    /// The time of the hook that runs.
    pub(super) budget: Budget,
}

/// A configured plugin as its host interfaces know it.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The name under which it is configured.
    pub(crate) name: Arc<str>,
    /// Ticks of the epoch that one hook may compute for.
    pub(crate) ticks: u64,
    /// What makes deadlines hold.
    pub(crate) clock: Clock,
    /// What all plugins share.
    pub(crate) state: State,
    /// Its own buckets, keys and values.
    pub(crate) stores: Stores,
    /// Where it keeps responses.
    pub(crate) cache: OfPlugin,
    /// What is counted about it.
    pub(crate) metrics: Arc<PluginMetrics>,
    /// The secrets that it was granted.
    pub(crate) secrets: Vec<Secret>,
    /// The documents that it was granted.
    pub(crate) documents: Vec<(String, Arc<Document>)>,
    /// The sinks of events that it was granted.
    pub(crate) events: Vec<Arc<Sink>>,
    /// The sets of API keys that it was granted.
    pub(crate) keys: Vec<(String, Arc<KeySet>)>,
    /// The upstreams that it was granted.
    pub(crate) upstreams: Vec<(String, UpstreamId)>,
    /// Which of them gave no answer the last time, in the same order.
    pub(crate) are_failing: Box<[AtomicBool]>,
    /// The upstreams that it may forward to.
    pub(crate) forward_to: Box<[String]>,
}

impl Identity {
    /// A number that is another one once a document or a set of keys that it was granted has changed: versions
    /// and generations only grow.
    pub(in crate::plugin) fn versions(&self) -> u64 {
        let documents = self.documents.iter().map(|(_, document)| document.version());
        documents.chain(self.keys.iter().map(|(_, set)| set.generation())).sum()
    }
}

impl HostState {
    pub(crate) fn new(identity: Arc<Identity>, memory: usize) -> Self {
        Self {
            heads: None,
            attributes: Vec::new(),
            context: None,
            usage: None,
            ends: None,
            slots: None,
            hook: 0,
            impure: Cell::new(false),
            was_impure: Cell::new(false),
            handles: Cell::new(0),
            is_unique: Cell::new(false),
            is_seeded: Cell::new(false),
            identity,
            keys: 0,
            is_unanswered: false,
            asked_documents: Cell::new(0),
            table: ResourceTable::new(),
            memory: MemoryLimit::new(memory),
            output: log::Output::default(),
            recorder: metrics::Recorder::default(),
            outbound: http_client::Outbound::default(),
            budget: Budget::default(),
        }
    }

    /// A function was called whose result, or whose effect, may not be the same each time for the
    /// same arguments of the hook. See [`functions`].
    fn reaches_out(&self) {
        self.impure.set(true);
    }

    /// As [`reaches_out`](Self::reaches_out), where it matters whether it is the first time.
    fn reaches_limiter(&self) {
        self.was_impure.set(self.impure.replace(true));
    }

    /// To be said wherever a guest is given a handle, or releases one.
    fn changes_handles(&self) {
        self.handles.set(self.handles.get().wrapping_add(1));
    }

    /// So was one whose result may decide in any later hook.
    fn keeps_what_it_got(&self) {
        self.is_seeded.set(true);
    }

    /// The request id for a log line; empty outside of an exchange.
    fn request_id(&self) -> &str {
        self.heads.as_ref().map_or("", |heads| heads.facts.request_id())
    }
}

/// Bounds the linear memory and the tables of one instance.
pub(crate) struct MemoryLimit {
    bytes: usize,
    /// The largest size that the memory has had: it never shrinks.
    pub(crate) peak: usize,
    /// What the guest wanted in all when it was refused more, if it was.
    pub(crate) refused: Option<usize>,
}

impl MemoryLimit {
    /// What the guest was refused since this was asked last, in words.
    pub(crate) fn take_refusal(&mut self) -> Option<MemoryRefused> {
        let wanted = self.refused.take()?;
        Some(MemoryRefused { limit: self.bytes, wanted })
    }

    /// How many bytes there may be.
    pub(crate) fn limit(&self) -> usize {
        self.bytes
    }

    /// At most so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, peak: 0, refused: None }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= self.bytes;
        if granted {
            self.peak = self.peak.max(desired);
        } else {
            self.refused = Some(desired);
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= 20_000)
    }
}

/// A host interface, as `wit/` names it.
pub(super) struct Interface {
    /// Its name in `gateway:plugin`.
    pub(super) name: &'static str,
    /// What must be granted before a component may import it.
    pub(super) grant: Option<Grant>,
    link: Link,
    waiting: Option<Waiting>,
}

/// An interface whose calls may wait, which makes every call into the instance go through a fiber.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    link: Link,
    /// What is linked instead for a plugin that promised never to call it.
    link_refusing: Link,
    /// What is linked instead where calls are answered at once or end the hook, if many can be.
    link_at_once: Option<Link>,
    /// Whether it is for this plugin that calls may wait.
    applies: fn(&config::Plugin) -> bool,
}

type Link = fn(&mut functions::Functions<'_, '_>) -> wasmtime::Result<()>;

/// All host interfaces.
pub(super) const INTERFACES: [Interface; 24] = [
    Interface::new("exchange", None, exchange::link),
    Interface::new("attributes", None, attributes::link),
    Interface::new("attempts", Some(Grant::Attempts), attempts::link),
    Interface::new("held-response", None, held_response::link),
    Interface::new("drain", None, drain::link),
    Interface::new("chunks", None, chunks::link),
    Interface::new("keep-alive", None, keep_alive::link),
    Interface::new("cache", Some(Grant::Cache), cache::link),
    Interface::new("log", None, log::link),
    Interface::new("clock", None, clock::link),
    Interface::new("random", None, random::link),
    Interface::new("digest", None, digest::link),
    Interface {
        waiting: Some(Waiting {
            link: limiter::link_shared,
            link_refusing: limiter::link_refusing,
            link_at_once: Some(limiter::link_at_once),
            applies: |plugin| plugin.limiter_use.redis().is_some(),
        }),
        ..Interface::new("limiter", Some(Grant::Limiter), limiter::link)
    },
    Interface::new("slots", Some(Grant::Slots), slots::link),
    Interface {
        waiting: Some(Waiting {
            link: key_value::link_shared,
            link_refusing: key_value::link_refusing,
            link_at_once: None,
            applies: |plugin| {
                plugin.key_value_store.as_ref().is_some_and(|it| it.redis().is_some())
            },
        }),
        ..Interface::new("key-value", Some(Grant::KeyValue), key_value::link)
    },
    Interface::new("metrics", Some(Grant::Metrics), metrics::link),
    Interface::new("secrets", Some(Grant::Secrets), secrets::link),
    Interface {
        waiting: Some(Waiting::always(documents::link, documents::link_refusing)),
        ..Interface::new("documents", Some(Grant::Documents), documents::link)
    },
    Interface {
        waiting: Some(Waiting::always(http_client::link, http_client::link_refusing)),
        ..Interface::new("http-client", Some(Grant::HttpClient), http_client::link)
    },
    Interface::new("keys", Some(Grant::Keys), keys::link),
    Interface::new("signature", Some(Grant::Signature), signature::link),
    Interface {
        waiting: Some(Waiting::always(password::link, password::link_refusing)),
        ..Interface::new("password", Some(Grant::Password), password::link)
    },
    Interface::new("usage", Some(Grant::Usage), usage::link),
    Interface::new("events", Some(Grant::Events), events::link),
];

impl Interface {
    /// An interface whose calls never wait.
    const fn new(name: &'static str, grant: Option<Grant>, link: Link) -> Self {
        Self { name, grant, link, waiting: None }
    }

    /// How a call may wait, if it may for this plugin.
    pub(super) fn waiting(&self, plugin: &config::Plugin) -> Option<Waiting> {
        self.waiting.filter(|waiting| (waiting.applies)(plugin))
    }

    /// Puts the interface into a plugin's linker, under the name by which it is imported: with the
    /// version that the plugin was built for.
    pub(super) fn link(
        &self,
        linker: &mut Linker<HostState>,
        name: &str,
        waiting: Option<Waiting>,
        calls: Calls,
    ) -> wasmtime::Result<()> {
        let link = match (waiting, calls) {
            (None, _) => self.link,
            (Some(waiting), Calls::Wait) => waiting.link,
            (Some(waiting), Calls::AreRefused) => waiting.link_refusing,
            (Some(waiting), Calls::AreDoneAtOnce) => match waiting.link_at_once {
                Some(link) => link,
                None => wasmtime::bail!("calls of `{}` always wait", self.name),
            },
        };
        link(&mut functions::Functions::new(&mut linker.instance(name)?))
    }
}

impl Waiting {
    /// Calls may wait whoever makes them.
    const fn always(link: Link, link_refusing: Link) -> Self {
        Self { link, link_refusing, link_at_once: None, applies: |_| true }
    }
}

/// What becomes of calls that may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    Wait,
    AreRefused,
    AreDoneAtOnce,
}

/// A call would have to wait where it cannot. Nothing was done, so that the hook can be called again where it can.
#[derive(Debug, thiserror::Error)]
#[error("it has to wait")]
pub(super) struct HasToWait;

pub(crate) use cache::{InBackground, KnownHit, OfCache, Served};
pub(crate) use chunks::Alike;
pub(crate) use drain::Drain;
pub(crate) use held_response::{Hold, OfHeld};
pub(crate) use slots::{Asked, Settled};
pub(super) use wasi::link as link_wasi;

/// What every host function is given first.
type Context<'a> = StoreContextMut<'a, HostState>;
