//! How build scripts compile for the guests: the toolchain's targets, and a cargo that flags and
//! wrappers meant for the host do not reach.
//!
//! Used by the build scripts of `gateway` and of the tests.

use std::path::Path;
use std::process::Command;
use std::{env, fmt};

/// Sees to it that the toolchain can compile for a target. rustup installs the targets of
/// `rust-toolchain.toml` by itself only where that is switched on.
///
/// # Panics
/// When the target is not there and rustup cannot add it.
pub(crate) fn require_target(target: &str, user: impl fmt::Display) {
    if has_target(target) {
        return;
    }
    let added = Command::new("rustup").args(["target", "add", target]).output();
    let reason = match added {
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("rustup cannot be run: {error}"),
    };
    assert!(
        has_target(target),
        "{user} need the Rust target {target}, and it could not be added. \
         Run `rustup target add {target}`. What rustup said: {reason}"
    );
}

fn has_target(target: &str) -> bool {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let printed = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    // The folder alone may be what an interrupted installation left.
    sysroot.is_ok_and(|sysroot| {
        Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir()
    })
}

/// `cargo build`, to be completed, without what the host's cargo was told by the environment.
pub(crate) fn cargo_build() -> Command {
    let mut cargo = Command::new(env::var("CARGO").expect("cargo sets CARGO"));
    cargo.arg("build");
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_meant_for_the_host = text.starts_with("CARGO_") && text != "CARGO_HOME"
            || text.starts_with("RUSTFLAGS")
            || text.starts_with("RUSTC")
            || text.starts_with("RUSTDOC");
        if is_meant_for_the_host {
            cargo.env_remove(&name);
        }
    }
    cargo
}
