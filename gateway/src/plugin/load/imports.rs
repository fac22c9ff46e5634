//! What a component imports and exports.
//!
//! Owns the link to the host's functions, and what a plugin may do by what it imports. Must not know what is granted.

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use super::kind::not_ours;
use super::refusal::refused;
use super::{LoadError, version};
use crate::config;
use crate::plugin::bindings::{HOOKS, VERSION};
use crate::plugin::host::{self, Calls, HostState, INTERFACES};
use crate::plugin::in_place::{ARGUMENTS, BLOCK};
use crate::plugin::instance::HOOK_NAMES;

/// A component with its imports, and what it may do by them.
pub(super) struct Linked {
    pub(super) pre: InstancePre<HostState>,
    pub(super) waits: bool,
    pub(super) reads_request: bool,
    pub(super) may_attempt: bool,
    pub(super) may_hold: bool,
    pub(super) may_drain: bool,
    pub(super) uses_cache: bool,
}

/// Links what the component imports.
pub(super) fn link(
    engine: &Engine,
    config: &config::Plugin,
    component: &Component,
    calls: Calls,
) -> wasmtime::Result<Linked> {
    let mut linker = Linker::new(engine);
    let (mut waits, mut reads_request) = (false, false);
    let (mut may_attempt, mut may_hold, mut uses_cache) = (false, false, false);
    let mut may_drain = false;
    for (name, wanted) in component.component_type().imports(engine) {
        match import(name) {
            Import::Host(index) => {
                let interface = &INTERFACES[index];
                let waiting = interface.waiting(config);
                interface.link(&mut linker, name, waiting, calls)?;
                may_attempt |= interface.name == "attempts" && !asks_alone(&wanted.ty, engine);
                may_hold |= interface.name == "held-response";
                may_drain |= interface.name == "drain";
                uses_cache |= interface.name == "cache";
                waits |= calls == Calls::Wait && waiting.is_some();
                reads_request |=
                    interface.name == "exchange" && asks_for_request(&wanted.ty, engine);
            }
            Import::Wasi => {
                if let ComponentItem::ComponentInstance(wanted) = &wanted.ty {
                    host::link_wasi(&mut linker, name, wanted, engine)?;
                }
            }
            Import::OtherVersion(_) | Import::Unknown => {}
        }
    }
    let pre = linker.instantiate_pre(component)?;
    Ok(Linked { pre, waits, reads_request, may_attempt, may_hold, may_drain, uses_cache })
}

/// What a component imports under a name.
pub(super) enum Import {
    /// One of [`INTERFACES`].
    Host(usize),
    Wasi,
    OtherVersion(String),
    Unknown,
}

pub(super) fn import(name: &str) -> Import {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    if interface.starts_with("wasi:") && version.starts_with("0.2.") {
        return Import::Wasi;
    }
    let Some(ours) = interface.strip_prefix("gateway:plugin/") else { return Import::Unknown };
    if !version::is_served(version) {
        return Import::OtherVersion(version.to_owned());
    }
    // `types` holds no functions: a component that uses it needs nothing from the host.
    if ours == "types" {
        return Import::Wasi;
    }
    INTERFACES.iter().position(|known| known.name == ours).map_or(Import::Unknown, Import::Host)
}

/// Whether a component that imports `attempts` asks where it may forward requests, and nothing else: that needs no grant.
pub(super) fn asks_alone(wanted: &ComponentItem, engine: &Engine) -> bool {
    let ComponentItem::ComponentInstance(wanted) = wanted else { return false };
    // Types belong to functions that are not there.
    let is_function = |item: &ComponentItem| matches!(item, ComponentItem::ComponentFunc(_));
    let mut functions = wanted.exports(engine).filter(|(_, item)| is_function(&item.ty));
    functions.all(|(name, _)| name == "may-forward")
}

fn asks_for_request(wanted: &ComponentItem, engine: &Engine) -> bool {
    let ComponentItem::ComponentInstance(wanted) = wanted else { return true };
    wanted.exports(engine).any(|(name, _)| name.starts_with("request-"))
}

pub(super) fn exports(component: &Component) -> Result<Vec<ComponentExportIndex>, LoadError> {
    let ty = component.component_type();
    let mut names = ty.exports(component.engine()).map(|(name, _)| name);
    let ours = names.find(|name| name.strip_prefix(HOOKS).is_some_and(version::is_served));
    let hooks = ours.and_then(|name| component.get_export_index(None, name));
    let hooks = hooks.ok_or_else(|| not_ours(component))?;
    let find = |name: &&str| {
        component
            .get_export_index(Some(&hooks), name)
            .ok_or_else(|| refused(format!("its `{HOOKS}{VERSION}` has no `{name}`"), None))
    };
    HOOK_NAMES.iter().map(find).collect()
}

/// The function in which it says where its arguments may be laid down, if it does.
pub(super) fn block(component: &Component) -> Option<ComponentExportIndex> {
    let ty = component.component_type();
    let mut names = ty.exports(component.engine()).map(|(name, _)| name);
    let ours = names.find(|name| name.strip_prefix(ARGUMENTS).is_some_and(version::is_served))?;
    let arguments = component.get_export_index(None, ours)?;
    component.get_export_index(Some(&arguments), BLOCK)
}
