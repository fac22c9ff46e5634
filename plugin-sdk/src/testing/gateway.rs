//! The plugin as a component, in a gateway that runs for the test.
//!
//! Owns the gateway's configuration and the order in which a request comes to the upstream and its
//! answer to the client. It knows the gateway only as a program.

mod configuration;
mod exchange;
mod http1;
mod process;
mod upstream;

use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::Value;

use crate::testing::both::{Grants, Host};
use crate::testing::calls::Call;
use crate::testing::host::LogLine;
use crate::testing::message::{self, RequestBuilder};
use configuration::Configuration;
pub use exchange::GatewayExchange;
use process::Process;
use upstream::{Arrivals, lock};

/// A gateway that runs a component behind one route to an upstream of the test, until it is
/// dropped.
///
/// The gateway is `gateway` on the `PATH`, or the file that the variable `GATEWAY` names. The
/// component is that of the crate whose tests run, which is compiled first; or another, by
/// [`Gateway::builder`]. What the gateway logs is shown with a test that fails.
///
/// ```no_run
/// use gateway_plugin_sdk::testing::{self, Gateway};
/// use serde_json::json;
///
/// let plugin = Gateway::new(json!({ "header": "x-name" })).unwrap();
/// let mut exchange = plugin.request(testing::request().path("/hello").header("x-name", "Ada"));
/// assert_eq!(exchange.request().header("x-greeting"), Some("hello Ada"));
/// let answer = exchange.response(testing::response().status(200).body("hi"));
/// assert_eq!(answer.status(), 200);
/// ```
pub struct Gateway {
    process: Process,
    arrivals: Arc<Arrivals>,
    /// Held from the moment that a request is sent until it has come to the upstream or back: which
    /// exchange it belongs to is known by that.
    turn: Mutex<()>,
}

/// A [`Gateway`] in the making.
#[derive(Debug, Default)]
pub struct GatewayBuilder {
    program: Option<OsString>,
    component: Option<String>,
    grants: Grants,
    settings: Vec<(String, Value)>,
}

impl GatewayBuilder {
    /// The file of the gateway. Default: what the variable `GATEWAY` names, or else `gateway`.
    pub fn program(mut self, file: impl Into<OsString>) -> Self {
        self.program = Some(file.into());
        self
    }

    /// The component: a file, or the name of a first-party plugin. Default: that of the crate
    /// whose tests run, compiled by `gateway plugin build`.
    pub fn component(mut self, component: impl Into<String>) -> Self {
        self.component = Some(component.into());
        self
    }

    /// Host interfaces, secrets, and upstreams that the plugin may send requests to.
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Another key of the plugin's table, such as `limits` or `on_error`.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn setting(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("the setting is a value of JSON");
        self.settings.push((key.into(), value));
        self
    }

    /// Starts the gateway, with this configuration of the plugin.
    ///
    /// # Errors
    /// What the gateway says is wrong with it; also that the gateway cannot be run, or that the
    /// component does not build.
    ///
    /// # Panics
    /// If the configuration cannot be written as JSON.
    pub fn configure(self, config: impl Serialize) -> Result<Gateway, String> {
        let config = serde_json::to_value(config).expect("the configuration is a value of JSON");
        let program = self.program.unwrap_or_else(process::program);
        let component = match self.component {
            Some(component) => component,
            None => process::build(&program)?.to_string_lossy().into_owned(),
        };
        let arrivals = Arc::new(Arrivals::default());
        let Grants { interfaces, secrets, documents, upstreams } = self.grants;
        let mut named = Vec::new();
        for (name, answer) in upstreams {
            let address = upstream::listen(&arrivals, Some((name.clone(), answer)));
            named.push((name, address.map_err(|error| error.to_string())?));
        }
        let text = Configuration {
            component: &component,
            config: &config,
            settings: &self.settings,
            interfaces: &interfaces,
            secrets: &secrets,
            documents: &documents,
            upstreams: &named,
            upstream: upstream::listen(&arrivals, None).map_err(|error| error.to_string())?,
        };
        let text = text.written()?;
        let process = Process::start(&program, &text, &secrets, &documents)?;
        Ok(Gateway { process, arrivals, turn: Mutex::default() })
    }
}

impl Gateway {
    /// Runs the component of the crate whose tests run, with this configuration.
    ///
    /// # Errors
    /// As for [`GatewayBuilder::configure`].
    ///
    /// # Panics
    /// If the configuration cannot be written as JSON.
    pub fn new(config: impl Serialize) -> Result<Self, String> {
        Self::builder().configure(config)
    }

    /// A gateway with another component, grants, or other settings.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// Sends a request through the gateway, and waits until it is with the upstream or answered.
    ///
    /// # Panics
    /// If it has attributes that the test gave it: a gateway finds those out by itself. And if
    /// neither comes about.
    pub fn request(&self, request: RequestBuilder) -> GatewayExchange<'_> {
        let usual = message::request().attributes;
        let own = request.attributes.iter().find(|attribute| !usual.contains(attribute));
        assert!(own.is_none(), "a gateway takes no attributes from outside: {own:?}");
        let _turn = lock(&self.turn);
        GatewayExchange::begin(self.process.address, &self.arrivals, request)
    }

    /// The requests that the plugin sent to upstreams by itself, in order.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.arrivals.calls).clone()
    }

    /// What the plugin logged since the gateway runs. The lines of an exchange come shortly after
    /// its answer, or before.
    pub fn log(&self) -> Vec<LogLine> {
        self.process.log()
    }
}

impl Host for Gateway {
    type Exchange<'a> = GatewayExchange<'a>;

    fn with(grants: Grants, config: impl Serialize) -> Result<Self, String> {
        Self::builder().grants(grants).configure(config)
    }

    fn request(&self, request: RequestBuilder) -> GatewayExchange<'_> {
        Self::request(self, request)
    }

    fn calls(&self) -> Vec<Call> {
        Self::calls(self)
    }

    fn log(&self) -> Vec<LogLine> {
        Self::log(self)
    }
}
