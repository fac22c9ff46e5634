//! Files that the commands write: the template of a crate, the SDK, and `wit/`.
//!
//! Owns their texts, which are inside of the binary: it needs no checkout of its own sources.

/// Path and text of a file.
pub(super) type File = (&'static str, &'static str);

/// The SDK as a crate that needs no workspace.
pub(super) static SDK: &[File] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// The plugin interface.
pub(super) static WIT: &[File] = include!(concat!(env!("OUT_DIR"), "/wit.rs"));

macro_rules! template {
    ($($path:literal from $file:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../templates/plugin/", $file)))),*]
    };
}

/// A crate with the name [`NAME`] and a type with the name [`TYPE`].
pub(super) static TEMPLATE: &[File] = template![
    "Cargo.toml" from "Cargo.toml",
    "README.md" from "README.md",
    ".gitignore" from "gitignore",
    "gateway.toml" from "gateway.toml",
    "rust-toolchain.toml" from "rust-toolchain.toml",
    "src/lib.rs" from "src/lib.rs",
    "tests/end_to_end.rs" from "tests/end_to_end.rs",
];

/// What is in the template for the name of the crate.
pub(super) const NAME: &str = "my-plugin";

/// What is in the template for the name of the crate in Rust.
pub(super) const LIBRARY: &str = "my_plugin";

/// What is in the template for the name of the plugin's type.
pub(super) const TYPE: &str = "MyPlugin";

/// The folder of the SDK in a crate that has a copy of it.
pub(super) const SDK_FOLDER: &str = "gateway-plugin-sdk";
