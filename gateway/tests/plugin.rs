//! `gateway plugin` as its users type it, in empty folders: only the binary is there.
//!
//! What it makes is built and tested for real, with the versions of crates that this repository is
//! tested with.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "plugin/dev.rs"]
mod dev;
#[path = "plugin/folder.rs"]
mod folder;
#[path = "plugin/guide.rs"]
mod guide;

use std::path::Path;
use std::process::Output;

use folder::{Folder, repository, text};
use serde_json::Value;

/// What a command that was refused says, which must be on standard error only.
fn refused(output: &Output) -> String {
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{said}");
    said
}

fn fine(output: Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_new_crate_is_formatted_and_passes_its_tests_as_it_is() {
    let folder = Folder::new();
    fine(folder.gateway(&["plugin", "new", "a2-b_c"]));
    let crate_ = folder.enter("a2-b_c").ready_to_build();
    fine(crate_.run("cargo", &["fmt", "--check"]));
    let tested = crate_.run("cargo", &["test"]);
    let warnings = text(&tested.stderr);
    assert!(!warnings.contains("warning"), "{warnings}");
    let said = fine(tested);
    for test in ["greets_who_says_a_name", "greets_who_says_a_name_and_refuses_who_says_none"] {
        assert!(said.contains(&format!("{test} ... ok")), "{said}");
    }
}

#[test]
fn a_new_crate_makes_a_plugin_and_a_route_that_the_gateway_takes() {
    let folder = Folder::new();
    fine(folder.gateway(&["plugin", "new", "hello", "--path", "deep/er"]));
    let crate_ = folder.enter("deep/er/hello").ready_to_build();
    // Flags for the host are not for a component.
    let mut build = crate_.command("gateway", &["plugin", "build"]);
    let said = fine(build.env("RUSTFLAGS", "-C no-such-flag").output().unwrap());
    assert!(said.starts_with("hello.wasm: plugin hello 0.1.0, "), "{said}");
    assert!(said.ends_with(" KiB\n"), "{said}");

    let said = crate_.gateway(&["check"]);
    // The port is whoever's; the plugin and its configuration are what is asked.
    assert!(!text(&said.stderr).contains("plugin"), "{}", text(&said.stderr));

    let found = fine(crate_.gateway(&["plugin", "inspect", "hello.wasm", "--json"]));
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["name"], &found["version"]), (&"hello".into(), &"0.1.0".into()));
    assert_eq!(found["config_schema"]["properties"]["greeting"]["default"], "hello");
    assert_eq!(found["grants"].as_array().map(Vec::len), Some(0));
    assert_eq!(found["size"]["debug"], 0);
    let bare = found["size"]["names"].as_u64().unwrap();

    let arguments = ["plugin", "build", "--debug-names", "--output", "named.wasm"];
    let said = fine(crate_.gateway(&arguments));
    assert!(said.starts_with("named.wasm: ") && said.contains("of it names"), "{said}");
    let found = fine(crate_.gateway(&["plugin", "inspect", "named.wasm", "--json"]));
    let found: Value = serde_json::from_str(&found).unwrap();
    assert!(found["size"]["names"].as_u64().unwrap() > 2 * bare, "{found}");
    assert_eq!(found["size"]["debug"], 0);

    // A core module that something else has compiled is made a component.
    let old = ["build", "--release", "--target", "wasm32-wasip1", "--target-dir", "old"];
    fine(crate_.run("cargo", &old));
    let module = "old/wasm32-wasip1/release/hello.wasm";
    let said = fine(crate_.gateway(&["plugin", "build", module, "--output", "adapted.wasm"]));
    assert!(said.starts_with("adapted.wasm: plugin hello 0.1.0, "), "{said}");
    let adapted = std::fs::read(crate_.path().join("adapted.wasm")).unwrap();
    assert!(adapted.starts_with(b"\0asm\x0d\0\x01\0"));
    let said = refused(&crate_.gateway(&["plugin", "build", "Cargo.toml"]));
    assert!(said.contains("`Cargo.toml` is not WebAssembly"), "{said}");
}

#[test]
fn a_crate_can_use_the_sdk_of_a_folder() {
    let folder = Folder::new();
    let root = repository();
    let said = refused(&folder.gateway(&["plugin", "new", "x", "--sdk", root.to_str().unwrap()]));
    assert!(said.contains("is not the folder of the SDK\nhelp: write `--sdk "), "{said}");
    assert_eq!(folder.names(), [""; 0]);

    let sdk = root.join("plugin-sdk");
    fine(folder.gateway(&["plugin", "new", "x", "--sdk", sdk.to_str().unwrap()]));
    let crate_ = folder.enter("x").ready_to_build();
    assert!(!crate_.names().contains(&"gateway-plugin-sdk".to_owned()));
    let manifest = std::fs::read_to_string(crate_.path().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let path = manifest["dependencies"]["gateway-plugin-sdk"]["path"].as_str().unwrap();
    assert!(Path::new(path).is_relative(), "{path}");
    let found = crate_.path().canonicalize().unwrap().join(path).canonicalize().unwrap();
    assert_eq!(found, sdk.canonicalize().unwrap());
    // Of one platform: what only others need may never have been fetched.
    let platform = ["--filter-platform", "wasm32-wasip2"];
    fine(crate_.run("cargo", &[&["metadata", "--format-version", "1"], &platform[..]].concat()));
}

#[test]
fn new_takes_no_folder_that_has_something_in_it_and_leaves_nothing_else() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("full/inside")).unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("file"), "mine").unwrap();
    for name in ["full", "file"] {
        let said = refused(&folder.gateway(&["plugin", "new", name]));
        assert!(said.contains(&format!("{name}` is there already")), "{said}");
    }
    let said = refused(&folder.gateway(&["plugin", "new", "x", "--path", "file"]));
    assert!(said.contains("`file` cannot be made"), "{said}");
    fine(folder.gateway(&["plugin", "new", "empty"]));
    assert_eq!(folder.names(), ["empty", "file", "full"]);
    assert_eq!(folder.enter("full").names(), ["inside"]);
    assert!(folder.enter("empty").names().contains(&"gateway.toml".to_owned()));

    let said = folder.gateway(&["plugin", "new", "Fn"]);
    assert_eq!(said.status.code(), Some(2), "a usage error");
    assert!(text(&said.stderr).contains("begins with a lower-case letter"));
}

#[test]
fn build_says_what_is_missing_and_what_to_do() {
    let folder = Folder::new();
    let said = refused(&folder.gateway(&["plugin", "build"]));
    assert!(
        said.contains("there is no Cargo.toml in it\nhelp: `gateway plugin new NAME`"),
        "{said}"
    );

    fine(folder.gateway(&["plugin", "new", "x"]));
    let crate_ = folder.enter("x");
    let said =
        refused(&crate_.command("gateway", &["plugin", "build"]).env("PATH", "").output().unwrap());
    assert!(said.contains("cargo is not on the PATH\nhelp: install Rust"), "{said}");

    // A toolchain without the target, and a rustup that cannot add it.
    let bin = crate_.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    script(&bin.join("rustup"), "exit 1");
    script(&bin.join("rustc"), "echo /nowhere");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut build = crate_.command("gateway", &["plugin", "build"]);
    let said = refused(&build.env("PATH", path).env("RUSTC", bin.join("rustc")).output().unwrap());
    assert!(said.contains("no target wasm32-wasip2"), "{said}");
    assert!(said.contains("help: run `rustup target add wasm32-wasip2`"), "{said}");

    let manifest = crate_.path().join("Cargo.toml");
    let written = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, written.replace("\"cdylib\", ", "")).unwrap();
    let said = refused(&crate_.gateway(&["plugin", "build"]));
    assert!(said.contains("makes no component\nhelp: write `crate-type = "), "{said}");

    std::fs::write(&manifest, "[workspace]\nmembers = [\"bin\"]\n").unwrap();
    std::fs::write(bin.join("Cargo.toml"), "[package]\nname = \"inner\"\n[lib]\npath = \"l.rs\"\n")
        .unwrap();
    let said = refused(&crate_.gateway(&["plugin", "build"]));
    assert!(said.contains("is a workspace and no crate\nhelp: name the folder"), "{said}");
    assert!(said.contains("inner"), "{said}");
}

fn script(path: &Path, line: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_component_that_does_not_build_leaves_the_one_before() {
    let folder = Folder::new();
    fine(folder.gateway(&["plugin", "new", "hello"]));
    let crate_ = folder.enter("hello").ready_to_build();
    std::fs::write(crate_.path().join("hello.wasm"), "before").unwrap();
    std::fs::write(crate_.path().join("src/lib.rs"), "fn broken(").unwrap();
    let said = refused(&crate_.gateway(&["plugin", "build"]));
    assert!(said.contains("unclosed delimiter"), "cargo's own words: {said}");
    assert!(said.ends_with("error: cargo failed; the reason is above\n"), "{said}");

    // What compiles and is no plugin is refused as well.
    std::fs::write(crate_.path().join("src/lib.rs"), "").unwrap();
    let said = refused(&crate_.gateway(&["plugin", "build"]));
    assert!(said.contains("not `gateway:plugin/hooks@0.1.0`"), "{said}");
    assert!(said.contains("help: register the plugin with `register_plugin!`"), "{said}");
    assert_eq!(std::fs::read(crate_.path().join("hello.wasm")).unwrap(), b"before");
}

#[test]
fn inspect_shows_first_party_plugins_by_name() {
    let folder = Folder::new();
    let said = fine(folder.gateway(&["plugin", "inspect", "rate-limit"]));
    for line in [
        "plugin rate-limit 0.1.0\n",
        "gateway-plugin-sdk 0.1.0, for gateway:plugin 0.1.0\n",
        "  limiter     must be granted: \"limiter\"\n              take, reserve, reserve-sliding, settle, check-time-zone\n",
        "  log         always there\n",
        "  in a configuration: grants = [\"limiter\", \"slots\"]\n",
        "  describe, configure, on-request,\n",
        "  policies: list of table (1 to 16 entries), optional\n",
        "      limit: integer (0 to 999999999999999) or \"unlimited\", optional\n",
        "  dry_run: boolean, default false\n",
    ] {
        assert!(said.contains(line), "{line}:\n{said}");
    }

    let found = fine(folder.gateway(&["plugin", "inspect", "auth", "--json"]));
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["grants"], serde_json::json!(["signature", "password"]));
    assert_eq!(found["interface"], "gateway:plugin@0.1.0");
    let size = |part: &str| found["size"][part].as_u64().unwrap();
    assert!(size("code") > size("total") / 2, "{found}");
    assert!(size("code") + size("data") + size("names") < size("total"));
    assert!(found["compile_ms"].is_u64() && found["compiled_size"].as_u64() > Some(size("code")));
    assert_eq!(found["config_schema"]["type"], "object");
}

#[test]
fn inspect_asks_a_plugin_what_a_configuration_means() {
    let folder = Folder::new();
    let inspect = |config: &str, more: &[&str]| {
        let arguments = ["plugin", "inspect", "rate-limit", "--config", config];
        folder.gateway(&[&arguments, more].concat())
    };
    let policy = r#"{ "name": "a", "limit": 1, "window": "1s", "key": ["header:X-Key"] }"#;
    let config = format!(r#"{{ "policies": [{policy}] }}"#);
    let said = fine(inspect(&config, &[]));
    assert!(said.contains("called in:\n  on-request        field x-key\n\nimports:"), "{said}");
    let found: Value = serde_json::from_str(&fine(inspect(&config, &["--json"]))).unwrap();
    let hooks = serde_json::json!([{ "hook": "on-request", "with": ["field x-key"] }]);
    assert_eq!(found["hooks"], hooks);
    assert_eq!(found["without_a_call"], serde_json::json!({}));

    let config = r#"{ "response": { "headers": { "set": { "x-a": "1" }, "remove": ["x-b"] } } }"#;
    let transform = |more: &[&str]| {
        let arguments = ["plugin", "inspect", "transform", "--config", config];
        fine(folder.gateway(&[&arguments, more].concat()))
    };
    let said = transform(&[]);
    let expected = "called in:\n  none\n\nwhat the gateway does for it without a call:\n  \
                    every-response    remove x-b, set x-a\n\nimports:";
    assert!(said.contains(expected), "{said}");
    let found: Value = serde_json::from_str(&transform(&["--json"])).unwrap();
    assert_eq!(found["hooks"], serde_json::json!([]));
    let done = serde_json::json!({ "every-response": ["remove x-b", "set x-a"] });
    assert_eq!(found["without_a_call"], done);
}

#[test]
fn inspect_says_what_is_wrong_with_a_configuration() {
    let folder = Folder::new();
    let inspect = |config: &str| {
        let arguments = ["plugin", "inspect", "rate-limit", "--config", config];
        folder.gateway(&arguments)
    };
    let policy = r#"{ "name": "a", "limit": 1, "window": "soon", "key": ["header:X-Key"] }"#;
    let said = refused(&inspect(&format!(r#"{{ "policies": [{policy}] }}"#)));
    assert!(said.starts_with("error: `policies[0].window` is neither a duration "), "{said}");
    let said = inspect("[]");
    assert_eq!(said.status.code(), Some(2), "a usage error");
    assert!(text(&said.stderr).contains("a configuration is a JSON object"));
}

#[test]
fn inspect_says_what_a_file_is_that_is_no_plugin() {
    let folder = Folder::new();
    for (bytes, said) in [
        (&b""[..], "is empty"),
        (b"hello", "is not WebAssembly"),
        (b"\n(component)", "is the text format of WebAssembly, not a binary"),
        (
            b"\0asm\x01\0\0\0",
            "is a core WebAssembly module, not a component\nhelp: `gateway plugin build`",
        ),
        (b"\0asm\x0d\0\x01\0", "it is no plugin: it exports nothing, not"),
        (b"\0asm\x0d\0\x01\0\x07", "is not valid"),
    ] {
        std::fs::write(folder.path().join("x.wasm"), bytes).unwrap();
        let told = refused(&folder.gateway(&["plugin", "inspect", "x.wasm"]));
        assert!(told.starts_with("error: ") && told.contains(said), "{said}: {told}");
    }
    let told = refused(&folder.gateway(&["plugin", "inspect", "rate-limits"]));
    assert!(
        told.contains("no file `rate-limits`\nhelp: the first-party plugins are a2a, auth, "),
        "{told}"
    );
    let told = refused(&folder.gateway(&["--log-format", "json", "plugin", "inspect", "x.wasm"]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["severity"], "error");
}

#[test]
fn wit_writes_the_interface_and_never_over_other_files() {
    let folder = Folder::new();
    let ours = repository().join("wit");
    let files = std::fs::read_dir(&ours).unwrap().count();
    let said = fine(folder.gateway(&["plugin", "wit"]));
    assert_eq!(said, format!("wit: {files} files of gateway:plugin 0.1.0\n"));
    for entry in std::fs::read_dir(&ours).unwrap() {
        let name = entry.unwrap().file_name();
        let (theirs, ours) = (folder.path().join("wit").join(&name), ours.join(&name));
        assert_eq!(std::fs::read(theirs).unwrap(), std::fs::read(ours).unwrap(), "{name:?}");
    }
    let (log, types) = (folder.path().join("wit/log.wit"), folder.path().join("wit/types.wit"));
    std::fs::write(&log, "mine").unwrap();
    std::fs::remove_file(&types).unwrap();
    let said = refused(&folder.gateway(&["plugin", "wit"]));
    assert!(
        said.contains("`wit` has other files of these names: log.wit\nhelp: `--force`"),
        "{said}"
    );
    assert!(!types.exists() && std::fs::read(&log).unwrap() == b"mine");
    fine(folder.gateway(&["plugin", "wit", "--force"]));
    assert!(types.exists() && std::fs::read(&log).unwrap() != b"mine");
    fine(folder.gateway(&["plugin", "wit", "other/place"]));
    assert!(folder.path().join("other/place/plugin.wit").exists());
}
