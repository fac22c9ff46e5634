//! Answers of the server on their way to the client.

use gateway_plugin_sdk::testing::{self, Outcome};
use serde_json::{Value, json};

use crate::support::{config, json_answer, new, old, plugin, stream};

fn tools(names: &[&str]) -> Value {
    let tools: Vec<_> =
        names.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect();
    json!({ "jsonrpc": "2.0", "id": 7, "result": { "tools": tools, "nextCursor": "c" } })
}

#[test]
fn lists_are_filtered_as_calls_are() {
    let plugin = plugin(config());
    let wanted = tools(&["add", "files_read"]);
    let all = tools(&["wipe", "add", "files_delete", "files_read"]);
    let mut exchange = plugin.request(new("tools/list", json!({})));
    let answer = exchange.response(json_answer(&all));
    assert_eq!(answer.text(), wanted.to_string());
    let event = format!("id: 1\nevent: message\ndata: {all}\n\n");
    let (front, back) = event.split_at(40);
    let mut exchange = plugin.request(old("tools/list", json!({})));
    let answer = exchange.response(stream(&[": ping\n\n", front, back]));
    assert_eq!(answer.text(), format!(": ping\n\nid: 1\nevent: message\ndata: {wanted}\n\n"));
    // Taken up again: the list comes by the stream of a GET.
    let get = testing::request()
        .path("/mcp")
        .header("last-event-id", "0")
        .attribute("consumer.id", "ada");
    let mut exchange = plugin.request(get);
    assert_eq!(exchange.request().header("last-event-id"), Some("0"));
    let answer = exchange.response(stream(&[&event]));
    assert!(answer.text().contains("files_read") && !answer.text().contains("wipe"));
}

#[test]
fn a_list_in_what_answers_another_request_is_filtered_too() {
    let plugin = plugin(config());
    let call = || plugin.request(old("tools/call", json!({ "name": "add" })));
    // Clients take an answer by its id, so that this may be the one to a list that they wait for.
    let event = |names: &[&str]| format!("data: {}\n\n", tools(names));
    let progress = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
    let result =
        "data: {\"id\":7,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"tools\"}]}}\n\n";
    let answer =
        call().response(stream(&[progress, &event(&["wipe", "add"]), result])).text().to_owned();
    assert_eq!(answer, [progress, &event(&["add"]), result].concat());
    let mut exchange = call();
    exchange.try_response(json_answer(&tools(&["wipe"])));
    assert!(matches!(exchange.outcome(), Outcome::Abort(_)), "{:?}", exchange.outcome());
    let mut exchange = call();
    let result: Value = json!({ "id": 7, "result": { "content": [] } });
    assert_eq!(exchange.response(json_answer(&result)).text(), result.to_string());
}

#[test]
fn a_list_that_cannot_be_read_does_not_pass() {
    let plugin = plugin(config());
    let list = || plugin.request(old("tools/list", json!({})));
    let mut exchange = list();
    let coded = json_answer(&tools(&["wipe"])).header("content-encoding", "gzip");
    assert_eq!(exchange.response(coded).status(), 502);
    let mut exchange = list();
    let text = testing::response().header("content-type", "text/plain");
    assert_eq!(exchange.response(text.body(tools(&["wipe"]).to_string())).status(), 502);
    let mut exchange = list();
    let broken = testing::response()
        .header("content-type", "application/json")
        .body("{\"result\": {\"tools\": [");
    let answer = exchange.response(broken);
    assert_eq!((answer.status(), answer.json::<Value>()["id"].clone()), (502, json!(7)));
    let mut exchange = list();
    let object = json!({ "id": 7, "result": { "tools": { "wipe": { "name": "wipe" } } } });
    assert_eq!(exchange.response(json_answer(&object)).status(), 502);
}

#[test]
fn a_list_in_an_event_is_read_over_its_lines() {
    let plugin = plugin(config());
    let all = serde_json::to_string_pretty(&tools(&["wipe", "add"])).unwrap();
    for end in ["\n", "\r\n", "\r"] {
        let event = format!("id: 1\n\ndata: {}\n\n", all.replace('\n', "\ndata: "));
        let event = event.replace('\n', end);
        let mut exchange = plugin.request(old("tools/list", json!({})));
        let answer = exchange.response(stream(&[&event]));
        let data = answer.text().split(['\n', '\r']).filter_map(|line| line.strip_prefix("data: "));
        let message: Value = serde_json::from_str(&data.collect::<String>()).unwrap();
        assert_eq!(message, tools(&["add"]));
    }
    // What cannot be read is answered, and the stream goes on.
    for broken in [
        r#"{"id":7,"result":{"tools":{"a":{"name":"wipe"}}}}"#.to_owned(),
        r#"{"id":7,"result":{"tools":[{"name":"wipe"}"#.to_owned(),
        format!("{0}\ndata: {0}", tools(&["wipe"])),
        "{\"id\":7,\"result\":{\"tools\":[{\"name\":\"wi\ndata: pe\"}]}}".to_owned(),
    ] {
        let mut exchange = plugin.request(old("tools/list", json!({})));
        let answer = exchange.response(stream(&[&format!("data: {broken}\n\n: more\n\n")]));
        let (event, rest) = answer.text().split_once("\n\n").unwrap();
        let message: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&message["id"], &message["error"]["code"]), (&json!(7), &json!(-32603)));
        assert_eq!(rest, ": more\n\n");
    }
}

#[test]
fn a_tool_that_is_not_as_it_was_pinned_is_hidden_or_reported() {
    let all = tools(&["add", "files_read"]);
    let pin = format!("sha256:{}", "0".repeat(64));
    let exchange_with = |on_changed: &str, pin: &str| {
        let plugin = plugin(json!({ "pins": { "add": pin }, "on_changed": on_changed }));
        let mut exchange = plugin.request(old("tools/list", json!({})));
        let text = exchange.response(json_answer(&all)).text().to_owned();
        (text, exchange.log().iter().map(|line| line.message.clone()).collect::<String>())
    };
    let (text, log) = exchange_with("hide", &pin);
    assert_eq!(text, tools(&["files_read"]).to_string());
    let digest = log.split("its digest is ").nth(1).unwrap();
    let (text, log) = exchange_with("report", &pin);
    assert_eq!(text, all.to_string());
    assert!(log.contains("is not as it was pinned, and is listed"), "{log}");
    // The log has what to pin.
    let (text, log) = exchange_with("hide", digest);
    assert_eq!((text, log.as_str()), (all.to_string(), ""));
}

#[test]
fn what_an_answer_says_is_told_and_counted() {
    let plugin = plugin(config());
    let answers = [
        (json!({ "result": { "content": [] } }), "ok", None),
        (json!({ "result": { "content": [], "isError": true } }), "tool_error", None),
        (json!({ "error": { "code": -32602, "message": "no" } }), "error", Some("-32602")),
    ];
    for (body, outcome, code) in answers {
        for answer in [json_answer(&body), stream(&[": a\n\n", &format!("data: {body}\n\n")])] {
            let mut exchange = plugin.request(old("tools/call", json!({ "name": "add" })));
            let text = exchange.response(answer).text().to_owned();
            assert!(text.contains(&body.to_string()));
            assert_eq!(exchange.attribute("mcp.outcome").as_deref(), Some(outcome));
            assert_eq!(exchange.attribute("mcp.error").as_deref(), code);
            exchange.complete();
        }
        let labels = [("method", "tools/call"), ("name", "add"), ("outcome", outcome)];
        assert_eq!(plugin.counter("mcp_requests", &labels), 2, "{outcome}");
    }
    // A name that a client makes up makes no series.
    let mut exchange = plugin.request(old("tools/call", json!({ "name": "files_made_up" })));
    exchange.response(json_answer(&json!({ "result": {} })));
    exchange.complete();
    let labels = [("method", "tools/call"), ("name", "other"), ("outcome", "ok")];
    assert_eq!(plugin.counter("mcp_requests", &labels), 1);
}

#[test]
fn a_session_has_a_key_that_comes_back_with_each_request() {
    let plugin = plugin(json!({ "sticky_sessions": true }));
    let session = |id: &str| json_answer(&json!({ "result": {} })).header("mcp-session-id", id);
    let mut exchange =
        plugin.request(old("initialize", json!({ "protocolVersion": "2025-11-25" })));
    let key = exchange.attribute("mcp.affinity").unwrap();
    let id = exchange.response(session("s-1")).header("mcp-session-id").unwrap().to_owned();
    assert_eq!(id, format!("{key}.s-1"));
    // The server says it each time, and clients take it each time.
    let mut exchange = plugin.request(old("tools/list", json!({})).header("mcp-session-id", &*id));
    assert_eq!(exchange.attribute("mcp.affinity"), Some(key.clone()));
    assert_eq!(exchange.request().header("mcp-session-id"), Some("s-1"));
    assert_eq!(exchange.response(session("s-1")).header("mcp-session-id"), Some(&*id));
    for method in ["GET", "DELETE"] {
        let request = testing::request().method(method).path("/mcp").header("mcp-session-id", &*id);
        let exchange = plugin.request(request);
        assert_eq!(exchange.request().header("mcp-session-id"), Some("s-1"));
        assert_eq!(exchange.attribute("mcp.affinity"), Some(key.clone()));
        assert!(exchange.attribute("mcp.session").is_some_and(|session| !session.contains("s-1")));
    }
    // One that is not from here: the client begins a new one.
    let exchange = plugin.request(old("tools/list", json!({})).header("mcp-session-id", "s-1"));
    assert_eq!(exchange.answer().unwrap().status(), 404);
}

#[test]
fn a_problem_is_an_error_for_the_request() {
    let plugin = plugin(json!({}));
    let problem = r#"{"title":"Bad Gateway","status":502,"detail":"It is away."}"#;
    let answer = || {
        let answer =
            testing::response().status(502).header("content-type", "application/problem+json");
        answer.header("retry-after", "7").body(problem)
    };
    for request in [old("tools/call", json!({ "name": "add" })), new("ping", json!({}))] {
        let mut exchange = plugin.request(request);
        let answer = exchange.response(answer());
        let body: Value = answer.json();
        assert_eq!((answer.status(), answer.header("retry-after")), (502, Some("7")));
        assert_eq!((&body["id"], &body["error"]["message"]), (&json!(7), &json!("It is away.")));
        assert_eq!(
            body["error"]["data"].to_string(),
            serde_json::from_str::<Value>(problem).unwrap().to_string()
        );
    }
    // Nobody waits for an answer to it.
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let mut exchange = plugin.request(crate::support::post(note));
    assert_eq!(exchange.response(answer()).text(), problem);
}
