//! `gateway dev`: a plugin is changed while it serves, and each request is shown.
//!
//! One crate, one gateway and one story, since each build takes a while.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::folder::Folder;

/// A crate and all its dependencies compile in this time, or something hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// A gateway that serves while its plugins are changed.
struct Dev {
    folder: Folder,
    child: Child,
    address: SocketAddr,
    /// Bytes of standard output that were checked.
    seen: usize,
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

impl Dev {
    /// Starts it, and waits until it serves at a free port, which is written `ADDRESS` in the file.
    fn start(folder: Folder, config: &str, arguments: &[&str]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = config.replace("ADDRESS", &address.to_string());
        std::fs::write(folder.path().join("gateway.toml"), config).unwrap();
        let stream = |name| File::create(folder.path().join(name)).unwrap();
        let mut command = folder.command("gateway", &[&["dev"], arguments].concat());
        command.stdin(Stdio::piped()).stdout(stream("out")).stderr(stream("err"));
        let child = command.spawn().unwrap();
        let mut dev = Self { folder, child, address, seen: 0 };
        dev.wait_for("serving ");
        dev
    }

    fn output(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join(name)).unwrap()).into_owned()
    }

    /// Waits until it has said this, behind what was waited for before. Returns what it said up to
    /// the end of that line.
    fn wait_for(&mut self, said: &str) -> String {
        let began = Instant::now();
        loop {
            let all = self.output("out");
            let new = &all[self.seen..];
            if let Some(at) = new.find(said)
                && let Some(line) = new[at..].find('\n')
            {
                let end = at + line + 1;
                self.seen += end;
                return new[..end].to_owned();
            }
            let is_over = self.child.try_wait().unwrap().is_some();
            assert!(
                began.elapsed() < PATIENCE && !is_over,
                "it has not said {said:?} but\n{new}\nand\n{}",
                self.output("err")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn type_(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, name: &str) -> String {
        self.ask(&format!(
            "GET /hello?a=1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-name: {name}\r\n\r\n"
        ))
    }

    /// Changes a file of the crate, which must hold the text that is replaced.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// The processes that it started and that are still there.
    fn children(&self) -> Vec<String> {
        let parent = self.child.id().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let is_child = |id: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned());
            fields.is_some_and(|fields| fields.split(' ').nth(1) == Some(&*parent))
        };
        processes.filter_map(|it| it.file_name().into_string().ok()).filter(is_child).collect()
    }
}

const CONFIG: &str = r#"
[[listeners]]
name = "public"
address = "ADDRESS"

[plugins.hello]
component = "./hello.wasm"
config = { header = "x-name" }

[[routes]]
name = "hello"
paths = ["/hello"]
plugins = ["hello"]
respond = { body = "hello" }
"#;

#[test]
fn a_plugin_is_changed_while_it_serves_and_each_request_is_shown() {
    let folder = Folder::new();
    assert!(folder.gateway(&["plugin", "new", "hello"]).status.success());
    let folder = folder.enter("hello").ready_to_build();
    let mut dev = Dev::start(folder, CONFIG, &[]);
    let said = dev.wait_for("the sources of hello");
    assert!(said.contains("watching gateway.toml"), "{said}");
    let component = dev.folder.path().join("hello.wasm");
    assert!(!component.exists(), "what is built here is not what ships");

    // A line for a request.
    assert!(dev.get("Ada").contains("x-greeting: hello Ada\r\n"));
    let said = dev.wait_for("GET /hello?a=1 -> 200 in ");
    assert!(said.contains(" ms | hello on-request continued "), "{said}");
    assert!(said.contains(" µs"), "{said}");

    // Other behaviour, in place.
    dev.edit(
        "src/lib.rs",
        "        request.set_response_header(\"x-greeting\", greeting);",
        "        log::debug!(\"greets {name}\");
        request.set_response_header(\"x-greeting\", format!(\"good {greeting}\"));
        request.remove_header(\"x-name\");
        request.set_header(\"authorization\", \"Bearer 0123456789abcdef0123\");
        request.set_path(\"/other\");",
    );
    dev.wait_for("built hello in ");
    dev.wait_for("the change is in force");
    assert!(dev.get("Ada").contains("x-greeting: good hello Ada\r\n"));
    dev.wait_for("GET /hello?a=1 -> 200 in ");

    // The same request again, and everything about it.
    dev.type_("r");
    dev.wait_for("again: GET /hello?a=1\n");
    let said = dev.wait_for("+ x-greeting: ");
    for line in [
        "GET /hello?a=1 -> 200 in ",
        "\n  route hello, no upstream was asked\n",
        "\n  hello on-request: changed, ",
        "\n    path: /hello?a=1 -> /other?a=1\n",
        "\n    + authorization: Bearer 0123… (20 bytes)\n",
        "\n    - x-name: Ada\n",
        "\n    debug: greets Ada\n",
        "\n  hello, in the response as its request hooks asked\n    + x-greeting: good hello Ada\n",
    ] {
        assert!(said.contains(line), "{line}:\n{said}");
    }

    // What does not compile stays out.
    dev.edit("src/lib.rs", "log::debug!(\"greets {name}\");", "let length: u8 = name;");
    dev.wait_for("the plugins in force stay");
    let errors = dev.output("err");
    assert!(
        errors.contains("error[E0308]: mismatched types\n") && errors.contains("--> src/lib.rs:"),
        "{errors}"
    );
    assert!(dev.get("Bob").contains("x-greeting: good hello Bob\r\n"));
    dev.wait_for("GET /hello?a=1 -> 200 in ");

    // A panic is shown with the guest's own functions, files and lines.
    dev.edit("src/lib.rs", "let length: u8 = name;", "fail(name);");
    dev.edit(
        "src/lib.rs",
        "register_plugin!(",
        "#[inline(never)]\nfn fail(name: &str) {\n    assert_ne!(name, \"panic\", \"no such name\");\n}\n\nregister_plugin!(",
    );
    dev.wait_for("the change is in force");
    assert!(dev.get("Ada").contains("x-greeting: good hello Ada\r\n"));
    assert!(dev.get("panic").starts_with("HTTP/1.1 500 "));
    let said = dev.wait_for("since on_error is closed");
    let text = std::fs::read_to_string(dev.folder.path().join("src/lib.rs")).unwrap();
    let line_of = |part: &str| 1 + text.lines().position(|line| line.contains(part)).unwrap();
    let (fails, calls) = (line_of("assert_ne!(name"), line_of("fail(name);"));
    for words in [
        "GET /hello?a=1 -> 500 in ".to_owned(),
        "\n  hello on-request: failed\n".to_owned(),
        format!("it trapped: panicked at src/lib.rs:{fails}:5: "),
        format!("\n      at hello::fail (src/lib.rs:{fails}:"),
        format!(" (src/lib.rs:{calls}:"),
    ] {
        assert!(said.contains(&words), "{words}:\n{said}");
    }
    assert!(
        !said.contains("gateway-plugin-sdk/src"),
        "the way into the hook is not the author's: {said}"
    );

    // The configuration counts too.
    dev.edit("gateway.toml", "\"x-name\" }", "\"x-name\", greeting = \"dear\" }");
    dev.wait_for("the change is in force");
    assert!(dev.get("Ada").contains("x-greeting: good dear Ada\r\n"));

    // It ends at once, with the compiler that it started.
    dev.edit("src/lib.rs", "no such name", "none such");
    let began = Instant::now();
    let children = loop {
        let children = dev.children();
        if !children.is_empty() {
            break children;
        }
        assert!(began.elapsed() < PATIENCE, "no cargo was started");
        std::thread::sleep(Duration::from_millis(1));
    };
    dev.signal("-TERM");
    assert!(dev.child.wait().unwrap().success(), "{}", dev.output("err"));
    let is_left = |id: &String| {
        let command = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        command.contains("cargo") || command.contains("rustc")
    };
    let began = Instant::now();
    while children.iter().any(is_left) {
        assert!(began.elapsed() < PATIENCE, "left behind: {children:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Traces for machines, without any crate.
#[test]
fn a_request_is_sent_again_with_its_body() {
    let config = r#"
[[listeners]]
name = "public"
address = "ADDRESS"

[plugins.change]
component = "transform"
config = { response = { headers = { set = { x-a = "b" } } } }

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["change"]
respond = { body = "hello" }
"#;
    let mut dev = Dev::start(Folder::new(), config, &["--log-format", "json"]);
    let post = |body: &str| {
        let length = body.len();
        format!(
            "POST /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let trace = |said: String| -> Value {
        serde_json::from_str(said.lines().last().unwrap()).unwrap_or_else(|_| panic!("{said}"))
    };
    dev.ask(&post("12345"));
    let sent = trace(dev.wait_for("\"event\":\"exchange\""));
    assert_eq!((&sent["received"], &sent["replay"]), (&5.into(), &false.into()), "{sent}");
    assert_eq!((&sent["route"], &sent["status"]), (&"all".into(), &200.into()), "{sent}");
    let step = &sent["steps"][0];
    assert_eq!(step["changes"], serde_json::json!(["+ x-a: b"]), "{sent}");
    assert_eq!(step["hook"], "every-response", "{sent}");

    dev.type_("r");
    let again = trace(dev.wait_for("\"event\":\"exchange\""));
    assert_eq!((&again["received"], &again["replay"]), (&5.into(), &true.into()), "{again}");
    assert_ne!(again["request_id"], sent["request_id"]);
    assert_eq!(again["target"], "/a");

    // One that is larger than what is kept says so.
    dev.ask(&post(&"a".repeat((1 << 20) + 1)));
    dev.wait_for("\"event\":\"exchange\"");
    dev.type_("r");
    let said = dev.wait_for("again: POST /a");
    assert!(said.contains("body"), "{said}");
    dev.wait_for("\"event\":\"exchange\"");

    dev.type_("q");
    assert!(dev.child.wait().unwrap().success(), "{}", dev.output("err"));
}

/// A start that cannot succeed yet waits; one that nobody's edit can fix ends.
#[test]
fn a_start_waits_for_a_file_to_be_mended_and_for_nothing_else() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let fine = format!(
        "[[listeners]]\nname = \"l\"\naddress = \"{}\"\n[[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = {{ status = 204 }}\n",
        taken.local_addr().unwrap()
    );
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, fine.replace("status", "stauts")).unwrap();
    let out = folder.path().join("out");
    let mut command = folder.command("gateway", &["dev"]);
    command.stdout(File::create(&out).unwrap()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while !std::fs::read_to_string(&out).unwrap().contains("waiting for a change") {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::write(&file, fine).unwrap();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{errors}");
    assert!(errors.contains("unknown key `stauts`"), "{errors}");
    assert!(errors.contains("another process has the port"), "{errors}");
}
