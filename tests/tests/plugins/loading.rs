//! What the gateway says about plugins that it does not load: before the first request, all at
//! once, with the place in the file and what would fix it.

use gateway::config::{Component, Source};
use gateway::{BindError, Gateway, SpanTarget};
use gateway_tests::client::request;
use gateway_tests::setup::written;
use gateway_tests::{Http1, Setup, guests, log, until};
use tokio::net::TcpListener;

/// A refusal of a plugin.
struct Refusal {
    name: String,
    place: SpanTarget,
    message: String,
    help: Option<String>,
}

const ROUTE: &str = r#"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["refused"]
respond = { body = "fine" }
"#;

/// What is said to a file whose plugin `refused` is this.
fn refusals(plugin: &str) -> Vec<Refusal> {
    refusals_of(&format!("[plugins.refused]\n{plugin}\n{ROUTE}"))
}

fn refusals_of(text: &str) -> Vec<Refusal> {
    let errors = Gateway::bind(Setup::toml(text, &[]).config).map(drop).unwrap_err();
    let refusal = |error| match error {
        BindError::Plugin { name, place, message, help, .. } => {
            Refusal { name, place, message, help }
        }
        other => panic!("{other}"),
    };
    errors.errors.into_iter().map(refusal).collect()
}

/// The only refusal of this guest, which is at `component`.
fn refusal(guest: &str) -> Refusal {
    let mut refusals = refusals(&format!("component = \"./{guest}.wasm\""));
    assert_eq!(refusals.len(), 1, "{guest}");
    let refusal = refusals.remove(0);
    assert_eq!((refusal.name.as_str(), &refusal.place), ("refused", &SpanTarget::Component));
    refusal
}

#[test]
fn a_file_that_is_no_component_is_called_what_it_is() {
    let folder = tempfile::tempdir_in(guests::folder()).unwrap();
    let file = folder.path().join("text.wasm");
    std::fs::write(&file, "no WebAssembly at all").unwrap();
    let said = refusals(&format!("component = '{}'", file.display()));
    assert!(said[0].message.ends_with("text.wasm` is not WebAssembly"), "{}", said[0].message);

    let said = refusal("core-module");
    assert!(said.message.contains("a core WebAssembly module, not a component"));
    assert!(said.help.unwrap().contains("--target wasm32-wasip2"));

    let mut bytes = std::fs::read(guests::path("tagger")).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, bytes).unwrap();
    let said = refusals(&format!("component = '{}'", file.display()));
    assert!(said[0].message.contains("is not valid: "), "{}", said[0].message);
}

#[test]
fn a_component_that_is_no_plugin_is_told_what_it_lacks() {
    let said = refusal("no-hooks");
    assert_eq!(
        said.message,
        "it is no plugin: it exports nothing, not `gateway:plugin/hooks@0.1.0`"
    );
    assert!(said.help.unwrap().contains("register_plugin!"));
    assert!(refusal("wrong-shape").message.contains("`describe`"));
    assert!(refusal("wrong-type").message.contains("`configure`"));
    assert!(refusal("sockets").message.contains("`describe`"));
}

#[test]
fn a_component_of_another_world_is_called_what_it_is() {
    let folder = tempfile::tempdir_in(guests::folder()).unwrap();
    let file = folder.path().join("other.wasm");
    for (export, kind) in [
        ("wasi:http/incoming-handler@0.2.6", "it is an HTTP service, not a plugin"),
        ("wasi:cli/run@0.2.6", "it is a command, not a plugin"),
        ("my:own/thing@1.0.0", "it is no plugin"),
    ] {
        let text = format!("(component (instance $it) (export \"{export}\" (instance $it)))");
        std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
        let said = refusals(&format!("component = '{}'", file.display())).remove(0);
        let words = format!("{kind}: it exports {export}, not `gateway:plugin/hooks@0.1.0`");
        assert_eq!(said.message, words);
    }
}

#[test]
fn what_is_looked_into_is_refused_as_what_is_loaded() {
    let file = |guest: &str| guests::folder().join(format!("./{guest}.wasm"));
    let inspect = |guest: &str| gateway::inspect(&Component::File(file(guest)));
    for guest in ["no-hooks", "core-module", "wrong-version", "wrong-shape", "unknown-import"] {
        let (told, loaded) = (inspect(guest).unwrap_err().remove(0), refusal(guest));
        assert_eq!((told.message, told.help), (loaded.message, loaded.help), "{guest}");
    }
    // What must be granted is no reason to refuse here, and is named.
    let counter = inspect("counter").unwrap();
    assert_eq!((counter.name.as_str(), counter.version.as_str()), ("counter", "0.1.0"));
    let granted: Vec<_> = counter.imports.iter().filter_map(|import| import.grant).collect();
    assert_eq!(granted, ["key-value"]);
    assert_eq!(counter.size.total, std::fs::read(guests::path("counter")).unwrap().len());
}

#[test]
fn hooks_of_another_type_are_refused_though_their_names_are_right() {
    let names = [
        "describe",
        "configure",
        "on-request",
        "on-request-body",
        "on-request-chunk",
        "on-response",
        "on-response-body",
        "on-response-chunk",
        "on-complete",
    ];
    let exports: String = names.map(|name| format!("(export \"{name}\" (func $hook))\n")).concat();
    let text = format!(
        r#"(component
             (core module $code (func (export "hook") (result i32) i32.const 7))
             (core instance $code (instantiate $code))
             (func $hook (result u32) (canon lift (core func $code "hook")))
             (instance $hooks {exports})
             (export "gateway:plugin/hooks@0.1.0" (instance $hooks)))"#
    );
    let folder = tempfile::tempdir_in(guests::folder()).unwrap();
    let file = folder.path().join("numbers.wasm");
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    let said = refusals(&format!("component = '{}'", file.display()));
    let message = &said[0].message;
    assert!(message.starts_with("a hook is not what gateway:plugin 0.1.0 says"), "{message}");
}

#[test]
fn a_plugin_for_another_version_is_told_both_versions() {
    let said = refusal("wrong-version");
    let words = "it is built for gateway:plugin 9.9.9, and this gateway serves 0.1.0";
    assert_eq!(said.message, words);
    assert!(said.help.unwrap().contains("wit/"));

    // So is one that only imports something of it: here of the next patch, which may have more.
    let text = r#"(component
        (import "gateway:plugin/clock@0.1.1" (instance))
        (instance $hooks)
        (export "gateway:plugin/hooks@0.1.0" (instance $hooks)))"#;
    let folder = tempfile::tempdir_in(guests::folder()).unwrap();
    let file = folder.path().join("newer.wasm");
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    let said = refusals(&format!("component = '{}'", file.display())).remove(0);
    let words = "it imports `gateway:plugin/clock@0.1.1`, and this gateway serves gateway:plugin \
                 0.1.0, not 0.1.1";
    assert_eq!(said.message, words);
}

/// Built against a copy of the interface that stays as it is, from which the interface continues.
#[tokio::test]
async fn a_plugin_for_a_frozen_interface_goes_on_working() {
    let text = r#"
[[routes]]
name = "frozen"
paths = ["/{*rest}"]
plugins = [{ component = "./frozen-0-1-0.wasm", config = { name = "frozen" }, grants = ["key-value", "limiter", "password", "signature"] }]
respond = { body = "fine" }
"#;
    let gateway = Setup::toml(text, &[]).start();
    let mut client = Http1::connect(gateway.address).await;
    for turn in ["1", "2"] {
        let sent = request("POST", "/a?b", &[("x-frozen", "1")], "body");
        let answer = client.send(sent).await;
        assert_eq!((answer.status(), answer.text()), (200, "FINE"), "{:?}", log::said(answer.id()));
        assert_eq!(answer.header("x-turn"), Some(turn));
        assert_eq!(answer.header("x-seen"), Some("POST /a b 1 body 200"));
        let ended = || log::said(answer.id()).contains(&"complete with 200".to_owned());
        until(ended).await;
    }
    let refused = refusals("component = \"./frozen-0-1-0.wasm\"\nconfig = {}").remove(0);
    assert!(refused.message.contains("it imports what it was not granted"), "{}", refused.message);
}

#[test]
fn an_import_that_nobody_offers_is_named() {
    let said = refusal("unknown-import");
    let words = "it imports `gateway:plugin/telepathy@0.1.0`, which this gateway does not offer";
    assert_eq!(said.message, words);
}

#[test]
fn an_import_that_was_not_granted_comes_with_the_line_that_grants_it() {
    let said = refusal("counter");
    assert_eq!(said.message, "it imports what it was not granted: \"key-value\"");
    let help = said.help.unwrap();
    assert_eq!(help, "to grant it, write `grants = [\"key-value\"]` beside `component`");
    // What was granted stays granted in the line.
    let said = refusals("component = \"./counter.wasm\"\ngrants = [\"limiter\"]").remove(0);
    assert!(said.help.unwrap().contains("`grants = [\"limiter\", \"key-value\"]`"));
    // The advice is right.
    let text = format!(
        "[plugins.refused]\ncomponent = \"./counter.wasm\"\ngrants = [\"key-value\"]\n{ROUTE}"
    );
    Gateway::bind(Setup::toml(&text, &[]).config).unwrap();
}

#[tokio::test]
async fn a_plugin_that_opens_a_socket_fails_and_reaches_nobody() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let text = format!("[plugins.refused]\ncomponent = \"./connects.wasm\"\n{ROUTE}");
    let gateway = Setup::toml(&text, &[]).start();
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/", &[("x-connect", &address)], "")).await;
    assert_eq!(answer.status(), 500);
    let named = |line: &log::Line| line.message.contains("wasi:sockets");
    until(|| log::of_request(answer.id()).iter().any(named)).await;
    let reached = tokio::time::timeout(std::time::Duration::from_millis(50), server.accept()).await;
    assert!(reached.is_err(), "nobody came");
}

#[test]
fn a_plugin_that_falls_in_configure_is_refused_with_its_own_words() {
    let said = refusal("fails-configure");
    assert!(
        said.message.contains("the guest panicked in configure on purpose"),
        "{}",
        said.message
    );
}

#[test]
fn a_plugin_that_refuses_its_configuration_points_at_all_of_the_wrong_lines() {
    let text = format!(
        r#"[plugins.refused]
component = "./refuses-config.wasm"

[plugins.refused.config]
limit = 11
names = [
    "ada",
    "",
    "grace",
    "",
]
{ROUTE}"#
    );
    let config = Setup::toml(&text, &[]).config;
    let spans = config.plugins[0].config_spans.clone();
    let source = Source::new("test.toml", &written(&text));
    let first = written("").matches('\n').count();
    let found: Vec<_> = refusals_of(&text)
        .into_iter()
        .map(|refusal| {
            let SpanTarget::Config(pointer) = refusal.place else { panic!("{}", refusal.message) };
            let at = source.position(spans[&pointer].start);
            (refusal.message, at.line - first, at.column)
        })
        .collect();
    let expected = [
        ("the limit is at most 10".to_owned(), 5, 9),
        ("a name is empty".to_owned(), 8, 5),
        ("a name is empty".to_owned(), 10, 5),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_configuration_is_held_against_the_schema_before_the_plugin_sees_it() {
    let text = |config: &str| format!("component = \"./refuses-config.wasm\"\nconfig = {config}");
    let said = |config: &str| -> Vec<_> {
        let said = refusals(&text(config)).into_iter();
        said.map(|it| (it.place, it.message, it.help.unwrap_or_default())).collect()
    };
    let at =
        |place: SpanTarget, message: &str, help: &str| (place, message.to_owned(), help.to_owned());
    let value = |pointer: &str| SpanTarget::Config(pointer.to_owned());
    assert_eq!(
        said("{ limit = \"many\", names = [\"a\", 2], lmit = 3 }"),
        [
            at(value("/limit"), "`limit` must be an integer, but this is a string", ""),
            at(
                value("/names/1"),
                "`names[1]` must be a string, but this is an integer",
                "write `\"2\"`"
            ),
            at(
                SpanTarget::ConfigKey("/lmit".to_owned()),
                "unknown key `lmit` in `config`",
                "did you mean `limit`?"
            ),
        ]
    );
    assert_eq!(said("{ names = [] }"), [at(value(""), "`config` has no `limit`", "")]);
    // What the schema does not say, the plugin does.
    assert_eq!(said("{ limit = 11 }"), [at(value("/limit"), "the limit is at most 10", "")]);
}

#[test]
fn a_schema_that_is_broken_is_a_warning_and_stops_nobody() {
    let text = |config: &str| {
        format!(
            "[plugins.refused]\ncomponent = \"./broken-schema.wasm\"\nconfig = {config}\n{ROUTE}"
        )
    };
    let gateway = Gateway::bind(Setup::toml(&text("{ a = true }"), &[]).config).unwrap();
    let [warning] = gateway.warnings() else { panic!("{:?}", gateway.warnings()) };
    assert_eq!(warning.name, "refused");
    assert_eq!(
        warning.message,
        "the configuration schema of its component is not valid: `/properties/a/$ref` leads to \
         `http://127.0.0.1:9/a`, and nothing is fetched"
    );
    assert_eq!(refusals_of(&text("{ bad = true }"))[0].message, "bad is refused");
    // It is told beside what keeps the plugin from serving.
    let refused = Gateway::bind(Setup::toml(&text("{ bad = true }"), &[]).config).unwrap_err();
    assert_eq!((refused.len(), refused.warnings), (1, vec![warning.clone()]));
    let fine = format!("[plugins.refused]\ncomponent = \"./edits.wasm\"\n{ROUTE}");
    assert_eq!(Gateway::bind(Setup::toml(&fine, &[]).config).unwrap().warnings(), []);
}

#[test]
fn everything_that_is_wrong_with_several_plugins_is_said_at_once() {
    let text = r#"
[plugins.module]
component = "./core-module.wasm"
[plugins.falling]
component = "./fails-configure.wasm"
[plugins.refusing]
component = "./refuses-config.wasm"
config = { limit = 12, names = [""] }
[plugins.ungranted]
component = "./counter.wasm"
[plugins.fine]
component = "./edits.wasm"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["module", "falling", "refusing", "ungranted", "fine"]
respond = { body = "fine" }
"#;
    let names: Vec<_> = refusals_of(text).into_iter().map(|refusal| refusal.name).collect();
    assert_eq!(names, ["module", "falling", "refusing", "refusing", "ungranted"]);
}

#[test]
fn a_first_party_component_may_be_granted_less_than_it_wants() {
    let said = refusals_of(&format!(
        "[plugins.refused]\ncomponent = \"rate-limit\"\ngrants = []\nconfig = {{ policies = [{{ name = \"a\", limit = 1, window = \"1s\" }}] }}\n{ROUTE}"
    ));
    assert_eq!(said[0].message, "it imports what it was not granted: \"limiter\", \"slots\"");
}

/// What the schema refuses hides nothing that the plugin would say of the rest.
#[test]
fn a_plugin_is_asked_about_what_stands_beside_a_fault() {
    let told = |config: &str| {
        let refusals = refusals(config).into_iter();
        let told = refusals.map(|it| match it.place {
            SpanTarget::Config(pointer) | SpanTarget::ConfigKey(pointer) => (pointer, it.message),
            SpanTarget::Component => (String::new(), it.message),
        });
        told.collect::<Vec<_>>()
    };
    let found = told(
        "component = \"rate-limit\"\nconfig = { policies = [\
         { name = \"a\", limit = 1000000000000000, window = \"0s\" }, { name = \"a\", limit = 1, window = \"1s\" }] }",
    );
    let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    for place in ["/policies/0/limit", "/policies/0/window", "/policies/1/name"] {
        assert!(places.contains(&place), "{place}: {found:?}");
    }
    let found = told(
        "component = \"auth\"\nconfig = { anonymous = \"x\", api_key = { keys = [{ id = \"a\" }] }, \
         jwt = { skew = \"11m\", issuers = [{ issuer = \"i\", audiences = [], \
         algorithms = [\"ES256\"], keys = [{ algorithm = \"ES256\", pem = \"x\" }] }] } }",
    );
    let mut places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    places.sort_unstable();
    let all =
        ["/api_key/keys/0", "/jwt/issuers/0/audiences", "/jwt/issuers/0/keys/0/pem", "/jwt/skew"];
    assert_eq!(places, all, "{found:?}");
    // Nothing that only follows from the fault.
    let found = told(
        "component = \"auth\"\nconfig = { anonymous = \"x\", jwt = { issuers = [{ issuer = \"i\", \
         audiences = [\"a\"], algorithms = [\"es256\"], keys = [{ algorithm = \"ES256\", \
         jwk = { kty = \"EC\", crv = \"P-256\", x = \"\", y = \"\" } }] }] } }",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].0, "/jwt/issuers/0/algorithms/0", "{found:?}");
    assert_eq!(found[1].0, "/jwt/issuers/0/keys/0/jwk", "{found:?}");
    let found = told("component = \"auth\"\nconfig = { anonymous = \"x\", basic = 5 }");
    assert_eq!(found.len(), 1, "{found:?}");
}
