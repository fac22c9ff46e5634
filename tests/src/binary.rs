//! The gateway as a program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The command `gateway`: the one that `GATEWAY` names, or that of the profile that this test was
/// built in, built if it was not.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(binary) = std::env::var_os("GATEWAY") {
            return binary.into();
        }
        let test = std::env::current_exe().expect("the path of this test");
        // target/<profile>/deps/<test>
        let profile = test.ancestors().nth(2).expect("the folder of a profile");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut build = Command::new(cargo);
        // The same selection as the whole test run, so that there all of it is built already; the
        // command alone would be built with other features of its dependencies, all again.
        build
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .args(["test", "--quiet", "--no-run", "--workspace", "--target-dir"])
            .arg(profile.parent().expect("the target folder"));
        match profile.file_name().and_then(OsStr::to_str).unwrap_or("debug") {
            "debug" => {}
            name => drop(build.args(["--profile", name])),
        }
        assert!(build.status().is_ok_and(|status| status.success()), "the gateway does not build");
        profile.join("gateway")
    })
}
