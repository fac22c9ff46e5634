//! The files in `examples/`, made ready to run on any machine.
//!
//! Owns what a test may change in one of them: ports, folders and the environment. Everything else
//! runs as it is there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use gateway::config::{self, Config, Known, Source};
use gateway::{first_party, route};
use gateway_tests::{Running, Setup};

/// An example.
pub(crate) struct Example {
    /// Stands for the file's own path: relative paths are resolved against its folder.
    path: PathBuf,
    text: String,
    environment: BTreeMap<String, String>,
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Example {
    /// Reads it; its name is that of its file, without the folder.
    pub(crate) fn read(name: &str) -> Self {
        let path = root().join("examples").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        Self { path, text, environment: BTreeMap::new() }
    }

    /// Puts one text instead of another, which must be there.
    pub(crate) fn with(mut self, old: &str, new: &str) -> Self {
        assert!(self.text.contains(old), "{} has no {old}", self.path.display());
        self.text = self.text.replace(old, new);
        self
    }

    /// Puts another address instead of this port on 127.0.0.1, wherever it is.
    pub(crate) fn at(self, port: u16, address: SocketAddr) -> Self {
        self.with(&format!("127.0.0.1:{port}"), &address.to_string())
    }

    /// Lets the system choose the port of its listener on 8080, and that of `[admin]`.
    pub(crate) fn on_a_free_port(mut self) -> Self {
        self.text = self.text.replace("address = \"127.0.0.1:9090\"", "address = \"127.0.0.1:0\"");
        self.with("address = \"127.0.0.1:8080\"", "address = \"127.0.0.1:0\"")
    }

    /// Sets a variable for `${env:NAME}`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Acts as if the file was in this folder.
    pub(crate) fn inside(mut self, folder: &Path) -> Self {
        self.path = folder.join(self.path.file_name().unwrap());
        self
    }

    /// Lets the plugin be the one that is built here from `examples/plugins/greet`.
    pub(crate) fn with_greet(self) -> Self {
        let component = greet_component().to_str().unwrap().to_owned();
        self.with("../target/wasm32-wasip2/release/greet.wasm", &component)
    }

    /// Lets the component be the one that is built here from `examples/components/hello`.
    pub(crate) fn with_hello(self) -> Self {
        let component = hello_component().to_str().unwrap().to_owned();
        self.with("../target/wasm32-wasip2/release/hello.wasm", &component)
    }

    /// Lets the component be the one that is built here from `examples/components/model-server`.
    pub(crate) fn with_model_server(self) -> Self {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let component = BUILT.get_or_init(|| rust_component("model-server"));
        let component = component.to_str().unwrap();
        self.with("../target/wasm32-wasip2/release/model_server.wasm", component)
    }

    /// Sets the keys of providers, which the example's server does not look at.
    pub(crate) fn with_provider_keys(self) -> Self {
        self.env("OPENAI_API_KEY", "any").env("ANTHROPIC_API_KEY", "any")
    }

    /// Checks it as `gateway check` would: neither errors nor warnings are fine.
    pub(crate) fn load(&self) -> Config {
        let names = first_party::names();
        let environment = |name: &str| self.environment.get(name).map(Into::into);
        let source = Source::new(&self.path, &self.text);
        let known = Known { built_in: &names };
        let loaded = config::read(source, &environment, &known);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(false));
        assert_eq!(route::shadowed(&loaded.config).len(), 0, "{}", self.path.display());
        let mut config = loaded.config;
        // Clients in the same thread cannot say goodbye while a gateway is dropped.
        config.process.shutdown_grace = Duration::from_millis(50);
        config
    }

    /// Writes it into a folder, for a gateway that reads it there.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join(self.path.file_name().unwrap());
        std::fs::write(&file, &self.text).unwrap();
        file
    }

    /// Runs it. Its first listener is `public`.
    pub(crate) fn start(&self) -> Running {
        serve(self.load())
    }
}

/// Runs a configuration.
pub(crate) fn serve(config: Config) -> Running {
    // Loading plugins takes its time, which a thread that runs futures must not spend.
    let started = std::thread::spawn(|| Setup { config }.start()).join();
    started.expect("it starts, or the reason is above")
}

/// The example plugin `examples/plugins/greet` as a component, built once for each test program.
fn greet_component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| rust_component("greet"))
}

/// The example component `examples/components/hello`, built once for each test program.
fn hello_component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| rust_component("hello"))
}

/// One of `examples/plugins` or `examples/components` as a component.
pub(crate) fn rust_component(name: &str) -> PathBuf {
    // Beside the first-party plugins, with which it shares what it is built from.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guests");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet", "--package", name]);
    cargo.args(["--profile", "guest", "--target", "wasm32-wasip2", "--target-dir"]).arg(&target);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // Flags and wrappers that are meant for the tests.
        if text.starts_with("CARGO_") && text != "CARGO_HOME" || text.starts_with("RUSTFLAGS") {
            cargo.env_remove(&name);
        }
    }
    assert!(cargo.status().unwrap().success(), "the example plugin {name} does not build");
    let target = target.canonicalize().unwrap();
    target.join("wasm32-wasip2/guest").join(name.replace('-', "_")).with_extension("wasm")
}
