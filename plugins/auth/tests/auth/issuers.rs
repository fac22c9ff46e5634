//! Tokens and key sets in the shapes that real issuers give them.

use auth::Auth;
use gateway_plugin_sdk::testing::{Exchange, Harness};
use serde_json::{Value, json};

use crate::issuer::{NOW, Signer};
use crate::jwt::bearing;
use crate::{assert_admitted, assert_refused};

const INVALID: &str = "Bearer realm=\"api\", error=\"invalid_token\"";

/// An issuer as its manual and its tokens say it is.
struct Shape {
    issuer: &'static str,
    /// Beside what identifies it.
    settings: Value,
    /// Members of its keys besides those that make them.
    key: Value,
    header: Value,
    claims: Value,
}

impl Shape {
    fn plugin(&self, signer: &Signer, others: &[Value]) -> Harness<Auth> {
        let mut key = signer.jwk();
        key.as_object_mut().unwrap().extend(self.key.as_object().unwrap().clone());
        let keys = others.iter().cloned().chain([key]).collect::<Vec<_>>();
        let mut config = json!({ "jwt": { "issuers": [{
            "issuer": self.issuer, "audiences": ["api"], "algorithms": [signer.algorithm()],
            "document": "keys",
        }] } });
        for (name, value) in self.settings.as_object().unwrap() {
            match name.as_str() {
                "audience_claim" => config["jwt"]["issuers"][0][name] = value.clone(),
                "scope_claims" => config["jwt"][name] = value.clone(),
                _ => config[name] = value.clone(),
            }
        }
        let set = json!({ "keys": keys }).to_string();
        Harness::<Auth>::prepare().document("keys", set).configure(config).unwrap()
    }

    fn token(&self, signer: &Signer) -> String {
        let mut claims = json!({ "iss": self.issuer, "exp": NOW + 600, "iat": NOW - 5 });
        claims.as_object_mut().unwrap().extend(self.claims.as_object().unwrap().clone());
        let mut header = json!({ "alg": signer.algorithm() });
        header.as_object_mut().unwrap().extend(self.header.as_object().unwrap().clone());
        signer.token_with(&header, &claims)
    }
}

fn scopes(exchange: &Exchange<'_, Auth>) -> String {
    exchange.attribute("consumer.scopes").unwrap_or_default()
}

#[test]
fn admits_the_tokens_of_real_issuers() {
    let none = || json!({});
    let shapes = [
        (
            "Entra ID",
            Shape {
                issuer: "https://login.microsoftonline.com/72f988bf/v2.0",
                settings: json!({ "scope_claims": ["scp", "roles"] }),
                key: json!({ "use": "sig", "kid": "k", "x5t": "k", "x5c": ["MIIC"], "issuer": "x" }),
                header: json!({ "typ": "JWT", "kid": "k", "x5t": "k" }),
                claims: json!({ "aud": "api", "sub": "s", "scp": "read write", "roles": ["Admin"], "ver": "2.0", "aio": "x" }),
            },
            "read write Admin",
        ),
        (
            "Okta",
            Shape {
                issuer: "https://example.okta.com/oauth2/default",
                settings: none(),
                key: json!({ "alg": "RS256", "use": "sig", "kid": "k" }),
                header: json!({ "kid": "k" }),
                claims: json!({ "aud": "api", "sub": "s", "scp": ["read", "write"], "cid": "0oa" }),
            },
            "read write",
        ),
        (
            "Auth0",
            Shape {
                issuer: "https://example.eu.auth0.com/",
                settings: json!({ "scope_claims": ["scope", "permissions"] }),
                key: json!({ "alg": "RS256", "use": "sig", "kid": "k", "x5c": ["MIIC"], "x5t": "k" }),
                header: json!({ "typ": "at+jwt", "kid": "k" }),
                claims: json!({ "aud": ["api", "https://example.eu.auth0.com/userinfo"], "sub": "s", "scope": "openid", "permissions": ["read"] }),
            },
            "openid read",
        ),
        (
            "Keycloak",
            Shape {
                issuer: "https://id.example/realms/staff",
                settings: json!({ "scope_claims": ["scope", "/realm_access/roles", "/resource_access/api/roles"] }),
                key: json!({ "alg": "RS256", "use": "sig", "kid": "k" }),
                header: json!({ "typ": "JWT", "kid": "k" }),
                claims: json!({
                    "aud": ["account", "api"], "sub": "s", "typ": "Bearer", "scope": "profile",
                    "realm_access": { "roles": ["staff"] }, "resource_access": { "api": { "roles": ["edit"] } },
                }),
            },
            "profile staff edit",
        ),
        (
            "Cognito",
            Shape {
                issuer: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_x",
                settings: json!({ "audience_claim": "client_id", "require": { "claims": { "token_use": ["access"] } } }),
                key: json!({ "alg": "RS256", "use": "sig", "kid": "k" }),
                header: json!({ "kid": "k" }),
                claims: json!({ "client_id": "api", "sub": "s", "token_use": "access", "scope": "read", "cognito:groups": ["g"] }),
            },
            "read",
        ),
        (
            "Google",
            Shape {
                issuer: "https://accounts.google.com",
                settings: none(),
                key: json!({ "alg": "RS256", "use": "sig", "kid": "k" }),
                header: json!({ "typ": "JWT", "kid": "k" }),
                claims: json!({ "aud": "api", "azp": "api", "sub": "s", "email_verified": true }),
            },
            "",
        ),
        (
            "GitHub Actions",
            Shape {
                issuer: "https://token.actions.githubusercontent.com",
                settings: json!({ "require": { "claims": { "repository": ["octo/app"] } } }),
                key: json!({ "alg": "RS256", "use": "sig", "kid": "k", "x5c": ["MIIC"] }),
                header: json!({ "typ": "JWT", "x5t": "k", "kid": "k" }),
                claims: json!({ "aud": "api", "sub": "s", "repository": "octo/app", "ref": "refs/heads/main", "run_attempt": "1" }),
            },
            "",
        ),
        (
            "Kubernetes",
            Shape {
                issuer: "https://kubernetes.default.svc.cluster.local",
                settings: json!({ "claims_to_attributes": ["/kubernetes.io/namespace"] }),
                key: json!({ "alg": "RS256", "use": "sig", "kid": "k" }),
                header: json!({ "kid": "k" }),
                claims: json!({ "aud": ["api"], "sub": "s", "kubernetes.io": { "namespace": "shop", "pod": { "name": "p" } } }),
            },
            "",
        ),
    ];
    let signer = Signer::new("RS256");
    let other = Signer::new("RS256");
    let mut encrypting = other.jwk();
    (encrypting["use"], encrypting["kid"]) = ("enc".into(), "e".into());
    for (name, shape, expected) in shapes {
        let plugin = shape.plugin(&signer, std::slice::from_ref(&encrypting));
        let exchange = plugin.request(bearing(&shape.token(&signer)));
        assert_admitted(&exchange, "s");
        assert_eq!(scopes(&exchange), expected, "{name}");
        if name == "Kubernetes" {
            let namespace = exchange.attribute("consumer.claim.kubernetes.io.namespace");
            assert_eq!(namespace.as_deref(), Some("shop"));
        }
        assert_refused(&plugin.request(bearing(&shape.token(&other))), 401, &[INVALID]);
    }
}
