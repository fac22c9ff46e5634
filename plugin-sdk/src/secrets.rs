//! Secrets of the gateway's configuration, by name. The configured plugin is granted them one by
//! one, by `secrets = ["NAME"]`.
//!
//! A secret is the same for the life of a configured plugin: read it when the plugin is
//! configured, and a reload brings the new one. It never is in `config`, so that no message
//! about the configuration can show it; take care that the plugin's own messages do not either.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::secrets;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Bearer {
//!     authorization: String,
//! }
//!
//! impl Plugin for Bearer {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         let token = secrets::get("token")
//!             .ok_or_else(|| ConfigError::new("needs `secrets = [\"token\"]`"))?;
//!         Ok(Self { authorization: format!("Bearer {token}") })
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request()
//!     }
//!
//!     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
//!         request.set_header("authorization", self.authorization.as_str());
//!         Outcome::Next
//!     }
//! }
//!
//! let harness = Harness::<Bearer>::prepare().secret("token", "s3cret").configure(NoConfig {}).unwrap();
//! let exchange = harness.request(testing::request());
//! assert_eq!(exchange.request().header("authorization"), Some("Bearer s3cret"));
//!
//! assert!(Harness::<Bearer>::from_json("{}").is_err());
//! ```

use crate::host;

/// The secret of this name; `None` if the plugin was not granted it.
pub fn get(name: &str) -> Option<String> {
    host::secret(name)
}
