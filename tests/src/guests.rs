//! Where the components of the guests are: plugins that fail on purpose, plugins that show what
//! the gateway did, and components that are no plugins.

use std::path::{Path, PathBuf};

/// The folder of all of them, each as `NAME.wasm`. Configurations of tests are read as if they
/// was in it, so that `component = "./tagger.wasm"` names one.
#[must_use]
pub fn folder() -> &'static Path {
    Path::new(env!("GUESTS"))
}

/// One of them.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.wasm"))
}
