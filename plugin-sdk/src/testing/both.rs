//! One test for both: a plugin natively, and its component in a gateway.
//!
//! Owns what the two have in common for a test. What only one of them can, such as moving the clock,
//! is in its own type.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::Plugin;
use crate::http_client::HttpError;
use crate::testing::calls::Call;
use crate::testing::exchange::Exchange;
use crate::testing::harness::Harness;
use crate::testing::host::LogLine;
use crate::testing::message::{Answer, RequestBuilder, ResponseBuilder, SentRequest};

/// What runs a plugin for a test: a [`Harness`], natively, or a [`Gateway`](super::Gateway) with the
/// component. [`test_both!`](crate::test_both) runs a test with each.
///
/// ```no_run
/// use gateway_plugin_sdk::testing::{self, Host, HostExchange};
/// use serde_json::json;
///
/// fn refuses_who_says_no_name<H: Host>() {
///     let plugin = H::new(json!({ "header": "x-name" })).unwrap();
///     let exchange = plugin.request(testing::request().path("/hello"));
///     assert_eq!(exchange.answer().unwrap().status(), 400);
/// }
/// ```
pub trait Host: Sized {
    /// An exchange that was sent through the plugin.
    type Exchange<'a>: HostExchange
    where
        Self: 'a;

    /// Configures the plugin, which is granted nothing that a configuration has to name.
    ///
    /// # Errors
    /// What is wrong with the configuration, in the words of the plugin or the gateway.
    fn new(config: impl Serialize) -> Result<Self, String> {
        Self::with(Grants::new(), config)
    }

    /// Configures the plugin, with what it is granted.
    ///
    /// # Errors
    /// What is wrong with the configuration, in the words of the plugin or the gateway.
    fn with(grants: Grants, config: impl Serialize) -> Result<Self, String>;

    /// Sends a request through the plugin.
    fn request(&self, request: RequestBuilder) -> Self::Exchange<'_>;

    /// The requests that the plugin sent to upstreams by itself, in order.
    fn calls(&self) -> Vec<Call>;

    /// What the plugin logged since it was configured.
    fn log(&self) -> Vec<LogLine>;
}

/// An exchange of a [`Host`].
pub trait HostExchange {
    /// The request as the plugin left it, which is what the upstream gets.
    ///
    /// # Panics
    /// If it got as far as no upstream.
    fn request(&self) -> &SentRequest;

    /// The answer, once there is one: the plugin's own, or the upstream's as the plugin left it.
    fn answer(&self) -> Option<&Answer>;

    /// Lets the upstream answer. Returns what comes out for the client.
    ///
    /// # Panics
    /// If the request got as far as no upstream, or the plugin fails the exchange.
    fn response(&mut self, response: ResponseBuilder) -> &Answer;
}

pub(crate) type Answering = Arc<dyn Fn(&Call) -> Result<ResponseBuilder, HttpError> + Send + Sync>;

/// What a plugin is granted by name.
#[derive(Clone, Default)]
pub struct Grants {
    pub(crate) interfaces: Vec<String>,
    pub(crate) secrets: Vec<(String, String)>,
    pub(crate) documents: Vec<(String, Vec<u8>)>,
    pub(crate) upstreams: Vec<(String, Answering)>,
}

impl Grants {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A host interface, as `grants` in the configuration names it: `key-value`, say. Natively all
    /// are there.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces.push(name.into());
        self
    }

    /// A secret.
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secrets.push((name.into(), value.into()));
        self
    }

    /// A document with this content, which in a gateway is a file.
    pub fn document(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.documents.push((name.into(), content.into()));
        self
    }

    /// An upstream, and how it answers each request that the plugin sends to it. In a gateway any
    /// error is [`HttpError::Protocol`]. A request that the plugin sends on to this upstream
    /// waits for the test's [`response`](HostExchange::response), as any does.
    pub fn upstream(
        mut self,
        name: impl Into<String>,
        answer: impl Fn(&Call) -> Result<ResponseBuilder, HttpError> + Send + Sync + 'static,
    ) -> Self {
        self.upstreams.push((name.into(), Arc::new(answer)));
        self
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<_> = self.secrets.iter().map(|(name, _)| name).collect();
        let upstreams: Vec<_> = self.upstreams.iter().map(|(name, _)| name).collect();
        let mut told = formatter.debug_struct("Grants");
        told.field("interfaces", &self.interfaces);
        let documents: Vec<_> = self.documents.iter().map(|(name, _)| name).collect();
        told.field("secrets", &secrets)
            .field("documents", &documents)
            .field("upstreams", &upstreams)
            .finish()
    }
}

impl<P: Plugin> Host for Harness<P> {
    type Exchange<'a>
        = Exchange<'a, P>
    where
        P: 'a;

    fn with(grants: Grants, config: impl Serialize) -> Result<Self, String> {
        let mut preparation = Self::prepare();
        for (name, value) in grants.secrets {
            preparation = preparation.secret(name, value);
        }
        for (name, content) in grants.documents {
            preparation = preparation.document(name, content);
        }
        for (name, answer) in grants.upstreams {
            preparation = preparation.upstream(name, move |call| answer(call));
        }
        preparation.configure(config).map_err(|error| error.to_string())
    }

    fn request(&self, request: RequestBuilder) -> Exchange<'_, P> {
        Self::request(self, request)
    }

    fn calls(&self) -> Vec<Call> {
        Self::calls(self)
    }

    fn log(&self) -> Vec<LogLine> {
        Self::log(self)
    }
}

impl<P: Plugin> HostExchange for Exchange<'_, P> {
    fn request(&self) -> &SentRequest {
        Self::request(self)
    }

    fn answer(&self) -> Option<&Answer> {
        Self::answer(self)
    }

    fn response(&mut self, response: ResponseBuilder) -> &Answer {
        Self::response(self, response)
    }
}

/// Makes two tests of each generic one: `natively::NAME`, with a
/// [`Harness`](crate::testing::Harness) of the plugin, and `in_a_gateway::NAME`, with a
/// [`Gateway`](crate::testing::Gateway) that runs the crate's component. Once in a module.
///
/// ```no_run
/// # use gateway_plugin_sdk::prelude::*;
/// # struct Open;
/// # impl Plugin for Open {
/// #     type Config = NoConfig;
/// #     type Context = ();
/// #     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
/// #         Ok(Self)
/// #     }
/// #     fn interest(&self) -> Interest {
/// #         Interest::on_request()
/// #     }
/// # }
/// use gateway_plugin_sdk::testing::{self, Host, HostExchange};
///
/// gateway_plugin_sdk::test_both!(Open: lets_all_through);
///
/// fn lets_all_through<H: Host>() {
///     let plugin = H::new(serde_json::json!({})).unwrap();
///     let mut exchange = plugin.request(testing::request());
///     assert_eq!(exchange.response(testing::response()).status(), 200);
/// }
/// ```
#[macro_export]
macro_rules! test_both {
    ($plugin:ty: $($test:ident),+ $(,)?) => {
        mod natively {
            #[allow(unused_imports, reason = "the plugin's type may be written as a whole path")]
            use super::*;
            $(
                #[test]
                fn $test() {
                    super::$test::<$crate::testing::Harness<$plugin>>();
                }
            )+
        }

        mod in_a_gateway {
            $(
                #[test]
                fn $test() {
                    super::$test::<$crate::testing::Gateway>();
                }
            )+
        }
    };
}
