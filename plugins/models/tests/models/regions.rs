//! Requests that may be served in some regions alone.

use gateway_plugin_sdk::testing::Harness;
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, configured, hello};

/// Deployments in three regions, and one of which nobody says where it is.
fn plugin() -> Harness<Models> {
    let deployment = |region: Option<&str>| {
        let upstream = region.unwrap_or("nowhere");
        let mut deployment = json!({ "upstream": upstream, "provider": "openai" });
        if let Some(region) = region {
            deployment["region"] = json!(region);
        }
        deployment
    };
    configured(json!({
        "region_attribute": "consumer.claim.regions",
        "deployments": {
            "any": deployment(None), "us": deployment(Some("us-east-1")),
            "eu": deployment(Some("eu-central-1")), "north": deployment(Some("eu-north-1")),
        },
        "models": {
            "m": { "deployments": [
                { "name": "any" }, { "name": "us", "priority": 1 },
                { "name": "eu", "priority": 2 }, { "name": "north", "priority": 3 },
            ] },
        },
    }))
}

#[test]
fn a_request_goes_where_its_regions_are_and_nowhere_else() {
    for (regions, upstream) in [
        (None, "nowhere"),
        (Some("eu-central-1"), "eu-central-1"),
        (Some("eu-*"), "eu-central-1"),
        (Some("eu-north-1, us-east-1"), "us-east-1"),
        (Some(r#"["eu-north-1","ap-*"]"#), "eu-north-1"),
        (Some("*"), "us-east-1"),
    ] {
        let harness = plugin();
        let mut request = hello("m");
        if let Some(regions) = regions {
            request = request.attribute("consumer.claim.regions", regions);
        }
        let exchange = harness.request(request);
        assert_eq!(exchange.request().upstream(), Some(upstream), "{regions:?}");
    }
    // The beginning of a name is not the name, and who has no region is served in none.
    for regions in ["eu", "ap-south-1", "", "[]"] {
        let harness = plugin();
        let exchange = harness.request(hello("m").attribute("consumer.claim.regions", regions));
        let refused = exchange.answer().expect("it is refused");
        assert_eq!(refused.status(), 403, "{regions}");
        assert_eq!(refused.json::<Value>()["error"]["code"], "region_not_allowed");
    }
}

#[test]
fn fail_over_stays_in_the_regions() {
    let harness = plugin();
    let mut exchange = harness.request(hello("m").attribute("consumer.claim.regions", "eu-*"));
    let failed = || answer(json!({ "error": { "message": "down" } })).status(503);
    exchange.try_response(failed());
    assert_eq!(exchange.attempt().unwrap().to(), Some("eu-north-1"));
    assert_eq!(exchange.response(failed()).status(), 503);
    assert!(exchange.attempt().is_none());
}

#[test]
fn what_no_region_can_be_is_a_fault() {
    let config = json!({
        "region_attribute": "",
        "deployments": { "a": { "upstream": "a", "provider": "openai", "region": "eu central" } },
        "models": { "m": { "deployments": [{ "name": "a" }] } },
    });
    let error = Harness::<Models>::prepare().configure(config).err().unwrap().to_string();
    assert!(error.contains("is `eu central`, and cannot be a region"), "{error}");
    assert!(error.contains("/region_attribute: is empty"), "{error}");
}
