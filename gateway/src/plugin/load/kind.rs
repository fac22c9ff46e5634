//! What a file is instead of a plugin.
//!
//! Owns the words for it: for a wrong file the error says what it is, and not only
//! that it is none.

use std::path::Path;

use wasmtime::component::Component;

use super::refusal::{LoadError, refused};
use super::version;
use crate::plugin::bindings::{HOOKS, VERSION};

/// A core module or a text is not a component, and wasmtime's own words for that are hard to read.
pub(super) fn check_kind(path: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    let path = path.display();
    let no_blanks = bytes.trim_ascii_start();
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(refused(
            format!("`{path}` is a core WebAssembly module, not a component"),
            Some(
                "`gateway plugin build` makes one, as does `cargo build --target wasm32-wasip2`"
                    .into(),
            ),
        )),
        [0, b'a', b's', b'm', ..] => Ok(()),
        [] => Err(refused(format!("`{path}` is empty"), None)),
        _ if no_blanks.starts_with(b"(module") || no_blanks.starts_with(b"(component") => {
            Err(refused(format!("`{path}` is the text format of WebAssembly, not a binary"), None))
        }
        _ => Err(refused(format!("`{path}` is not WebAssembly"), None)),
    }
}

/// The component exports no hooks of this version: says what it exports instead.
pub(super) fn not_ours(component: &Component) -> LoadError {
    let ty = component.component_type();
    let names: Vec<_> = ty.exports(component.engine()).map(|(name, _)| name.to_owned()).collect();
    let other = names.iter().find_map(|name| name.strip_prefix(HOOKS));
    if let Some(version) = other {
        return refused(
            format!(
                "it is built for gateway:plugin {version}, and this gateway serves {}",
                version::served()
            ),
            Some("build it against this gateway's `wit/`: `gateway plugin wit` writes it".into()),
        );
    }
    let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let exports = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
    let kind = match () {
        () if exports("wasi:http/") => "it is an HTTP service, not a plugin",
        () if exports("wasi:cli/run@") => "it is a command, not a plugin",
        () => "it is no plugin",
    };
    let help = if exports("wasi:http/incoming-handler@") {
        "to let it answer the requests of a route, write `component = \"./FILE.wasm\"` in the route"
    } else {
        "register the plugin with `register_plugin!`"
    };
    refused(format!("{kind}: it exports {found}, not `{HOOKS}{VERSION}`"), Some(help.into()))
}
