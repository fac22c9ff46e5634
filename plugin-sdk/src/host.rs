//! The one seam between a plugin and whatever serves its host calls: in a component the imports,
//! in native tests the host of [`testing`](crate::testing). Both sides have the same functions.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
#[cfg(target_family = "wasm")]
pub(crate) use wasm::*;
