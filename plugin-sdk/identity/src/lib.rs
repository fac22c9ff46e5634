//! For plugins that authenticate: verification of JSON Web Tokens, and what follows for a consumer.
//!
//! `auth` and `oidc` are made with it; it is no plugin itself and has no privileges. A plugin that verifies
//! tokens needs the grant `signature`, and `documents` if keys are fetched. [`jwt`] verifies,
//! [`consumer`] turns claims into attributes and fields, [`assertion`] authenticates the gateway to an
//! authorization server, and the rest is what both need: [`json`] that is
//! read in one way only, [`problems`] of a configuration with their places, and [`time`] as it is written there.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_plugin_identity::jwt::{KeySources, Keys, Times, Token, check_audience};
//! use gateway_plugin_identity::problems::{Pointer, Problems};
//! use serde_json::json;
//!
//! // RFC 7515 appendix A.1, as a plugin's `configure` could have read it.
//! let set = json!({ "keys": [{
//!     "kty": "oct",
//!     "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
//! }] });
//! let mut problems = Problems::default();
//! let sources = KeySources {
//!     issuer: "joe",
//!     algorithms: &["HS256".to_owned()],
//!     keys: &[],
//!     jwks: Some(&set),
//!     document: None,
//!     wait: Duration::ZERO,
//! };
//! let keys = Keys::new(sources, &Pointer::default(), &mut problems);
//! problems.finish()?;
//!
//! // Then, for a request:
//! let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0\
//!             dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
//! let token = Token::parse(text.as_bytes()).unwrap();
//! assert_eq!(token.claims["iss"], "joe");
//! assert!(keys.verify(&token.jws).is_ok());
//! let times = Times::new(&token.claims).unwrap();
//! assert_eq!(times.check(1_300_819_300.0, 60.0), Ok(()));
//! assert_eq!(times.check(1_400_000_000.0, 60.0), Err("the token has expired"));
//! let audience = check_audience(&token.claims, &["api".to_owned()], None);
//! assert_eq!(audience, Err("the token has no audience"));
//! # Ok::<(), gateway_plugin_sdk::ConfigError>(())
//! ```

pub mod assertion;
pub mod consumer;
pub mod json;
pub mod jwt;
pub mod problems;
pub mod schema;
pub mod time;
