//! From a configured component to one that can answer.
//!
//! Owns the checks before any request meets it: that the file is a component, that it is an HTTP
//! service of a version that is served, that it imports nothing it is not offered, and that an
//! instance of it can be made within its limits.

use std::rc::Rc;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{self, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::guest::{self, Guest};
use super::meter::Meter;
use super::outgoing::{Caller, OutgoingRequests};
use super::output::Output;
use super::running::explain;
use crate::config::HttpComponent;
use crate::plugin::{LoadError, Loader, wait};
use crate::share::{Clock, Flow, Kind, Owner, Share, thread_time};
use crate::telemetry::metrics::ComponentMetrics;

/// The interface that a component which answers must export, but for the end of its version.
const HANDLER: &str = "wasi:http/incoming-handler@0.2.";

/// What a component may import: WASI 0.2.
const PACKAGES: [&str; 7] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:http",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

/// A component that is loaded and checked; shared by all workers.
pub(crate) struct Component {
    /// The name under which it is configured.
    pub(crate) name: Arc<str>,
    pub(super) config: HttpComponent,
    pub(super) pre: ProxyPre<Guest>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<ComponentMetrics>,
}

impl Component {
    pub(super) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// The flow of its requests on a route.
    pub(crate) fn flow(&self, share: &Rc<Share>, route: &str) -> Rc<Flow> {
        let (name, clock, metrics) = (&self.name, &self.clock, self.metrics.turns());
        let queue = self.config.queue;
        Flow::new(share, &Owner { kind: Kind::Component, name, clock, metrics, queue }, route)
    }

    /// What the guest of one request may send.
    pub(super) fn outgoing(
        &self,
        caller: Option<Caller>,
        output: &Arc<Output>,
    ) -> OutgoingRequests {
        OutgoingRequests::new(caller, Arc::clone(&self.config.upstreams), Arc::clone(output))
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a component cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What is wrong.
    pub(crate) message: String,
    /// What would fix it.
    pub(crate) help: Option<String>,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<LoadError> for Refusal {
    fn from(LoadError { message, help, .. }: LoadError) -> Self {
        Self { message, help }
    }
}

/// Loads a component with the engine of the plugins. Always reads the file again; what did not change
/// is found in the engine's cache.
///
/// # Errors
/// All that keeps it from being served.
pub(crate) fn load(loader: &Loader, config: &HttpComponent) -> Result<Component, Vec<Refusal>> {
    let clock = loader.clock();
    let compiled = loader.component(&config.file).map_err(|error| vec![Refusal::from(error)])?;
    check_exports(&compiled).map_err(|refusal| vec![refusal])?;
    check_imports(&compiled)?;
    let pre = link(&compiled).map_err(|error| vec![Refusal::new(format!("{error:#}"))])?;
    let name = config.name.as_str().into();
    let metrics = loader.metrics().of_component(&name);
    let component = Component { name, config: config.clone(), pre, clock: clock.clone(), metrics };
    wait(try_out(&component)).map_err(|refusal| vec![refusal])?;
    Ok(component)
}

fn check_exports(component: &component::Component) -> Result<(), Refusal> {
    let ty = component.component_type();
    let names: Vec<_> = ty.exports(component.engine()).map(|(name, _)| name.to_owned()).collect();
    let exports = |prefix: &str| names.iter().find(|name| name.starts_with(prefix));
    if exports(HANDLER).is_some() {
        return Ok(());
    }
    let wanted = "`wasi:http/incoming-handler@0.2`";
    if let Some(name) = exports("wasi:http/incoming-handler@").or(exports("wasi:http/handler@")) {
        let message = format!("it exports `{name}`, and this gateway serves {wanted}");
        return Err(
            Refusal::new(message).help("build it for WASI 0.2: the world `wasi:http/proxy`")
        );
    }
    if exports("gateway:plugin/hooks@").is_some() {
        return Err(Refusal::new("it is a plugin, not an HTTP service")
            .help("list it in the route's `plugins`, and let something else answer"));
    }
    let kind = match exports("wasi:cli/run@") {
        Some(_) => "it is a command, not an HTTP service",
        None => "it is no HTTP service",
    };
    let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Err(Refusal::new(format!("{kind}: it exports {found}, not {wanted}")))
}

fn check_imports(component: &component::Component) -> Result<(), Vec<Refusal>> {
    let ty = component.component_type();
    let mut refusals = Vec::new();
    for (name, _) in ty.imports(component.engine()) {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        let package = interface.split('/').next().unwrap_or_default();
        if PACKAGES.contains(&package) && version.starts_with("0.2.") {
            continue;
        }
        let what = if package == "gateway:plugin" { "only plugins have" } else { "is not offered" };
        refusals.push(Refusal::new(format!("it imports `{name}`, which {what}")));
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

fn link(component: &component::Component) -> wasmtime::Result<ProxyPre<Guest>> {
    let mut linker = Linker::new(component.engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    ProxyPre::new(linker.instantiate_pre(component)?)
}

/// Makes an instance, to see that its limits and the engine's allow one.
async fn try_out(component: &Component) -> Result<(), Refusal> {
    let meter = Arc::new(Meter::new(component.config.deadline));
    let output = Output::new(&component.name, "");
    let outgoing = component.outgoing(None, &output);
    let mut store = guest::store(component.engine(), &component.config, output, outgoing, &meter);
    component.clock.is_needed();
    meter.slices().begin(thread_time());
    let made = component.pre.instantiate_async(&mut store).await;
    made.map(drop).map_err(|error| {
        let failure = explain(component, &mut store, &error, true);
        Refusal::new(format!("it failed before its first request: {failure}"))
    })
}
