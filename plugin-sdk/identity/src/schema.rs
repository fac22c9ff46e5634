//! JSON Schemas of the settings that this crate reads.
//!
//! Owns their one text. It is a macro, since what makes schemas is generic code: made in the plugin's own crate,
//! it is there once, together with that of the plugin's other settings.

pub use gateway_plugin_sdk::prelude::JsonSchema;

/// Makes a module with the types `Require` and `KeySpec`, and what is in them, of which only the schemas count:
/// `#[schemars(with = "Option<schema::Require>")]`.
#[macro_export]
macro_rules! schemas {
    ($name:ident) => {
        #[allow(dead_code, reason = "their schemas are used, their values are not")]
        mod $name {
            /// What a consumer must have.
            #[derive($crate::schema::JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub(super) struct Require {
                /// Scopes, all of them.
                #[serde(default)]
                scopes: Vec<String>,

                /// Claims, all of them: each with the values of which it must have one. A claim that is a
                /// list must hold one. Names, or JSON Pointers.
                #[serde(default)]
                #[schemars(with = "std::collections::BTreeMap<String, AtLeastOne<Scalar>>")]
                claims: std::collections::BTreeMap<String, Vec<Scalar>>,
            }

            /// A value that a claim may have to have.
            #[derive($crate::schema::JsonSchema)]
            #[serde(untagged)]
            pub(super) enum Scalar {
                /// `true` or `false`
                Flag(bool),
                /// A whole number.
                Number(i64),
                /// A text.
                Text(String),
            }

            /// A list that is not empty.
            #[derive($crate::schema::JsonSchema)]
            #[schemars(inline)]
            pub(super) struct AtLeastOne<T>(#[schemars(length(min = 1))] Vec<T>);

            /// A key with which an issuer's signatures are verified: one of `pem`, `jwk` and `secret`.
            #[derive($crate::schema::JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub(super) struct KeySpec {
                /// The name of the key (`kid`), of one key for each algorithm. A key without one serves tokens
                /// whose `kid` no other key has.
                #[serde(default)]
                kid: Option<String>,

                /// The one algorithm of the key.
                #[schemars(with = "AlgorithmName")]
                algorithm: String,

                /// A public key as PEM: `PUBLIC KEY`, `RSA PUBLIC KEY`, or a `CERTIFICATE`, of which only the key
                /// counts.
                #[serde(default)]
                pem: Option<String>,

                /// A JSON Web Key (RFC 7517): its text or a table.
                #[serde(default)]
                #[schemars(with = "Option<TextOrTable>")]
                jwk: Option<serde_json::Value>,

                /// A shared secret, for `HS256`, `HS384` and `HS512`: the bytes of the text, at least as
                /// many as the digest has. Bytes that are no text go into a `jwk` of the type `oct`.
                #[serde(default)]
                secret: Option<String>,
            }

            /// An algorithm that signs tokens, by its name in RFC 7518, RFC 8037, RFC 8812 or RFC 9864.
            #[derive($crate::schema::JsonSchema)]
            pub(super) enum AlgorithmName {
                HS256,
                HS384,
                HS512,
                RS256,
                RS384,
                RS512,
                PS256,
                PS384,
                PS512,
                ES256,
                ES384,
                ES512,
                ES256K,
                EdDSA,
                Ed25519,
            }

            /// A JSON document: its text, or a table.
            #[derive($crate::schema::JsonSchema)]
            #[serde(untagged)]
            pub(super) enum TextOrTable {
                /// Its text.
                Text(String),
                /// A table.
                Table(serde_json::Map<String, serde_json::Value>),
            }
        }
    };
}
