//! The document against the table of endpoints, both ways.

use std::collections::BTreeSet;

use serde_json::Value;

use super::DOCUMENT;
use crate::admin::router::{Access, ENDPOINTS};

fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("JSON")
}

#[test]
fn every_endpoint_is_in_the_document_and_the_other_way_round() {
    let document = document();
    let paths = document["paths"].as_object().expect("an object");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("an object");
            methods.keys().map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let served: BTreeSet<(String, String)> =
        ENDPOINTS.iter().map(|it| (it.path.to_owned(), it.method.to_string())).collect();
    assert_eq!(described, served);
    assert_eq!(served.len(), ENDPOINTS.len(), "no endpoint is there twice");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn an_operation_says_what_the_table_says() {
    let document = document();
    let mut ids = BTreeSet::new();
    for endpoint in ENDPOINTS {
        let method = endpoint.method.as_str().to_lowercase();
        let operation = &document["paths"][endpoint.path][&method];
        let what = format!("{method} {}", endpoint.path);
        assert_eq!(operation["summary"], endpoint.summary, "{what}");
        assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{what}");
        let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let schema = endpoint.schema.map(|name| format!("#/components/schemas/{name}"));
        assert_eq!(answer["$ref"].as_str(), schema.as_deref(), "{what}");
        let is_open = operation["security"] == serde_json::json!([]);
        assert_eq!(is_open, endpoint.access == Access::Open, "{what}");
        assert_eq!(operation["responses"]["401"].is_null(), is_open, "{what}");
        assert_eq!(endpoint.changes, method != "get", "{what}");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_path = parameters.filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, endpoint.path.matches('{').count(), "{what}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_referred_to() {
    let document = document();
    let mut references = BTreeSet::new();
    find(&document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').expect("a reference in the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().expect("an object").keys() {
            assert!(references.contains(&format!("#/components/{kind}/{name}")), "{kind} {name}");
        }
    }
}

fn find(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| find(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| find(item, references)),
        _ => {}
    }
}
