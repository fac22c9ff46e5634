//! The recipes in the READMEs of `auth` and `http-signature`, each as a configuration that would be served.

use std::fs;

use gateway::config::{self, Known, Source};
use gateway::{BindError, Gateway, first_party};
use serde_json::json;

use crate::documents::issuer::Signer;

/// What a recipe leaves out: who is served, and where the service is.
fn whole(recipe: &str, component: &str) -> String {
    let mut text = recipe.to_owned();
    let plugin = recipe.lines().find_map(|line| {
        let rest = line.trim_start_matches('[').strip_prefix("plugins.")?;
        Some(rest.split(['.', ']']).next()?.to_owned())
    });
    let plugin = plugin.unwrap_or_else(|| panic!("{recipe} configures a plugin"));
    if !recipe.contains("component = ") {
        text += &format!("\n[plugins.{plugin}]\ncomponent = \"{component}\"\n");
    }
    if !recipe.contains("[[routes]]") {
        text += &format!(
            "\n[[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"{plugin}\"]\nrespond = {{}}\n"
        );
    }
    text += "\n[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n";
    if recipe.contains("upstream = \"orders\"") {
        text += "\n[upstreams.orders]\ntargets = [\"http://127.0.0.1:1\"]\n";
    }
    text
}

#[test]
fn each_recipe_is_a_configuration_that_would_be_served() {
    check("auth", include_str!("../../../../plugins/auth/README.md"), 7);
    check("http-signature", include_str!("../../../../plugins/http-signature/README.md"), 5);
}

fn check(component: &str, readme: &str, count: usize) {
    let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let recipes: Vec<_> = blocks
        .map(|(block, _)| block)
        // One shows a list of plugins alone, one completes another, and those about certificates of clients
        // are run with real ones, in `proxy/client_certificates.rs`.
        .filter(|block| block.starts_with('[') && !block.contains("resource_metadata"))
        .filter(|block| !block.contains("client_certificate"))
        .collect();
    assert_eq!(recipes.len(), count);
    let folder = std::env::temp_dir().join(format!("recipes-{component}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let key = Signer::new("RS256").jwk();
    fs::write(folder.join("jwks.json"), json!({ "keys": [key] }).to_string()).unwrap();
    fs::write(folder.join("billing.pem"), Signer::new("EdDSA").pem()).unwrap();
    fs::write(folder.join("acme.pem"), Signer::new("EdDSA").pem()).unwrap();
    fs::write(folder.join("partners.jsonl"), "").unwrap();
    let hash = "$2y$12$EXRkfkdmXn2gzds2SSitu.MW9.gAVqa9eLS1//RYtYCmB1eLHg.9q";
    for recipe in recipes {
        let text = whole(recipe, component);
        let source = Source::new(folder.join("gateway.toml"), &text);
        let environment = |name: &str| match name {
            "WEBHOOK_SECRET" => Some("whsec_YSBzZWNyZXQgb2YgMjQgYnl0ZXMuLi4u".into()),
            _ => Some(hash.into()),
        };
        let known = Known { built_in: &first_party::names() };
        let loaded = config::read(source, &environment, &known);
        let loaded = loaded.unwrap_or_else(|found| panic!("{text}\n{}", found.render(false)));
        assert_eq!(loaded.warnings.render(false), "", "{text}");
        let checked = Gateway::check(&loaded.config, &[], false);
        // Whether this machine has certificates of authorities is another matter.
        let errors: Vec<_> =
            checked.errors.iter().filter(|it| !matches!(it, BindError::Upstream(_))).collect();
        assert!(errors.is_empty(), "{text}\n{errors:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
