//! The `gateway` command as its users type it: what it says, where, and what it exits with.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cli/log.rs"]
mod log;
#[path = "cli/manuals.rs"]
mod manuals;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A file in its own folder, which is removed with it.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    File { _folder: folder, path }
}

fn gateway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(arguments).env_remove("GATEWAY_LOG").stdin(Stdio::null());
    // Compiled components are kept between runs, but not among those of the user who runs the tests.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn output(arguments: &[&str]) -> Output {
    gateway(arguments).output().unwrap()
}

fn on_file(command: &str, file: &File, more: &[&str]) -> Output {
    let path = file.path.to_str().unwrap();
    output(&[&[command, path], more].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const FINE: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:0"

[plugins.limit]
component = "rate-limit"
config = { policies = [{ name = "burst", limit = 10, window = "1m" }] }

[[routes]]
name = "hello"
paths = ["/hello/{name}"]
methods = ["GET"]
plugins = ["limit"]
respond = { body = "hello" }

[[routes]]
name = "rest"
paths = ["/{*rest}"]
respond = { status = 404 }
"#;

#[test]
fn check_exits_with_0_where_nothing_is_wrong_and_says_what_it_saw() {
    let file = file(FINE);
    let done = on_file("check", &file, &[]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert!(said.contains("is fine: 1 listener, 2 routes, 0 upstreams, 1 plugin, 0 warnings"));
}

#[test]
fn check_reports_everything_that_the_text_has_wrong_at_once() {
    let file = file(
        r#"[[listeners]]
name = "public"
address = "127.0.0.1"

[upstreams.orders]
targets = ["http://127.0.0.1:9000/path"]
timeouts = { conect = "1s" }

[[routes]]
name = "orders"
paths = ["orders"]
plugins = ["kesy"]
upstream = "ordres"
"#,
    );
    let done = on_file("check", &file, &[]);
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(1), ""));
    let said = text(&done.stderr);
    for place in ["3:12", "6:34", "7:14", "11:11", "12:12", "13:12"] {
        assert!(said.contains(&format!("gateway.toml:{place}\n")), "{place}: {said}");
    }
    assert!(said.contains("did you mean `connect`?"), "{said}");
    assert!(said.contains("did you mean `orders`?"), "{said}");
}

#[test]
fn check_reports_ports_in_use_and_what_plugins_refuse_at_once_with_their_places() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = file(&format!(
        r#"[[listeners]]
name = "public"
address = "{address}"

[plugins.keys]
component = "auth"
config = {{ realm = "api" }}

[plugins.limit]
component = "rate-limit"
grants = []
[[plugins.limit.config.policies]]
name = "burst"
limit = 1000000000000000
window = "1m"

[plugins.other]
component = "rate-limit"
[[plugins.other.config.policies]]
name = "burst"
limit = 1
window = "soon"

[plugins.shape]
component = "transform"
[plugins.shape.config.request]
path = "no-slash"

[[routes]]
name = "all"
paths = ["/{{*rest}}"]
plugins = ["keys", "limit", "other", "shape"]
respond = {{ body = "fine" }}
"#
    ));
    let done = on_file("check", &file, &["--bind"]);
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stderr);
    for (place, words) in [
        ("3:11", "listener `public` cannot listen on"),
        ("7:10", "plugin `keys`: "),
        ("10:13", "it imports what it was not granted: \"limiter\", \"slots\""),
        ("22:10", "plugin `other`: "),
        ("27:8", "plugin `shape`: "),
    ] {
        let at = said.find(&format!("gateway.toml:{place}\n"));
        let at = at.unwrap_or_else(|| panic!("{place}: {said}"));
        let before = said[..at].lines().rev().nth(1).unwrap();
        assert!(before.contains(words), "{place}: {before:?} in {said}");
    }
    assert!(said.contains(&format!("ss -ltnp 'sport = :{}'", address.port())), "{said}");
    assert!(
        said.contains("write `grants = [\"limiter\", \"slots\"]` beside `component`"),
        "{said}"
    );
    // `run` refuses the same with the same words.
    let run = on_file("run", &file, &[]);
    assert_eq!((run.status.code(), text(&run.stderr)), (Some(1), said));
}

#[test]
fn check_leaves_addresses_alone_so_that_it_can_go_before_a_reload() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = file(&FINE.replace("127.0.0.1:0", &address));
    let done = on_file("check", &file, &[]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let done = on_file("check", &file, &["--bind"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains(&format!("cannot listen on {address}")));
}

#[test]
fn check_reports_what_the_text_the_schema_and_the_plugin_refuse_in_one_pass() {
    let file = file(
        r#"[[listeners]]
name = public
address = "127.0.0.1:0"

[plugins.schema]
component = "rate-limit"
headers = 3
config = { policies = [{ name = "a", limit = 1000000000000000, window = "1m" }] }

[plugins.own]
component = "transform"
[plugins.own.config]
colour = "blue"
[plugins.own.config.request]
path = "no-slash"

[plugins.granted]
component = "rate-limit"
grants = []
config = { policies = [], ipv6_prefix = 0 }

[plugins.env]
component = "rate-limit"
config = { policies = "${env:NOT_SET}", ipv6_prefix = 0 }

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["schema", "own", "granted", "dark", "env"]
upstream = "nowhere"

[plugins.dark]
component = "rate-limit"
config = { policies = [{ name = "a"
window = "1m" }] }
"#,
    );
    let done = on_file("check", &file, &[]);
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stderr);
    for (line, words) in [
        (2, "a string must be quoted"),
        (7, "unknown key `headers` in a plugin"),
        (8, "plugin `schema`: `policies[0].limit`"),
        (13, "plugin `own`: unknown key `colour`"),
        (15, "plugin `own`: "),
        (18, "plugin `granted`: it imports what it was not granted"),
        (20, "plugin `granted`: `ipv6_prefix`"),
        (24, "the environment has no variable `NOT_SET`"),
        (24, "plugin `env`: `ipv6_prefix`"),
    ] {
        let place = format!("gateway.toml:{line}:");
        let found = said.split("\n\n").any(|it| it.contains(&place) && it.contains(words));
        assert!(found, "line {line}: {words}\n{said}");
    }
    for consequence in ["plugin `dark`", "`env`: `policies`"] {
        assert!(!said.contains(consequence), "{consequence}\n{said}");
    }
}

const CHOOSES: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:0"

[upstreams.one]
targets = ["http://127.0.0.1:9"]

[upstreams.two]
targets = ["http://127.0.0.1:9"]

[plugins.shape]
component = "rate-limit"
forward_to = ["two"]
config = { policies = [{ name = "burst", limit = 10, window = "1m" }] }

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["shape"]
upstream = "one"
"#;

#[test]
fn an_upstream_that_only_plugins_choose_is_used_and_explained() {
    let file = file(CHOOSES);
    let done = on_file("check", &file, &[]);
    assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(0), ""));
    let said = text(&on_file("explain", &file, &["--url", "http://a/"]).stdout);
    let end = "then: upstream one\n  or an upstream that shape chooses: two\n";
    assert!(said.ends_with(end), "{said}");
    std::fs::write(&file.path, CHOOSES.replace("[\"two\"]", "[\"twoo\"]")).unwrap();
    let said = text(&on_file("check", &file, &[]).stderr);
    assert!(said.contains("there is no upstream `twoo`") && said.contains("did you mean `two`?"));
}

#[test]
fn diagnostics_are_one_json_object_a_line_for_machines() {
    let file = file(&FINE.replace("limit = 10", "limit = 1000000000000000"));
    let done = on_file("check", &file, &["--log-format", "json"]);
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stderr);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let finding = &lines[0];
    assert_eq!((&finding["severity"], &finding["line"]), (&"error".into(), &8.into()));
    assert!(finding["message"].as_str().unwrap().starts_with("plugin `limit`: "), "{finding}");
    assert!(finding["file"].as_str().unwrap().ends_with("gateway.toml"));
    let line = FINE.lines().nth(7).unwrap();
    let column = line.find("10").unwrap() + 1;
    assert_eq!(finding["column"], column);
}

#[test]
fn a_secret_that_a_plugin_repeats_in_its_refusal_is_not_shown() {
    let text_of =
        FINE.replace("limit = 10, window = \"1m\"", "limit = 10, window = \"${env:HIDDEN}\"");
    let file = file(&text_of);
    let path = file.path.to_str().unwrap();
    let done = gateway(&["check", path]).env("HIDDEN", "hunter42").output().unwrap();
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("plugin `limit`: ") && !said.contains("hunter42"), "{said}");
}

#[test]
fn a_file_that_does_not_exist_is_refused_and_a_wrong_command_is_usage() {
    let done = output(&["check", "/does/not/exist.toml"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("`/does/not/exist.toml` does not exist"));
    for wrong in [&["chek"][..], &["check", "a", "b"], &["--log-format", "xml", "schema"], &[]] {
        assert_eq!(output(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(output(&["--version"]).status.code(), Some(0));
}

#[test]
fn explain_names_the_route_the_plugins_and_what_follows() {
    let file = file(FINE);
    let done = on_file("explain", &file, &["--url", "http://a.example/hello/ada"]);
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(said.starts_with("listener public:\n"), "{said}");
    assert!(said.contains("served by hello\n* hello  matches by /hello/{name}\n"), "{said}");
    assert!(said.contains("plugins: limit\n  limit  rate-limit, put there in "), "{said}");
    assert!(said.ends_with("then: answered with 200\n"), "{said}");
    let post = ["--url", "http://a.example/hello/ada", "-X", "POST"];
    let said = text(&on_file("explain", &file, &post).stdout);
    assert!(
        said.contains("served by rest\n")
            && said.ends_with("plugins: none\nthen: answered with 404\n")
    );
    let done = on_file("explain", &file, &["--url", "http://a/", "--listener", "none"]);
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(on_file("explain", &file, &[]).status.code(), Some(2));
}

#[test]
fn the_schema_is_a_json_schema_of_every_table() {
    let done = output(&["schema"]);
    assert_eq!(done.status.code(), Some(0));
    let schema: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    for table in ["gateway", "listeners", "upstreams", "plugins", "routes"] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
}

#[test]
fn the_schema_holds_those_of_plugins_under_their_components_and_names() {
    let schema = |arguments: &[&str]| -> Value {
        let done = output(arguments);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let follow = |schema: &Value, at: &Value| -> Value {
        let pointer = at["$ref"].as_str().unwrap().trim_start_matches('#');
        schema.pointer(pointer).unwrap().clone()
    };
    let plain = schema(&["schema"]);
    assert!(plain["properties"]["plugins"].get("properties").is_none());
    let mut choice = &plain["$defs"]["plugin"];
    let mut components = Vec::new();
    while choice.is_object() {
        components.push(choice["if"]["properties"]["component"]["const"].as_str().unwrap());
        let config = follow(&plain, &choice["then"]["properties"]["config"]);
        assert!(config["additionalProperties"]["not"].is_object());
        choice = &choice["else"];
    }
    components.sort_unstable();
    assert_eq!(
        components,
        [
            "a2a",
            "auth",
            "authorize",
            "cache",
            "cors",
            "experiments",
            "flags",
            "forward-auth",
            "guardrails",
            "http-signature",
            "ip",
            "json-expression",
            "mcp",
            "models",
            "oidc",
            "predictions",
            "rate-limit",
            "transform",
            "validate"
        ]
    );
    // A reference of a plugin's schema leads into it.
    let policies = &plain["$defs"]["config_of_rate-limit"]["properties"]["policies"];
    assert!(follow(&plain, &policies["items"])["properties"]["window"].is_object());

    let named = schema(&["schema", file(FINE).path.to_str().unwrap()]);
    let offered = &named["properties"]["plugins"]["properties"]["limit"]["properties"]["config"];
    assert_eq!(offered["anyOf"].as_array().unwrap().len(), 2);
    assert!(follow(&named, &offered["anyOf"][0])["properties"]["policies"].is_object());
}

#[test]
fn a_configuration_that_breaks_the_schema_is_told_with_the_line_and_the_caret() {
    let wrong = FINE.replace(
        r#"config = { policies = [{ name = "burst", limit = 10, window = "1m" }] }"#,
        "[plugins.limit.config]\npolicys = []\nheaders = \"legcy\"\nipv6_prefix = 0",
    );
    let file = file(&wrong);
    let done = on_file("check", &file, &[]);
    let said = text(&done.stderr).replace(file.path.to_str().unwrap(), "gateway.toml");
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(
        said,
        "\
error: plugin `limit`: unknown key `policys` in `config`
 --> gateway.toml:9:1
  |
9 | policys = []
  | ^^^^^^^
  |
  = help: did you mean `policies`?

error: plugin `limit`: `legcy` is no value of `headers`
  --> gateway.toml:10:11
   |
10 | headers = \"legcy\"
   |           ^^^^^^^
   |
   = note: its values are `standard`, `legacy`, `both`, `off`
   = help: did you mean `legacy`?

error: plugin `limit`: `ipv6_prefix` is out of range: 0
  --> gateway.toml:11:15
   |
11 | ipv6_prefix = 0
   |               ^ from 1 to 128

gateway.toml: 3 errors
"
    );
}

#[test]
fn warnings_do_not_keep_a_file_from_being_fine() {
    let file = file(&format!("{FINE}\n[upstreams.unused]\ntargets = [\"http://127.0.0.1:9\"]\n"));
    let done = on_file("check", &file, &[]);
    assert_eq!(done.status.code(), Some(0));
    assert!(text(&done.stdout).contains("1 warning\n"));
    let said = text(&done.stderr);
    assert!(said.starts_with("warning: ") && said.contains("unused"), "{said}");
}

/// `gateway run` in its own process, which is ended with it.
struct Served {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Served {
    fn start(file: &File) -> Self {
        let mut command = gateway(&["--log-format", "json", "run", file.path.to_str().unwrap()]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line of the log with these words.
    fn says(&self, words: &str) -> Value {
        let began = Instant::now();
        let mut before = Vec::new();
        while began.elapsed() < Duration::from_secs(60) {
            let Ok(line) = self.lines.recv_timeout(Duration::from_secs(60)) else { break };
            if line.contains(words) {
                return serde_json::from_str(&line).unwrap();
            }
            before.push(line);
        }
        panic!("never said {words:?}: {before:#?}");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success());
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn run_serves_reloads_on_sighup_keeps_what_is_in_force_and_ends_on_sigterm() {
    let file = file(FINE);
    let mut served = Served::start(&file);
    let line = served.says("listening");
    let address = line["address"].as_str().unwrap().to_owned();
    assert!(get(&address, "/hello/ada").ends_with("\r\n\r\nhello"));

    write(&file.path, &FINE.replace("limit = 10", "limit = 1000000000000000"));
    served.signal("HUP");
    served.says("plugin `limit`: ");
    served.says("the configuration in force stays");
    assert!(get(&address, "/hello/ada").ends_with("\r\n\r\nhello"));

    write(&file.path, &FINE.replace("body = \"hello\"", "body = \"good day\""));
    served.signal("HUP");
    served.says("the new configuration is in force");
    let began = Instant::now();
    while !get(&address, "/hello/ada").ends_with("\r\n\r\ngood day") {
        assert!(began.elapsed() < Duration::from_secs(20), "the workers never took it");
    }

    served.signal("TERM");
    served.says("shutting down");
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

#[test]
fn signals_of_other_tools_do_not_end_it_and_quit_ends_it_in_order() {
    let file = file(FINE);
    let mut served = Served::start(&file);
    let address = served.says("listening")["address"].as_str().unwrap().to_owned();
    for name in ["USR1", "USR2", "ALRM"] {
        served.signal(name);
        served.says(&format!("SIG{name}: "));
    }
    assert!(get(&address, "/hello/ada").ends_with("\r\n\r\nhello"));
    served.signal("QUIT");
    served.says("shutting down");
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

/// A certificate for this host, and its key.
fn certificate(host: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn run_reloads_when_a_secret_or_a_certificate_is_replaced_by_any_means() {
    let text = FINE.replace("body = \"hello\"", "body = \"${file:data/body}\"").replace(
        "address = \"127.0.0.1:0\"",
        "address = \"127.0.0.1:0\"\n[[listeners]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\n\
         tls = { certificate = \"data/cert\", key = \"data/key\" }",
    );
    let file = file(&text);
    let folder = file.path.parent().unwrap();
    // As Kubernetes does it: a link to a folder, which is put in its place by a rename.
    let put = |name: &str, body: &str, (cert, key): &(String, String)| {
        let inner = folder.join(name);
        std::fs::create_dir(&inner).unwrap();
        for (name, text) in [("body", body), ("cert", cert.as_str()), ("key", key.as_str())] {
            std::fs::write(inner.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(name, folder.join("next")).unwrap();
        std::fs::rename(folder.join("next"), folder.join("data")).unwrap();
    };
    let (first, second) = (certificate("localhost"), certificate("localhost"));
    put("one", "one", &first);
    let served = Served::start(&file);
    let address = loop {
        let line = served.says("listening");
        if line["listener"] == "public" {
            break line["address"].as_str().unwrap().to_owned();
        }
    };
    let answers = |body: &str| {
        let began = Instant::now();
        while !get(&address, "/hello/ada").ends_with(&format!("\r\n\r\n{body}")) {
            assert!(began.elapsed() < Duration::from_secs(20), "the workers never took {body}");
        }
    };
    answers("one");
    put("two", "two", &second);
    served.says("the new configuration is in force");
    answers("two");
    // A pair that does not fit keeps what is in force, and is named.
    put("three", "three", &(first.0.clone(), second.1.clone()));
    served.says("does not fit the certificate");
    served.says("the configuration in force stays");
    answers("two");
    // Mended in place, and by a rename of one file.
    std::fs::write(folder.join("data/new"), &first.1).unwrap();
    std::fs::rename(folder.join("data/new"), folder.join("data/key")).unwrap();
    served.says("the new configuration is in force");
    answers("three");
}

#[test]
fn run_reloads_when_the_file_changes() {
    let file = file(FINE);
    let served = Served::start(&file);
    let address = served.says("listening")["address"].as_str().unwrap().to_owned();
    write(&file.path, &FINE.replace("body = \"hello\"", "body = \"noticed\""));
    served.says("the new configuration is in force");
    let began = Instant::now();
    while !get(&address, "/hello/ada").ends_with("\r\n\r\nnoticed") {
        assert!(began.elapsed() < Duration::from_secs(20), "the workers never took it");
    }
}
