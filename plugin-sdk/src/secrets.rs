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
use crate::signature::Algorithm;

/// The secret of this name; `None` if the plugin was not granted it.
pub fn get(name: &str) -> Option<String> {
    host::secret(name)
}

/// Signs a message with a secret that is a private key in PEM, which stays in the gateway: `PRIVATE KEY`
/// (PKCS #8), `RSA PRIVATE KEY` or `EC PRIVATE KEY`. Signatures of ECDSA are r and s (RFC 7518 section 3.4).
///
/// A signature by an RSA key takes the worker about a millisecond, one on a curve a twentieth of that.
///
/// # Errors
/// If the plugin was not granted the secret, if it is no such key, or if the algorithm does not sign with one:
/// all but those with a shared secret and `ES256K` do. The text never repeats the key.
pub fn sign(name: &str, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
    host::sign(name, algorithm.name(), message).map_err(SignError)
}

/// Why a message was not signed. Never repeats the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignError(String);

#[cfg(all(test, not(target_family = "wasm")))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::signature::VerifyingKey;
    use crate::testing::Harness;
    use crate::{Interest, NoConfig, Plugin};

    struct Nothing;

    impl Plugin for Nothing {
        type Config = NoConfig;
        type Context = ();

        fn configure(_: NoConfig) -> Result<Self, crate::ConfigError> {
            for (name, pem, algorithms) in keys() {
                let public = openssl(&["pkey", "-pubout"], &pem);
                for algorithm in algorithms.iter().copied() {
                    let signature = sign(&name, algorithm, b"message")
                        .unwrap_or_else(|error| panic!("{name} {algorithm}: {error}"));
                    let key = VerifyingKey::from_pem(algorithm, &public).unwrap();
                    assert!(key.verify(b"message", &signature), "{name} {algorithm}");
                    assert!(!key.verify(b"massage", &signature), "{name} {algorithm}");
                }
                for other in Algorithm::ALL.into_iter().filter(|it| !algorithms.contains(it)) {
                    let error = sign(&name, other, b"").expect_err("it does not fit");
                    assert!(!error.to_string().contains(&pem[40..60]), "{error}");
                }
            }
            assert!(
                sign("joined", Algorithm::Es256, b"message").is_ok(),
                "lines that lost their ends"
            );
            let refused = |name| sign(name, Algorithm::Es256, b"").unwrap_err().to_string();
            assert!(refused("missing").contains("not granted"));
            assert!(refused("text").contains("no PEM of a private key"));
            assert!(refused("encrypted").contains("`openssl pkey"));
            assert!(refused("public").contains("cannot sign"));
            Ok(Self)
        }

        fn interest(&self) -> Interest {
            Interest::on_request()
        }
    }

    fn openssl(arguments: &[&str], input: &str) -> String {
        use std::io::Write as _;
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl runs");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    /// Keys as `openssl` writes them, with the algorithms that they fit.
    fn keys() -> Vec<(String, String, Vec<Algorithm>)> {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        thread_local! {
            static KEYS: Vec<(String, String, Vec<Algorithm>)> = {
                let rsa = openssl(&["genrsa", "2048"], "");
                let ec = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "");
                let p384 = openssl(&["ecparam", "-name", "secp384r1", "-genkey"], "");
                let ed = openssl(&["genpkey", "-algorithm", "ed25519"], "");
                let all_rsa = vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512];
                vec![
                    ("rsa-1".to_owned(), openssl(&["rsa", "-traditional"], &rsa), all_rsa.clone()),
                    ("rsa-8".to_owned(), rsa, all_rsa),
                    ("ec-1".to_owned(), openssl(&["ec"], &ec), vec![Es256]),
                    ("ec-8".to_owned(), ec, vec![Es256]),
                    ("p384".to_owned(), p384, vec![Es384]),
                    ("ed".to_owned(), ed, vec![EdDsa]),
                ]
            };
        }
        KEYS.with(Clone::clone)
    }

    #[test]
    fn signs_with_each_kind_of_key_as_openssl_writes_it() {
        let mut prepared = Harness::<Nothing>::prepare().secret("text", "s3cret");
        let ec = keys().into_iter().find(|(name, ..)| name == "ec-8").unwrap().1;
        let encrypted = openssl(&["pkcs8", "-topk8", "-passout", "pass:x"], &ec);
        prepared = prepared.secret("encrypted", encrypted).secret("joined", ec.replace('\n', " "));
        prepared = prepared.secret("public", openssl(&["pkey", "-pubout"], &ec));
        for (name, pem, _) in keys() {
            prepared = prepared.secret(name, pem);
        }
        prepared.configure(NoConfig {}).expect("all is signed");
    }
}
