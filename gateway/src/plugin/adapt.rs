//! Core modules for WASI preview 1, made components.
//!
//! Owns the adaptation of what a toolchain without components brings out, such as Rust's target
//! `wasm32-wasip1`: a core module in which the bindings left the description of its world. The
//! adapter is the one of wasmtime, and turns calls of preview 1 into calls of WASI 0.2, of which a
//! guest is offered what every other is. Must not judge what comes out: that is loaded as any
//! component is.

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use super::sections;

/// What a core module begins with.
const MODULE: &[u8] = &[0, b'a', b's', b'm', 1, 0, 0, 0];

/// The component that a core module describes, if it is one that does; anything else as it is.
///
/// # Errors
/// When the module does not do what it describes.
pub(crate) fn adapted(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !bytes.starts_with(MODULE) || !sections::describes_world(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    // Not validated here: the engine does that with what comes out.
    let encoded = ComponentEncoder::default().validate(false).module(bytes).and_then(|encoder| {
        encoder
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    });
    encoded.map(Cow::Owned).map_err(|error| format!("{error:#}"))
}
